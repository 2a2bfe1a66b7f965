import type { Command } from 'commander';
import type { Latch } from '../domain/rollout.ts';
import type { RolloutView, VerbResult } from '../http/views.ts';
import { connect, rolloutPath } from './client.ts';
import { type CommonOptions, command, print } from './command.ts';
import { coloursOf, formatExposure, paintPhase } from './format.ts';
import type { Io } from './io.ts';

interface Verb {
  readonly name: string;
  readonly about: string;
  /** An act that somebody must be able to understand later needs a reason; a kill must never wait for one. */
  readonly reason: 'required' | 'optional';
  /** Works on a flag with all its rollouts as well. */
  readonly flag?: true;
  readonly example: string;
}

const verbs: readonly Verb[] = [
  { name: 'start', about: 'start a scheduled rollout', reason: 'optional', example: 'start checkout-v2' },
  { name: 'approve', about: 'approve the start or the next stage', reason: 'optional', example: 'approve checkout-v2' },
  {
    name: 'reject',
    about: 'send a plan back to its author',
    reason: 'required',
    example: 'reject checkout-v2 --reason "no runbook"',
  },
  {
    name: 'hold',
    about: 'freeze exposure where it is',
    reason: 'required',
    example: 'hold checkout-v2 --reason "looking at SHOP-991"',
  },
  {
    name: 'resume',
    about: 'leave a hold at the same exposure',
    reason: 'required',
    example: 'resume checkout-v2 --reason "cause was the CDN"',
  },
  {
    name: 'step-back',
    about: 'go back one stage and hold there',
    reason: 'required',
    example: 'step-back checkout-v2 --reason "too slow"',
  },
  {
    name: 'skip-bake',
    about: 'go to the next stage without waiting out the bake',
    reason: 'required',
    example: 'skip-bake checkout-v2 --reason "hotfix"',
  },
  {
    name: 'kill',
    about: 'exposure 0 for everybody, until somebody rearms',
    reason: 'optional',
    flag: true,
    example: 'kill checkout-v2 --reason "payments fail"',
  },
  {
    name: 'rearm',
    about: 'clear a kill; the rollout starts over at 0, through approval',
    reason: 'required',
    flag: true,
    example: 'rearm checkout-v2 --reason "null cart" --fix SHOP-1002',
  },
  {
    name: 'cancel',
    about: 'end a rollout at exposure 0',
    reason: 'required',
    example: 'cancel checkout-v2 --reason "superseded by v3"',
  },
  {
    name: 'promote',
    about: 'go to the last stage at once, with its holdback',
    reason: 'required',
    example: 'promote checkout-v2 --full --reason "security fix"',
  },
];

interface VerbOptions extends CommonOptions {
  readonly reason?: string;
  readonly flag?: true;
  readonly fix?: string;
}

/** Operator verbs: one POST each. */
export function registerVerbs(program: Command, io: Io): void {
  for (const verb of verbs) {
    const made = command(program, `${verb.name} <name>`, verb.about, verb.example);
    if (verb.reason === 'required') made.requiredOption('--reason <text>', 'why; kept in the audit log');
    else made.option('--reason <text>', 'why; kept in the audit log');
    if (verb.flag) made.option('--flag', '<name> is a flag key: all its rollouts in the environment');
    if (verb.name === 'rearm') made.option('--fix <reference>', 'issue or change that removes the cause');
    if (verb.name === 'promote') made.requiredOption('--full', 'confirms that everybody gets it');
    made.action((name: string, options: VerbOptions) => run(io, verb, name, options));
  }
}

interface FlagResult {
  readonly flag: string;
  readonly environment: string;
  readonly latch: Latch | null;
  readonly rollouts: readonly RolloutView[];
}

async function run(io: Io, verb: Verb, name: string, options: VerbOptions): Promise<void> {
  const client = await connect(io);
  const { environment, fix } = options;
  const reason = fix === undefined ? options.reason : `${options.reason ?? ''} (fix: ${fix})`;
  const request = { query: { environment }, body: reason === undefined ? {} : { reason } };
  if (options.flag) {
    const path = `/api/v1/flags/${encodeURIComponent(name)}/${verb.name}`;
    const result = await client.send<FlagResult>('POST', path, request);
    print(io, options, result, () => describeFlag(io, result));
    return;
  }
  const result = await client.send<VerbResult>('POST', rolloutPath(name, verb.name), request);
  const { from, to } = result.decision.exposure;
  print(io, options, result, () =>
    [
      `${rolloutLine(io, result.rollout)}  (was ${formatExposure(from)}, is ${formatExposure(to)})`,
      `  ${result.decision.why}`,
    ]
      .join('\n')
      .trimEnd(),
  );
}

function describeFlag(io: Io, { flag, environment, latch, rollouts }: FlagResult): string {
  const said = latch === null ? 'is not latched: plans may expose it again' : 'is latched: nothing exposes it';
  return [`flag ${flag} in ${environment} ${said}`, ...rollouts.map((view) => `  ${rolloutLine(io, view)}`)].join('\n');
}

function rolloutLine(io: Io, { name, environment, state, exposure }: RolloutView): string {
  const phase = paintPhase(state.phase, coloursOf(io))(state.phase.toUpperCase());
  return `${name}  ${environment}  ${phase}  ${formatExposure(exposure)}`;
}
