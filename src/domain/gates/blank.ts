import type { Reading } from '../decision.ts';

type Named = Pick<Reading, 'gate' | 'tier' | 'signal' | 'limiting'>;

/** A reading without numbers, which passes; say in place of that what is known. */
export function blankReading(of: Named & Partial<Reading>): Reading {
  const nothing = { n: 0, value: null };
  return {
    state: 'ok',
    treatment: nothing,
    control: nothing,
    estimate: null,
    low: null,
    high: null,
    scale: 'absolute',
    margin: 0,
    logE: 0,
    needed: 0,
    reliability: 1,
    streak: 0,
    consecutive: 1,
    since: null,
    verdict: 'pass',
    action: 'hold',
    sticky: false,
    runbook: null,
    where: [],
    text: '',
    ...of,
  };
}
