import { canonical } from './canonical.ts';
import type { Inherited } from './catalogue.ts';
import { classifyChange } from './classify.ts';
import { formatDuration } from './duration.ts';
import type { Known, Report } from './lint-report.ts';
import type { Gate, GatePolicy } from './policy.ts';
import { findSignal, type Signal } from './signal.ts';

/** Rules G01 to G14 of rollout.md §7.3, and G15: one conversion, one maturity. */
export function lintPolicy(policy: GatePolicy, signals: readonly Signal[], known: Known, report: Report): void {
  const { spec } = policy;
  for (const [index, gate] of spec.gates.entries()) {
    const here: Report = (id, severity, at, message) =>
      report(id, severity, ['spec', 'gates', index, ...at], `gate ${gate.name} ${message}`);
    evidence(gate, policy, signals, known, here);
    tests(gate, here);
    duties(gate, policy, known, here);
    stricter(gate, spec.gates, here);
  }
  maturities(spec.gates, signals, report);
  const { watch, hold, kill } = spec.reliability.minimum;
  if (watch > hold || hold > kill)
    report(
      'G08',
      'error',
      ['spec', 'reliability', 'minimum'],
      `minimums must rise with the tier, watch ${watch} <= hold ${hold} <= kill ${kill}; order them`,
    );
  if (spec.gates.every((gate) => gate.tier !== 'kill'))
    report(
      'G09',
      'warning',
      ['spec', 'gates'],
      'no gate can kill, so harm waits for a person; add one of `tier: kill`',
    );
  const lockable = [
    ...spec.gates.map((gate) => gate.name),
    ...Object.keys(spec.health).map((check) => `health.${check}`),
  ];
  for (const [index, name] of spec.governance.locked.entries())
    if (!lockable.includes(name))
      report(
        'G10',
        'error',
        ['spec', 'governance', 'locked', index],
        `there is no "${name}" to lock; use one of ${lockable.join(', ')}`,
      );
  const inherited = known.inherited?.get(`${policy.metadata.name}@${policy.metadata.version}`);
  if (inherited !== undefined) locks(policy, inherited, report);
}

/** What anybody above has locked is at least as tight here as in the policy that is extended. */
function locks(policy: GatePolicy, { parent, lockedBy }: Inherited, report: Report): void {
  for (const { path, item, before, after, slant } of classifyChange(parent, policy)) {
    const locker = lockedBy.get(item);
    if (slant !== 'loosen' || locker === undefined) continue;
    const gate = policy.spec.gates.findIndex(({ name }) => name === item);
    const at = gate < 0 ? ['spec', ...path.split('.')] : ['spec', 'gates', gate];
    const values = `from ${written(before)} to ${written(after)}`;
    report('G12', 'error', at, `${path} goes ${values}, and ${locker} locks ${item}; only tighten it`);
  }
}

const written = (value: unknown): string => (value === undefined ? 'nothing' : canonical(value));

function evidence(gate: Gate, { spec }: GatePolicy, signals: readonly Signal[], known: Known, report: Report): void {
  const signal = findSignal(gate.signal, signals);
  if (signal === null) {
    const missing = known.complete ? 'names the unknown signal' : 'names a signal that is not among these files:';
    report(
      'G01',
      known.complete ? 'error' : 'warning',
      ['signal'],
      `${missing} "${gate.signal}"; declare it or use ${[...new Set(signals.map(({ metadata }) => metadata.name))].join(', ')}`,
    );
    return;
  }
  if (signal.spec.class === 'surrogate' && gate.tier === 'kill')
    report(
      'G02',
      'error',
      ['tier'],
      `kills on the surrogate signal ${gate.signal}, which only stands for something else; use the tier hold or watch`,
    );
  if (signal.spec.freshness.staleAfter < spec.tick.interval)
    report(
      'G07',
      'warning',
      ['signal'],
      `reads ${gate.signal}, stale after ${formatDuration(signal.spec.freshness.staleAfter)}, once every ${formatDuration(spec.tick.interval)}; shorten \`tick.interval\``,
    );
}

