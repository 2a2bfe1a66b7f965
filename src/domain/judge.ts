import type { Evidence } from './evidence.ts';
import { readGates } from './gates/read.ts';
import { errorReading } from './gates/reading.ts';
import type { Looked } from './looked.ts';
import { preflightLook } from './preflight.ts';
import { type Judged, type Settle, settle } from './settle.ts';
import type { Signal } from './signal.ts';

export type { Judged } from './settle.ts';

export interface JudgeInput extends Settle {
  readonly evidence: Evidence;
  readonly signals: readonly Signal[];
  /** False leaves numbers and sentences out of the readings, for looks that nobody reads; verdicts are the same. */
  readonly detail?: boolean;
}

/** The one judgement: the tick, the simulations and the replay all ask it. Pure and total. */
export function judge(input: JudgeInput): Judged {
  return settle(input, lookAt(input));
}

/** A gate that throws reads `error` by itself (`readGates`); should the look as a whole throw, every gate does. */
function lookAt({ evidence, policy, signals, plan, rollout, look, detail = true, now }: JudgeInput): Looked {
  try {
    const looked = readGates({ evidence, policy, signals, plan, rollout, look, detail, now });
    if (rollout.state.phase !== 'preflight') return looked;
    return preflightLook({ evidence, policy, signals, plan, rollout }, looked);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return {
      readings: policy.spec.gates.map((gate) => errorReading(gate, message)),
      streaks: rollout.progress.streaks,
      references: rollout.references,
      coreOk: false,
      rampWaits: [],
    };
  }
}
