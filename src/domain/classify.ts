import { canonical } from './canonical.ts';
import { isMap, type JsonMap } from './document.ts';
import type { Gate, GatePolicy, Test } from './policy.ts';

/** Whether a change lets less harm through, more, or says nothing about it (and is approved like a loosening). */
export type Slant = 'tighten' | 'loosen' | 'neither';

/** One field of a policy that changed. */
export interface FieldChange {
  /** `gates.errors-kill.tests`, `health.crossover.maxShare` */
  readonly path: string;
  /** What `governance.locked` would name: the gate, or `health.crossover`. */
  readonly item: string;
  readonly before: unknown;
  readonly after: unknown;
  readonly slant: Slant;
}

type Rule = (before: unknown, after: unknown) => Slant;

const when = (tighter: boolean): Slant => (tighter ? 'tighten' : 'loosen');
const lower: Rule = (a, b) => when(typeof a === 'number' && typeof b === 'number' && b < a);
const higher: Rule = (a, b) => when(typeof a === 'number' && typeof b === 'number' && b > a);
const neither: Rule = () => 'neither';
const ranked =
  (...ranks: readonly unknown[]): Rule =>
  (a, b) =>
    when(ranks.includes(a) && ranks.indexOf(b) > ranks.indexOf(a));
const yes = ranked(false, true);
const listed = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const fewer: Rule = (a, b) => when(listed(b).every((item) => listed(a).includes(item)));
const more: Rule = (a, b) => fewer(b, a);
/** An empty list is everywhere: a wider scope harms nobody by itself, yet it is no tightening. */
const scope: Rule = (a, b) =>
  listed(b).length > 0 && (listed(a).length === 0 || fewer(a, b) === 'tighten') ? 'tighten' : 'neither';
/** Nobody may do what a rule that is left out would allow. */
const allowance: Rule = (_, after) => when(after === null);
const demand: Rule = (before) => when(before === null);

const overrides: readonly (readonly [string, Rule])[] = ['hold', 'kill'].flatMap((tier) => {
  const at = `governance.override.${tier}`;
  return [
    [at, allowance],
    [`${at}.roles`, fewer],
    [`${at}.maxDuration`, lower],
    [`${at}.count`, higher],
    [`${at}.distinctTeams`, yes],
  ] as const;
});

/**
 * What a change of each field comes to (rollout.md §9). Anything that is not here is loosened by every change: only what
 * is provably tighter is. To tighten is to lower exposure sooner, to hold longer, or to let fewer people overrule it.
 */
const rules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['scope.projects', scope],
  ['scope.environments', scope],
  ['scope.regions', scope],
  ['tick.interval', lower],
  ['tick.watchInterval', lower],
  ['errorControl.killAlpha', higher],
  ['errorControl.holdAlpha', higher],
  ['harmCaps.alpha', lower],
  ['harmCaps.slower', lower],
  ['harmCaps.slowerBy', lower],
  ['harmCaps.rate', lower],
  ['harmCaps.rateShare', lower],
  ['harmCaps.conversion', lower],
  // Below its minimum a watch gate is silent and a kill gate only holds, but a hold gate holds.
  ['reliability.minimum.watch', lower],
  ['reliability.minimum.hold', higher],
  ['reliability.minimum.kill', lower],
  ['reliability.whenUnreliable.watch', ranked('ignore', 'watch', 'hold')],
  ['health.sampleRatio.alpha', higher],
  ['health.sampleRatio.sticky', yes],
  ['health.crossover.maxShare', lower],
  ['health.crossover.sticky', yes],
  ['health.evaluatorError.consecutive', lower],
  ['health.noData.grace', lower],
  ['health.noData.thenAfter', lower],
  ['health.noData.thenAction', ranked('stay', 'step_back', 'kill')],
  ['segments.dimensions', neither],
  ['segments.maxCells', neither],
  ['notify.watch', more],
  ['notify.hold', more],
  ['notify.kill', more],
  ['notify.digest', neither],
  ['governance.approve', demand],
  ['governance.approve.roles', fewer],
  ['governance.approve.count', higher],
  ['governance.approve.distinctTeams', yes],
  ['governance.approve.notAuthor', yes],
  ...overrides,
  ['governance.breakGlass', allowance],
  ['governance.breakGlass.roles', fewer],
  ['governance.breakGlass.maxDuration', lower],
  ['governance.breakGlass.reviewWithin', lower],
  ['governance.locked', more],
]);

/** Every field in which two effective policies differ, and which way it goes. Metadata is nobody's threshold. */
export function classifyChange(before: GatePolicy, after: GatePolicy): FieldChange[] {
  const { gates: gatesBefore, ...specBefore } = before.spec;
  const { gates: gatesAfter, ...specAfter } = after.spec;
  const names = new Set([...gatesBefore, ...gatesAfter].map(({ name }) => name));
  const gates = [...names].flatMap((name) => {
    const named = (gate: Gate): boolean => gate.name === name;
    return classifyGate(name, gatesBefore.find(named), gatesAfter.find(named));
  });
  const others = [...fields(specBefore, specAfter, '')].map((field) => ({
    ...field,
    item: field.path.split('.').slice(0, 2).join('.'),
    slant: (rules.get(field.path) ?? (() => 'loosen'))(field.before, field.after),
  }));
  return [...gates, ...others];
}

