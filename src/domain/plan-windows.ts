import { z } from 'zod';
import { later } from './document.ts';

const days: readonly string[] = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const allowPattern =
  /^(Sun|Mon|Tue|Wed|Thu|Fri|Sat)(?:-(Sun|Mon|Tue|Wed|Thu|Fri|Sat))? ([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|(24):(00))$/;

/** One opening in local time: days 0 (Sunday) to 6, minutes since local midnight, `from` inclusive, `to` exclusive. */
export interface Opening {
  readonly days: readonly number[];
  readonly from: number;
  readonly to: number;
}

/** `Mon-Thu 09:00-16:00`; days may wrap (`Fri-Mon`), hours may not. Null when the text is not an opening. */
function parseOpening(text: string): Opening | null {
  const match = allowPattern.exec(text);
  if (match === null) return null;
  const first = days.indexOf(match[1] ?? '');
  const last = match[2] === undefined ? first : days.indexOf(match[2]);
  const span = (last - first + 7) % 7;
  return {
    days: Array.from({ length: span + 1 }, (_, i) => (first + i) % 7),
    from: Number(match[3]) * 60 + Number(match[4]),
    to: Number(match[5] ?? match[7]) * 60 + Number(match[6] ?? match[8]),
  };
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

const Day = z.iso.date({ error: 'write a date such as "2026-11-26"' });

/** When exposure may rise. Everything is local time of `timezone`; lowering is always allowed. */
export const Windows = z.strictObject({
  timezone: z
    .string()
    .refine(isTimeZone, { error: 'not an IANA time zone; write for example "Europe/Berlin"' })
    .prefault('UTC'),
  /** Empty = always open. */
  allow: z
    .array(
      z.string().transform((text, context) => {
        const opening = parseOpening(text);
        if (opening !== null) return opening;
        context.addIssue({ code: 'custom', message: 'write an opening such as "Mon-Thu 09:00-16:00"', input: text });
        return z.NEVER;
      }),
    )
    .prefault([]),
  /** Local days, both included. */
  freeze: z
    .array(
      z
        .strictObject({ from: Day, to: Day, reason: z.string().min(1) })
        .refine((freeze) => freeze.from <= freeze.to, { path: ['to'], error: 'ends before it begins' }),
    )
    .prefault([]),
  calendar: later('calendars'),
  incident: later('incident freezes; use `tidegate freeze on`'),
});
export type Windows = z.output<typeof Windows>;
