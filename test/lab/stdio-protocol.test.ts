import { describe, expect, it } from 'vitest';
import { readHistory, readPageViews } from '../../src/lab/stdio-columns.ts';
import { documentsOf } from '../../src/lab/stdio-policy.ts';
import { Malformed, parseMessage, type Start, type StdioPlan } from '../../src/lab/stdio-protocol.ts';

const lcp = { name: 'lcp', kind: 'quantile' };

function start(plan: object, rest: object = {}): Start {
  const message = parseMessage(
    JSON.stringify({ type: 'start', plan: { stages: [1], metrics: [lcp], ...plan }, ...rest }),
  );
  if (message.type !== 'start') throw new Error('no start');
  return message;
}
const plan = (given: object): StdioPlan => start(given).plan;

describe('a start', () => {
  it.each([
    ['fractions', [0.01, 0.05, 1], [1, 5, 100]],
    ['percent', [1, 5, 100], [1, 5, 100]],
    ['fractions that are no exact binary numbers', [0.07, 0.29], [7, 29]],
    ['objects', [{ exposure: 0.5, name: 'half' }, { exposure: 1 }], [50, 100]],
  ])('reads stages as %s', (_, stages, percents) => {
    expect(plan({ stages }).stages.percents).toEqual(percents);
  });

  it('reads margins as shares or percent, and 75 as the quantile 0.75', () => {
    const [metric] = plan({ metrics: [{ ...lcp, q: 75, killMargin: '5%', rampMargin: 0.03 }] }).metrics;
    expect(metric).toMatchObject({ q: 0.75, killMargin: 0.05, rampMargin: 0.03 });
  });

  it.each(['session', 'unit', 'pageview', 'page_view', undefined])('takes per: %s', (per) => {
    expect(() => plan({ metrics: [{ ...lcp, per }] })).not.toThrow();
  });

  it('ignores fields it does not know', () => {
    expect(() => start({ colour: 'red' }, { protocol: 'gate-judge/1', seed: 3 })).not.toThrow();
  });

  it.each([
    [
      'another protocol',
      { type: 'start', protocol: 'gate-judge/2', plan: {} },
      'protocol: this program speaks "gate-judge/1"',
    ],
    [
      'an unknown kind',
      { type: 'start', plan: { stages: [1], metrics: [{ name: 'a', kind: 'mean' }] } },
      'plan.metrics.0.kind: use one of',
    ],
    [
      'no stages',
      { type: 'start', plan: { stages: [], metrics: [lcp] } },
      'plan.stages: a plan has at least one stage',
    ],
    [
      'a stage beyond everybody',
      { type: 'start', plan: { stages: [5, 120], metrics: [lcp] } },
      'plan.stages: an exposure is above 0',
    ],
    ['no plan', { type: 'start' }, 'plan is missing'],
    ['no type', { plan: {} }, 'a message is an object with the type start, minute or end'],
    ['a list', [], 'a message is an object'],
    ['a minute without its stage', { type: 'minute', t: 0 }, 'stage'],
  ])('says what is wrong with %s', (_, message, text) => {
    expect(() => parseMessage(JSON.stringify(message))).toThrow(text);
  });
});

describe('JSON', () => {
  it('may hold the bare NaN and Infinity that some writers make', () => {
    const message = parseMessage(
      '{"type":"minute","t":1,"stage":0,"samples":{"lcp":[NaN,NaN, -Infinity,5],"session":["NaN"]}}',
    );
    expect(message).toMatchObject({ samples: { lcp: [null, null, null, 5], session: ['NaN'] } });
  });

  it('that is none is said to be none', () => {
    expect(() => parseMessage('{"type":')).toThrow(/^this line is no JSON/);
    expect(() => parseMessage('{"type":')).toThrow(Malformed);
  });
});

