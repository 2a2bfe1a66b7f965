const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** What a duration in a document looks like: `30s`, `20m`, `4h`, `7d`; one unit, up to 3 decimals. */
export const durationPattern = /^(\d{1,6}(?:\.\d{1,3})?)([smhd])$/;

/** `20m` -> 1 200 000 ms; null when the text is not a duration. */
export function parseDuration(text: string): number | null {
  const [, amount, unit] = durationPattern.exec(text) ?? [];
  if (amount === undefined || !isUnit(unit)) return null;
  return Math.round(Number(amount) * unitMs[unit]);
}

function isUnit(text: string | undefined): text is keyof typeof unitMs {
  return text !== undefined && Object.hasOwn(unitMs, text);
}

/** What a share in a document looks like: `8%`, `0.5%`. */
export const sharePattern = /^(\d{1,5}(?:\.\d{1,4})?)\s?%$/;

/** `8%` -> 0.08; null when the text is not a percentage. */
export function parseShare(text: string): number | null {
  const [, percent] = sharePattern.exec(text) ?? [];
  return percent === undefined ? null : scaleDown(percent);
}

/** Hundredths without the noise of binary fractions: `8` -> 0.08, `0.7` -> 0.007. */
export function scaleDown(percent: string): number {
  return Number(`${percent}e-2`);
}

/** 1 200 000 -> `20 min`, 5 400 000 -> `1 h 30 min`: for sentences, rounded to the two largest units. */
export function formatDuration(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(' ');
}