type Field = Omit<FieldChange, 'slant' | 'item'>;

/** Values that differ; lists are one value. */
function* fields(before: unknown, after: unknown, path: string): Generator<Field> {
  if (isMap(before) && isMap(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)]))
      yield* fields(before[key], after[key], path === '' ? key : `${path}.${key}`);
    return;
  }
  if (before === after) return;
  if (before === undefined || after === undefined || canonical(before) !== canonical(after))
    yield { path, before, after };
}

function classifyGate(item: string, before: Gate | undefined, after: Gate | undefined): FieldChange[] {
  const path = `gates.${item}`;
  if (after === undefined) return [{ path, item, before, after, slant: 'loosen' }];
  if (before === undefined) return [{ path, item, before, after, slant: 'tighten' }];
  const found = [...fields(gateFields(before), gateFields(after), '')];
  // A tier has its own action and its own stickiness: what follows from it is said once.
  const own = before.tier === after.tier ? found : found.filter(({ path: at }) => at !== 'action' && at !== 'sticky');
  return own.map((field) => ({ ...field, item, path: `${path}.${field.path}`, slant: slantOf(field, before, after) }));
}

/** `clear` says something only of a hold that is not sticky. */
function gateFields({ clear, sticky, ...gate }: Gate): JsonMap {
  return { ...gate, sticky, ...(sticky ? {} : { clear: clear?.consecutive ?? null }) };
}

function slantOf({ path, before, after }: Field, old: Gate, fresh: Gate): Slant {
  switch (path) {
    case 'owner':
    case 'runbook':
      return 'neither';
    case 'tier':
      // A kill asks for more evidence than a hold, so a gate that kills no longer holds where it did.
      return when(old.tier === 'watch' && fresh.tier === 'hold');
    case 'when':
      return ranked('all', 'any')(before, after);
    case 'minSamples':
      return fresh.minSamples < old.minSamples ? 'neither' : 'loosen';
    case 'consecutive':
      if (fresh.consecutive > old.consecutive) return 'loosen';
      return fresh.tier === 'kill' ? 'neither' : 'tighten';
    case 'action':
      return ranked('hold', 'step_back')(before, after);
    case 'sticky':
      return yes(before, after);
    case 'clear':
      // Absent beside the other side's stickiness, which is its own line.
      if (before === undefined || after === undefined) return 'neither';
      return after === null ? 'tighten' : higher(before, after);
    case 'appliesTo.stages.from':
      return fresh.appliesTo.stages.from < old.appliesTo.stages.from ? 'neither' : 'loosen';
    case 'appliesTo.stages.to':
      return fresh.appliesTo.stages.to > old.appliesTo.stages.to ? 'neither' : 'loosen';
    case 'tests':
      return when(areTighter(old.tests, fresh.tests));
    case 'inconclusive':
      // Without a rule the unproven waits for ever.
      return when(fresh.inconclusive !== null && fresh.inconclusive.action !== 'advance');
    case 'inconclusive.after':
      return (fresh.inconclusive?.action === 'advance' ? higher : lower)(before, after);
    case 'inconclusive.action':
      return ranked('advance', 'hold', 'ask', 'step_back')(before, after);
    default:
      return 'loosen';
  }
}

/** Test by test, in order. One more test is not tighter: the evidence of `any` is an average, of `all` the least. */
function areTighter(before: readonly Test[], after: readonly Test[]): boolean {
  return (
    before.length === after.length &&
    before.every((test, i) => {
      const other = after[i];
      return other !== undefined && isTighter(test, other);
    })
  );
}

function isTighter(before: Test, after: Test): boolean {
  if (before.type === 'absolute' || after.type === 'absolute')
    return (
      before.type === 'absolute' &&
      after.type === 'absolute' &&
      isEasier(before.confidence, after.confidence) &&
      isWithin(before.max, after.max) &&
      isWithin(negative(before.min), negative(after.min))
    );
  if (before.type === 'non_inferior' || after.type === 'non_inferior')
    return (
      before.type === after.type &&
      after.margin <= before.margin &&
      typeof before.confidence === 'number' &&
      typeof after.confidence === 'number' &&
      after.confidence >= before.confidence
    );
  return before.type === after.type && after.margin <= before.margin && isEasier(before.confidence, after.confidence);
}

type Confidence = Exclude<Test, { type: 'non_inferior' }>['confidence'];

/** The same kind of certainty, and no more of it: kinds of certainty are not comparable. */
function isEasier(before: Confidence, after: Confidence): boolean {
  return before === after || (typeof before === 'number' && typeof after === 'number' && after < before);
}

function isWithin(before: number | null, after: number | null): boolean {
  return before === null || after === null ? before === after : after <= before;
}

const negative = (value: number | null): number | null => (value === null ? null : -value);
