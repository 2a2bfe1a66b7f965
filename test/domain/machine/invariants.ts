import { type Edge, lookOf } from './explore.ts';

/** Without a preflight, the first stage is where evidence begins. */
function startsUnchecked({ plan, before }: Edge): boolean {
  return before.state.phase === 'scheduled' && plan.spec.preflight.mode === 'skip';
}

/** A law of the machine: null when the edge keeps it, else what went wrong. */
export type Invariant = (edge: Edge) => string | null;

const live = ['ramping', 'soaking', 'held'];
const over = ['killed', 'cancelled', 'superseded'];

function rises({ exposure }: Edge): boolean {
  return exposure.to > exposure.from;
}

function isTick({ event }: Edge): boolean {
  return event.kind === 'tick';
}

/** Whether the look of the event has nothing worse than pass, and usable evidence. */
function clean({ event, before }: Edge): boolean {
  if (event.look === null) return false;
  const { readings, coreOk } = lookOf(event.look, before.state.phase);
  return coreOk && readings.every(({ verdict }) => verdict === 'pass');
}

export function law(broken: (edge: Edge) => boolean): Invariant {
  return (edge) => (broken(edge) ? describe(edge) : null);
}

function describe({ event, before, after, exposure }: Edge): string {
  return `${JSON.stringify(event)}: ${JSON.stringify(before.state)} -> ${JSON.stringify(after.state)}, ${exposure.from} -> ${exposure.to}`;
}

export const invariants: { readonly [name: string]: Invariant } = {
  'I1 a kill wins from every live state in one step, frozen or not, held or not, awaiting approval or not': law(
    (edge) => {
      const { event, before, after } = edge;
      const byPerson = event.kind === 'verb' && event.verb === 'kill' && !over.includes(before.state.phase);
      const watched = (live.includes(before.state.phase) && before.state.stage >= 0) || before.state.sentinel;
      const byGate = event.kind === 'tick' && event.look.startsWith('kill') && watched;
      const byLatch = event.kind === 'tick' && event.latched && !over.includes(before.state.phase);
      return (byPerson || byGate || byLatch) && after.state.phase !== 'killed';
    },
  ),
  'I2 only a person leaves killed': law(
    (edge) => edge.before.state.phase === 'killed' && edge.after.state.phase !== 'killed' && isTick(edge),
  ),
  "I3 exposure rises only on fresh evidence, on preflight success, or by a named person's override": law((edge) => {
    if (!rises(edge) || !isTick(edge)) return false;
    return !startsUnchecked(edge) && !clean(edge);
  }),
  'I4 frozen never raises and never blocks a decrease': law((edge) => {
    const { event, before, after } = edge;
    if (!event.frozen) return false;
    if (rises(edge)) return true;
    const lowers = event.kind === 'verb' && ['kill', 'cancel', 'hold', 'step-back'].includes(event.verb);
    const hasEffect = event.kind === 'verb' && event.verb === 'step-back' ? before.state.stage > 0 : true;
    return lowers && hasEffect && [...live, 'preflight'].includes(before.state.phase) && after === before;
  }),
  'I5 no data, partial, stale, error, hold, inconclusive, deadline, dependency never raise': law((edge) => {
    const { event } = edge;
    if (event.kind !== 'tick' || !rises(edge)) return false;
    if (event.upstream === 'killed') return true;
    return !startsUnchecked(edge) && (!clean(edge) || (edge.before.state.stage >= 0 && event.counted === 'dwelt'));
  }),
  'I6 automatic rises are one stage; missed ticks are not made up': law(
    (edge) => isTick(edge) && rises(edge) && edge.after.state.stage !== edge.before.state.stage + 1,
  ),
  'I7 a sticky hold ends only by a person, a kill, or expiry to zero': law((edge) => {
    const { before, after } = edge;
    if (before.state.phase !== 'held' || !before.state.sticky || !isTick(edge)) return false;
    if (after.state.phase === 'held') return !after.state.sticky;
    return after.state.phase !== 'killed' && after.state.phase !== 'cancelled';
  }),
  'I8 leaving a hold never raises in the same step': law(
    (edge) => edge.before.state.phase === 'held' && edge.after.state.phase !== 'held' && rises(edge),
  ),
  'I9 an approval is for one stage': law((edge) => {
    const { before, after, plan } = edge;
    if (after.state.stage !== before.state.stage && after.state.approved !== null) return true;
    const asks = plan.spec.stages[after.state.stage]?.approval != null && after.state.stage > 0;
    return isTick(edge) && rises(edge) && asks && before.state.approved?.stage !== after.state.stage;
  }),
  'I10 terminal is terminal, except the kill of completed': law((edge) => {
    const { before, after } = edge;
    if (['cancelled', 'superseded'].includes(before.state.phase)) return after !== before;
    return before.state.phase === 'completed' && !['completed', 'killed'].includes(after.state.phase);
  }),
  'I11 rearm restarts at zero through approval': law((edge) => {
    const { before, after } = edge;
    if (before.state.phase !== 'killed' || after.state.phase === 'killed') return false;
    return after.state.phase !== 'pending_approval' || edge.exposure.to !== 0 || after.state.stage !== -1;
  }),
  'I12 from every state a person reaches exposure 0 with one command': law((edge) => {
    const { event } = edge;
    return event.kind === 'verb' && event.verb === 'kill' && edge.exposure.to !== 0;
  }),
};
