import { describe, expect, it } from 'vitest';
import { Windows } from '../../src/domain/plan-windows.ts';
import { open, opensNext } from '../../src/domain/windows.ts';

const berlin = Windows.parse({ timezone: 'Europe/Berlin', allow: ['Mon-Thu 09:00-16:00', 'Fri 09:00-12:00'] });
const utc = (text: string) => Date.parse(text);

describe('windows', () => {
  it('are always open when the plan names none', () => {
    expect(open(Windows.parse({}), 0)).toBe(true);
  });

  it('are read in their own time zone, start included, end excluded', () => {
    expect(open(berlin, utc('2026-11-02T07:59:59Z'))).toBe(false);
    expect(open(berlin, utc('2026-11-02T08:00:00Z'))).toBe(true);
    expect(open(berlin, utc('2026-11-02T14:59:59Z'))).toBe(true);
    expect(open(berlin, utc('2026-11-02T15:00:00Z'))).toBe(false);
    expect(open(berlin, utc('2026-11-06T11:30:00Z'))).toBe(false);
  });

  it('move with daylight saving time', () => {
    expect(open(berlin, utc('2026-07-06T07:00:00Z'))).toBe(true);
    expect(open(berlin, utc('2026-07-06T06:59:00Z'))).toBe(false);
  });

  it('count the repeated hour as inside if either reading is', () => {
    const night = Windows.parse({ timezone: 'Europe/Berlin', allow: ['Sun 02:00-02:30'] });
    // 2026-10-25: 03:00 CEST becomes 02:00 CET at 01:00 UTC; 02:00-02:30 happens twice.
    expect(open(night, utc('2026-10-25T00:10:00Z'))).toBe(true);
    expect(open(night, utc('2026-10-25T01:10:00Z'))).toBe(true);
    const before = Windows.parse({ timezone: 'Europe/Berlin', allow: ['Sun 03:00-04:00'] });
    expect(open(before, utc('2026-10-25T01:10:00Z'))).toBe(true);
    expect(open(before, utc('2026-10-25T00:50:00Z'))).toBe(false);
  });

  it('stay shut on frozen local days, both included', () => {
    const frozen = Windows.parse({
      timezone: 'Europe/Berlin',
      freeze: [{ from: '2026-11-26', to: '2026-11-30', reason: 'peak season' }],
    });
    expect(open(frozen, utc('2026-11-25T22:59:00Z'))).toBe(true);
    expect(open(frozen, utc('2026-11-25T23:00:00Z'))).toBe(false);
    expect(open(frozen, utc('2026-11-30T22:59:00Z'))).toBe(false);
    expect(opensNext(frozen, utc('2026-11-27T12:00:00Z'))).toBe(utc('2026-11-30T23:00:00Z'));
  });

  it('tell when they open next', () => {
    const monday = utc('2026-11-02T09:30:00Z');
    expect(opensNext(berlin, monday)).toBe(monday);
    expect(opensNext(berlin, utc('2026-11-06T12:00:00Z'))).toBe(utc('2026-11-09T08:00:00Z'));
    expect(opensNext(berlin, utc('2026-11-03T05:12:34Z'))).toBe(utc('2026-11-03T08:00:00Z'));
  });

  it('open on time after a weekend on which the clocks change', () => {
    expect(opensNext(berlin, utc('2026-10-24T12:00:00Z'))).toBe(utc('2026-10-26T08:00:00Z'));
    const sunday = Windows.parse({ timezone: 'Europe/Berlin', allow: ['Sun 09:00-10:00'] });
    expect(opensNext(sunday, utc('2026-03-28T23:30:00Z'))).toBe(utc('2026-03-29T07:00:00Z'));
    expect(opensNext(sunday, utc('2026-10-24T22:30:00Z'))).toBe(utc('2026-10-25T08:00:00Z'));
  });

  it('say so when they open on no day of a year', () => {
    const never = Windows.parse({ freeze: [{ from: '2026-01-01', to: '2030-01-01', reason: 'closed' }] });
    expect(opensNext(never, utc('2026-11-02T00:00:00Z'))).toBeNull();
  });
});