/** Evidence counts the units of a conversion once: signals that wait differently for them would read the same numbers. */
function maturities(gates: readonly Gate[], signals: readonly Signal[], report: Report): void {
  const known = new Map<string, Signal>();
  for (const [index, gate] of gates.entries()) {
    const signal = findSignal(gate.signal, signals);
    if (signal === null || signal.spec.source.event !== 'conversion') continue;
    const { field } = signal.spec.source;
    const first = known.get(field) ?? signal;
    known.set(field, first);
    if (first.spec.maturity === signal.spec.maturity) continue;
    const waits = [first, signal].map(
      ({ metadata, spec }) => `${metadata.name}@${metadata.version} after ${formatDuration(spec.maturity)}`,
    );
    report(
      'G15',
      'error',
      ['spec', 'gates', index, 'signal'],
      `gate ${gate.name} disagrees on when the conversion "${field}" has failed to come: ${waits.join(', ')}; give both signals the same \`maturity\``,
    );
  }
}

function tests(gate: Gate, report: Report): void {
  for (const [index, test] of gate.tests.entries()) {
    if (test.type === 'non_inferior' && gate.inconclusive === null)
      report(
        'G03',
        'error',
        ['tests', index],
        'may never be proven; say what happens then: `inconclusive: {after: 24h, action: ask}`',
      );
    if (test.confidence === 'point' && gate.consecutive < 3)
      report(
        'G05',
        'warning',
        ['tests', index],
        `acts on the bare estimate of ${gate.consecutive} window${gate.consecutive > 1 ? 's' : ''}; set \`consecutive: 3\` or \`confidence: lower_bound\``,
      );
    if (test.type === 'absolute' && test.max === null && test.min === null)
      report('G06', 'error', ['tests', index], 'has an absolute test without a limit; add `max` or `min`');
  }
}

function duties(gate: Gate, { spec }: GatePolicy, known: Known, report: Report): void {
  if (gate.tier === 'hold' && !gate.sticky && gate.clear === null)
    report('G04', 'error', ['sticky'], 'never clears by itself; add `clear: {consecutive: 10}` or set `sticky: true`');
  const missing = (['owner', 'runbook'] as const).filter((field) => gate[field] === null);
  if (missing.length > 0)
    report('G11', 'error', [], `has no ${missing.join(' and no ')}; whoever is woken up needs both`);
  const { environments } = spec.scope;
  const guarded = known.protectedEnvironments.filter(
    (name) => environments.length === 0 || environments.includes(name),
  );
  if (gate.inconclusive?.action === 'advance' && guarded.length > 0)
    report(
      'G14',
      'warning',
      ['inconclusive', 'action'],
      `lets an unproven rollout advance in ${guarded.join(', ')}, which is protected; use ask or hold`,
    );
}

/** A kill gate that trips before the hold gate of its signal leaves nobody time to look. */
function stricter(gate: Gate, gates: readonly Gate[], report: Report): void {
  if (gate.tier !== 'kill') return;
  const mine = limitsOf(gate);
  for (const hold of gates.filter((other) => other.tier === 'hold' && nameOf(other) === nameOf(gate))) {
    const theirs = limitsOf(hold);
    const shared = mine.flatMap((limit) => {
      const other = theirs.find(({ scale }) => scale === limit.scale);
      return other === undefined ? [] : [{ index: limit.index, isTighter: limit.at < other.at }];
    });
    const tighter = shared.filter(({ isTighter }) => isTighter);
    // A kill that needs all of its tests comes after a hold that needs any, if one of them is the wider.
    if (gate.when === 'all' && hold.when === 'any' && tighter.length < shared.length) continue;
    for (const { index } of tighter)
      report('G13', 'warning', ['tests', index], `kills before ${hold.name} holds; give the kill the wider margin`);
  }
}

const nameOf = ({ signal }: Gate): string | undefined => signal.split('@')[0];

/** The limit on one scale at which a gate breaches; larger is wider, so the least tolerated value counts negative. */
interface Limit {
  readonly scale: 'max' | 'min' | 'relative' | 'difference';
  readonly at: number;
  readonly index: number;
}

/** Per scale the limit that decides: the tightest of a gate of `when: any`, the widest of one of `when: all`. */
function limitsOf(gate: Gate): Limit[] {
  const limits = gate.tests.flatMap((test, index): Limit[] => {
    if (test.type === 'non_inferior') return [];
    if (test.type !== 'absolute') return [{ scale: test.type, at: test.margin, index }];
    return [
      ...(test.max === null ? [] : [{ scale: 'max' as const, at: test.max, index }]),
      ...(test.min === null ? [] : [{ scale: 'min' as const, at: -test.min, index }]),
    ];
  });
  const ordered = limits.toSorted((a, b) => (gate.when === 'all' ? b.at - a.at : a.at - b.at));
  return ordered.filter(({ scale }, i) => ordered.findIndex((other) => other.scale === scale) === i);
}
