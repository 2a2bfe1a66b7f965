import type { Windows } from './plan-windows.ts';

/** Local wall time: the calendar day, day of the week (0 = Sunday) and minutes since local midnight. */
interface Local {
  readonly date: string;
  readonly day: number;
  readonly minute: number;
}

const minuteMs = 60_000;
const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(zone: string): Intl.DateTimeFormat {
  const known = formatters.get(zone);
  if (known) return known;
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    weekday: 'short',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  });
  formatters.set(zone, made);
  return made;
}

function localAt(zone: string, at: number): Local {
  const parts = new Map(
    formatterOf(zone)
      .formatToParts(at)
      .map((part) => [part.type, part.value]),
  );
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? '';
  return {
    date: `${part('year').padStart(4, '0')}-${part('month')}-${part('day')}`,
    day: days.indexOf(part('weekday')),
    minute: Number(part('hour')) * 60 + Number(part('minute')),
  };
}

/** Shifts of the clock that are in use: one hour nearly everywhere, half an hour on Lord Howe Island. */
const shifts = [60, 30];

/**
 * How the local clock reads; in the hour that a clock change repeats, there are two readings, by the old and by the
 * new offset.
 */
function readingsAt(zone: string, at: number): Local[] {
  const local = localAt(zone, at);
  for (const shift of shifts) {
    if (sameTime(localAt(zone, at + shift * minuteMs), local)) return [local, shifted(local, -shift)];
    if (sameTime(localAt(zone, at - shift * minuteMs), local)) return [local, shifted(local, shift)];
  }
  return [local];
}

function sameTime(a: Local, b: Local): boolean {
  return a.minute === b.minute && a.date === b.date;
}

/** The date stays: clocks change at night, and a freeze is a matter of whole days. */
function shifted(local: Local, by: number): Local {
  const minute = local.minute + by;
  if (minute < 0) return { ...local, day: (local.day + 6) % 7, minute: minute + 1440 };
  if (minute >= 1440) return { ...local, day: (local.day + 1) % 7, minute: minute - 1440 };
  return { ...local, minute };
}

function frozenDay(windows: Windows, date: string): boolean {
  return windows.freeze.some((freeze) => freeze.from <= date && date <= freeze.to);
}

function insideOpening(windows: Windows, { day, minute }: Local): boolean {
  if (windows.allow.length === 0) return true;
  return windows.allow.some((o) => o.days.includes(day) && o.from <= minute && minute < o.to);
}

/** Whether the plan lets exposure rise at this instant, epoch ms. */
export function open(windows: Windows, at: number): boolean {
  if (windows.allow.length === 0 && windows.freeze.length === 0) return true;
  return readingsAt(windows.timezone, at).some(
    (local) => !frozenDay(windows, local.date) && insideOpening(windows, local),
  );
}

/** The first instant from `at` on at which the plan lets exposure rise, epoch ms; null when there is none in a year. */
export function opensNext(windows: Windows, at: number): number | null {
  if (open(windows, at)) return at;
  let candidate = Math.ceil(at / minuteMs) * minuteMs;
  const end = at + 366 * 1440 * minuteMs;
  while (candidate < end) {
    if (open(windows, candidate)) return candidate;
    const local = localAt(windows.timezone, candidate);
    const starts = frozenDay(windows, local.date)
      ? []
      : windows.allow
          .filter((o) => o.days.includes(local.day) && o.from > local.minute)
          .map((o) => o.from - local.minute);
    const ahead = Math.min(1440 - local.minute, ...starts);
    candidate = landing(windows.timezone, candidate, (local.minute + ahead) % 1440, ahead);
  }
  return null;
}

/** `ahead` minutes on, put right when the clock changed in between and the landing missed the wanted minute. */
function landing(zone: string, from: number, wanted: number, ahead: number): number {
  const to = from + ahead * minuteMs;
  const missed = localAt(zone, to).minute - wanted;
  const off = missed > 720 ? missed - 1440 : missed < -720 ? missed + 1440 : missed;
  return Math.max(from + minuteMs, to - off * minuteMs);
}
