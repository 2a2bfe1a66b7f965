import type { Evidence, Stratum } from '../evidence.ts';
import type { Gate } from '../policy.ts';
import type { Signal } from '../signal.ts';
import type { GateEvidence } from './tests.ts';
import { type Trimmable, trimmingOf } from './trimming.ts';
import { withoutHeaviest } from './without-network.ts';

export interface Breach extends Trimmable {
  readonly evidence: Evidence;
  readonly gate: Pick<Gate, 'tests' | 'when'>;
  /** Reads the same gate on other strata. */
  readonly readOn: (strata: readonly Stratum[]) => Pick<GateEvidence, 'logE' | 'pointBreach'>;
}

const leastTokens = 30;
const leastNetworks = 5;
/** Networks are forgotten after a day. */
const rememberedMs = 24 * 3_600_000;
/** ln e-value that is to remain without the heaviest network: by itself wrong at most once in fifty. */
const remaining = Math.log(50);

/**
 * Whether a breach may be one sender's work (rollout.md §7.2). Null when it holds in every way it has to, else the
 * sentence that says in which it does not; a kill is then a hold until the evidence is broader.
 *
 * - Trimmed: without the three of the treatment's 64 shards that have the most excess, the estimate is still beyond the
 *   limit. One token is one unit, and so in one shard. Control stays whole: to drop its worst shards as well would take
 *   away on both sides of the comparison and undo the trimming.
 * - Without the heaviest network of either arm, evidence of the last 24 hours against the limit remains; nobody knows
 *   any more who sent what is older. The estimate is then beyond the limit too.
 *   An office that is heavy in both arms must not be missing from one.
 * - The treatment's beacons come from enough tokens and networks.
 *
 * Where beacons cannot be forged (`concentration` is null) nothing is asked.
 *
 * Silence is about units that were issued and never heard of. Those have shards, so it is trimmed; but who is silent
 * shows neither a network nor a token, and a treatment that blanks the page has none at all: to ask for them would
 * spare exactly the flag that silence is there to kill.
 */
export function concentrationOf(breach: Breach): string | null {
  const { evidence, signal } = breach;
  if (evidence.concentration === null) return null;
  const trimmed = trimmedText(breach);
  if (trimmed !== null || signal.spec.source.event === 'silence') return trimmed;
  const { treatment, control } = evidence.concentration;
  if (treatment.tokens < leastTokens || treatment.networks < leastNetworks)
    return say(
      `beacons with the flag come from ${treatment.tokens} tokens and ${treatment.networks} networks, at least ${leastTokens} and ${leastNetworks} are asked for`,
    );
  if (treatment.heaviest === null && control.heaviest === null) return null;
  const attributed = evidence.strata.filter(({ hour }) => hour > evidence.asOf - rememberedMs);
  const { logE, pointBreach } = breach.readOn(withoutHeaviest(attributed, treatment, control));
  if (pointBreach || (logE ?? 0) >= remaining) return null;
  return say(
    `without the heaviest network (${percent(treatment.heaviest?.share ?? 0)} of the page views with the flag) evidence of ${Math.max(0, logE ?? 0).toFixed(1)} remains, ${remaining.toFixed(1)} is asked for`,
  );
}

/** Share of an arm's page views from which one network makes it suspect (stats.md §13). */
const heavyShare = 0.05;
/** Page views of a network below which its share is chance. */
const measurableViews = 20;

/**
 * Whether one network has so much of an arm that the evidence deserves no trust: reliability's hygiene is then 0. Not of
 * silence: where most of an arm is silent, the few that are heard come from few networks.
 */
export function isConcentrated({ spec }: Signal, { concentration }: Pick<Evidence, 'concentration'>): boolean {
  if (concentration === null || spec.source.event === 'silence') return false;
  return [concentration.treatment, concentration.control].some(({ heaviest }) => {
    if (heaviest === null || heaviest.share <= heavyShare) return false;
    return heaviest.parts.reduce((sum, { cell }) => sum + (cell.counts.views ?? 0), 0) >= measurableViews;
  });
}

const say = (what: string): string => `evidence_concentrated: ${what}`;
const percent = (share: number): string => `${Number((100 * share).toFixed(share < 0.1 ? 1 : 0))} %`;

/** Null when the breach outlives the trimming. */
function trimmedText(breach: Breach): string | null {
  const { gate, signal } = breach;
  const tests = gate.tests.filter((test) => test.type !== 'non_inferior');
  const trimmed = trimmingOf(breach);
  if (trimmed === null) return say(`nothing of ${signal.metadata.name} is kept by shards of units to trim it by`);
  const beyond = gate.when === 'all' ? tests.every(trimmed.isBeyond) : tests.some(trimmed.isBeyond);
  if (beyond) return null;
  const { dropped, droppedShards, shards, of } = trimmed;
  const events = dropped.y === null ? '' : ` and ${percent(dropped.y)} of its events`;
  return say(
    `${droppedShards} of ${shards} shards carry the breach, with ${percent(dropped.n)} of the treatment's ${of}${events}`,
  );
}