describe('page views', () => {
  const read = (samples: { [column: string]: unknown }) => readPageViews(samples, ['lcp', 'err'], { t: 9, stage: 2 });

  it('have defaults where columns or cells are missing', () => {
    const views = read({ session: [1, 'a'], cohort: [0, true], eventMinute: [8, null], lcp: [null, 250] });
    expect(views.session).toEqual([1, 'a']);
    expect([...views.cohort]).toEqual([0, 1]);
    expect([...views.stage]).toEqual([2, 2]);
    expect([...views.eventMinute]).toEqual([8, 9]);
    expect([...(views.values.get('lcp') ?? [])]).toEqual([Number.NaN, 250]);
    expect([...(views.values.get('err') ?? [])]).toEqual([Number.NaN, Number.NaN]);
  });

  it('may be none', () => {
    expect(read({}).n).toBe(0);
    expect(read({ session: [], cohort: [] }).n).toBe(0);
  });

  it.each([
    [{ session: ['a'], cohort: [2] }, 'samples.cohort[0]: must be 0 (control) or 1 (treatment)'],
    [{ session: ['a'] }, 'samples.cohort[0]'],
    [{ cohort: [1] }, 'samples.session: is missing'],
    [{ session: ['a', 'b'], cohort: [1, 0], lcp: [1] }, 'samples.lcp: 1 entries, other columns have 2'],
    [{ session: ['a'], cohort: [1], lcp: ['fast'] }, 'samples.lcp[0]: "fast" is no number'],
    [{ session: [null], cohort: [1] }, 'samples.session[0]: must be text or a whole number'],
    [{ session: 'a', cohort: [1] }, 'samples.session: must be an array'],
  ])('that are malformed say where: %j', (samples, text) => {
    expect(() => read(samples)).toThrow(text);
  });

  it('of the past are numbers without the missing ones', () => {
    expect([...readHistory({ lcp: [1, null, 3] }, 'lcp')]).toEqual([1, 3]);
    expect(readHistory({}, 'lcp')).toHaveLength(0);
    expect(() => readHistory({ lcp: 3 }, 'lcp')).toThrow('history.lcp: must be an array');
  });
});

describe('the documents of a plan', () => {
  const conv = { name: 'conv', kind: 'proportion', worse: 'lower', maturityMinutes: 45 };
  const err = { name: 'err', kind: 'rate', per: 'page_view', worse: 'higher', killMargin: 0.1 };

  it('have a kill gate per metric that asks for two things: surely worse, and likely beyond the margin', () => {
    const { policy } = documentsOf(plan({ metrics: [lcp, err, conv], alphaKill: 0.005 }));
    expect(policy.spec.errorControl).toMatchObject({ killAlpha: 0.005, holdAlpha: 0.02 });
    expect(policy.spec.gates.map(({ name, tier, when }) => [name, tier, when])).toEqual([
      ['lcp-kill', 'kill', 'all'],
      ['err-kill', 'kill', 'all'],
      ['conv-kill', 'kill', 'all'],
    ]);
    expect(policy.spec.gates[1]?.tests).toEqual([
      { type: 'relative', margin: 0, confidence: 'lower_bound' },
      { type: 'relative', margin: 0.1, confidence: 0.5 },
    ]);
  });

  it('compare with everybody else, and bake for the least dwell', () => {
    const { plan: made } = documentsOf(plan({ stages: [1, 100], minDwellMinutes: 12 }));
    expect(made.spec.stages.map(({ exposure, bake }) => [exposure, bake])).toEqual([
      [1, 720_000],
      [100, 720_000],
    ]);
    expect(made.spec.comparison.control.ratio).toBeGreaterThan(1e6);
  });

  it('read an error rate per page view, and a proportion of units with an error per unit', () => {
    const sourceOf = (metric: object) => documentsOf(plan({ metrics: [metric] })).signals[0]?.signal.spec.source;
    expect(sourceOf(err)).toMatchObject({ event: 'error', field: 'views' });
    expect(sourceOf({ ...err, per: 'session' })).toMatchObject({ event: 'error', field: 'views' });
    expect(sourceOf({ ...err, kind: 'proportion', per: 'session' })).toMatchObject({ event: 'error', field: 'units' });
  });

  it('let a conversion mature for as long as the metric says', () => {
    const signal = documentsOf(plan({ metrics: [conv] })).signals[0]?.signal;
    expect(signal?.spec).toMatchObject({ direction: 'higher_is_better', maturity: 45 * 60_000 });
  });

  it('give quantiles without a vital of their name the next free one', () => {
    const names = ['paint', 'INP', 'lcp', 'search'].map((name) => ({ name, kind: 'quantile', q: 0.8 }));
    const { signals } = documentsOf(plan({ metrics: names }));
    expect(signals.map(({ slot }) => slot)).toEqual(
      ['FCP', 'INP', 'LCP', 'TTFB'].map((vital) => ({ to: 'vital', vital })),
    );
    expect(signals[0]?.signal.spec.statistic.q).toBe(0.75);
  });

  it('take a ramp margin only where it is tighter than the usual cap', () => {
    const slower = (rampMargin: number) =>
      documentsOf(plan({ metrics: [{ ...lcp, rampMargin }] })).policy.spec.harmCaps.slower;
    expect([slower(0.03), slower(0.3), slower(0.001)]).toEqual([0.03, 0.05, 0.02]);
  });

  it('have room for five quantiles, and for a name once', () => {
    const many = Array.from({ length: 6 }, (_, i) => ({ name: `q${i}`, kind: 'quantile' }));
    expect(() => documentsOf(plan({ metrics: many }))).toThrow('plan.metrics.5: at most 5 quantile metrics');
    expect(() => documentsOf(plan({ metrics: [err, err] }))).toThrow('plan.metrics.1.name: "err" is used twice');
  });
});
