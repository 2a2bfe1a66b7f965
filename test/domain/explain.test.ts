import { describe, expect, it } from 'vitest';
import { applyOutcome } from '../../src/domain/apply.ts';
import { decide } from '../../src/domain/decide.ts';
import type { Where } from '../../src/domain/decision.ts';
import { explain, type Unexplained } from '../../src/domain/explain.ts';
import { exposureOf } from '../../src/domain/exposure.ts';
import type { Looked } from '../../src/domain/looked.ts';
import type { Rollout } from '../../src/domain/rollout.ts';
import { aLook, aPlan, aPolicy, aReading, aRollout, at, aVerdict, aWorld, hour } from '../support/a-rollout.ts';

function decisionOn(rollout: Rollout, looked: Looked): Unexplained {
  const plan = aPlan();
  const outcome = decide({ rollout, plan, policy: aPolicy(), looked, world: aWorld(), look: 'full', now: at() });
  const to = applyOutcome(rollout, plan, outcome, at()).state;
  return {
    ...outcome,
    rollout: rollout.id,
    name: rollout.name,
    environment: rollout.environment,
    flag: rollout.flag,
    at: at().wall,
    from: rollout.state,
    to,
    exposure: { from: exposureOf(rollout.state, plan), to: exposureOf(to, plan) },
    readings: looked.readings,
    evidence: 'sha256-00',
    plan: 'checkout-v2@1',
    policy: 'web@1',
    code: '0.1.0',
    actor: null,
    reason: null,
  };
}

const killing = aVerdict('kill', {
  treatment: { n: 1207, value: 0.074 },
  control: { n: 4800, value: 0.011 },
  estimate: 5.7,
  low: 4.2,
  high: 7.6,
  margin: 0.5,
  logE: 12.3,
  needed: 6.9,
  streak: 1,
  since: at(-2 * 60_000).wall,
  runbook: 'https://run.example/e',
  text: 'JS errors 7.4 % of units with the flag, 1.1 % without (difference 6.3 points); limit +50 %',
});

describe('an explanation', () => {
  it('of a kill says what, why, since when and how sure, with the limit beside the value', () => {
    const { why, counterfactual, next } = explain(
      decisionOn(aRollout({ state: { stage: 2 } }), aLook(killing, aVerdict('hold'))),
    );
    expect(why).toContain('Kill: checkout-v2 in production, exposure 25 % → 0 % (ramping → killed, T11).');
    expect(why).toContain(
      'JS errors 7.4 % of units with the flag, 1.1 % without (difference 6.3 points); limit +50 %.',
    );
    expect(why).toContain(
      '1207 units with the flag and 4800 without: +570 % (between +420 % and +760 %) against a limit of +50 %',
    );
    expect(why).toContain('Beyond the limit since 09:58 UTC, 1 of 1 windows in a row.');
    expect(why).toContain('12.3 where 6.9 decides; reliability 0.97, limited by coverage.');
    expect(why).toContain('Also: errors-hold reads hold.');
    expect(counterfactual).toContain('stays below 6.9; it is 12.3');
    expect(next).toContain('Runbook: https://run.example/e.');
    expect(next).toContain('rearm');
  });

  it('of a stay lists every unmet condition with its time', () => {
    const { counterfactual, next } = explain(decisionOn(aRollout(), aLook()));
    expect(counterfactual).toBe('It would move on in 1 h if nothing else changes.');
    expect(next).toBe('Waiting for 1 h more of 1 h bake with usable evidence (~1 h).');
  });

  it('of a hold says who ends it', () => {
    const soft = explain(decisionOn(aRollout(), aLook(aVerdict('hold'))));
    expect(soft.next).toContain('resumes by itself');
    const hard = explain(decisionOn(aRollout(), aLook(aVerdict('hold', { sticky: true }))));
    expect(hard.next).toContain('until a person decides');
  });

  it('of a ramp says what would have stopped it', () => {
    const ramp = explain(decisionOn(aRollout({ progress: { bakedMs: hour } }), aLook()));
    expect(ramp.why).toContain('Ramp: checkout-v2 in production, exposure 1 % → 5 %');
    expect(ramp.counterfactual).toContain('worse than pass');
  });

  it("of a person's act names the person and the reason", () => {
    const act = { ...decisionOn(aRollout(), aLook()), actor: 'mkaya', reason: 'support calls', because: 'mkaya: hold' };
    expect(explain(act).why).toContain('Reason given by mkaya: support calls.');
    expect(explain(act).counterfactual).toContain('A person decided this');
  });

  it('is made from the record alone: twice the same', () => {
    const decision = decisionOn(aRollout(), aLook(killing));
    expect(explain(JSON.parse(JSON.stringify(decision)))).toEqual(explain(decision));
  });

  it('tells whether control suffers too', () => {
    const outage = aReading({
      gate: 'health.controlDegraded',
      verdict: 'hold',
      text: 'both arms are beyond the limit of x: an outage, not this flag',
    });
    expect(explain(decisionOn(aRollout(), aLook(outage))).why).toContain('an outage, not this flag');
  });

  describe('of where', () => {
    const cell = (value: string, about: Partial<Where> = {}): Where => ({
      dimension: 'browser',
      value,
      excess: 60,
      share: 0.96,
      part: 0.18,
      treatment: { n: 220, value: 0.3 },
      control: { n: 880, value: 0.011 },
      estimate: 5.7,
      low: 4.2,
      high: 7.6,
      worse: true,
      standsOut: true,
      ...about,
    });
    const even = { share: 0.5, worse: false, standsOut: false };
    const whyOf = (...where: Where[]) =>
      explain(decisionOn(aRollout({ state: { stage: 2 } }), aLook({ ...killing, where }))).why;

    it('names the value that carries the excess, between since when and how sure', () => {
      expect(whyOf(cell('safari'), cell('chrome', { ...even, share: 0.04 }))).toMatch(
        /in a row\. 96 % of the excess is browser safari, 18 % of the units \(\+570 %, at least \+420 %\); other values of browser pass\. Always-valid/,
      );
    });

    it('does not say that others pass when they are worse too', () => {
      const why = whyOf(cell('safari'), cell('edge', { worse: true, standsOut: false }));
      expect(why).toContain('; also worse: browser edge.');
      expect(why).not.toContain('pass.');
    });

    it('is evenly spread when no value stands out, and nothing where nobody looked', () => {
      expect(whyOf(cell('chrome', even), cell('eu', { ...even, dimension: 'region' }))).toContain(
        'The excess is evenly spread over browser, region.',
      );
      expect(whyOf()).not.toContain('excess');
    });
  });
});
