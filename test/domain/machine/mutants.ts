import type { Rule } from '../../../src/domain/decide.ts';
import type { Transition } from '../../../src/domain/machine.ts';
import { freezeOn } from '../../../src/domain/world.ts';
import { type Machine, machine } from './explore.ts';

/** A machine with one planted bug. The comment names a product in which it was real. */
export interface Mutant {
  readonly name: string;
  /** The invariant that it must break. */
  readonly breaks: string;
  readonly machine: Machine;
}

function rule(name: string): Rule {
  const found = machine.precedence.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no rule is called ${name}`);
  return found;
}

function first(...names: readonly string[]): Rule[] {
  return [...names.map(rule), ...machine.precedence.filter(({ name }) => !names.includes(name))];
}

function replaced(name: string, decide: Rule['decide']): Rule[] {
  return machine.precedence.map((each) => (each.name === name ? { name, decide } : each));
}

function rows(matches: (row: Transition) => boolean, change: (row: Transition) => Transition): Transition[] {
  return machine.table.map((row) => (matches(row) ? change(row) : row));
}

const stays = { action: 'stay', transition: null, cause: 'tick', because: 'frozen' } as const;
const resumes = { action: 'stay', transition: 'T23', cause: 'timer:clear', because: 'clear' } as const;

export const mutants: readonly Mutant[] = [
  // growthbook: the timer of a stage is asked before its guardrails
  { name: 'timer before kill', breaks: 'I1', machine: { ...machine, precedence: first('waits') } },
  {
    name: 'freeze blocks lowering (tick)',
    breaks: 'I1',
    machine: {
      ...machine,
      precedence: [
        { name: 'frozen', decide: ({ rollout, world, now }) => (freezeOn(rollout, world, now.wall) ? stays : null) },
        ...machine.precedence,
      ],
    },
  },
  {
    name: 'freeze blocks lowering (person)',
    breaks: 'I4',
    machine: {
      ...machine,
      table: rows(
        ({ id }) => id === 'T22',
        (row) => ({ ...row, guards: [...row.guards, 'not_frozen'] }),
      ),
    },
  },
  {
    name: 'approval carries over',
    breaks: 'I9',
    machine: {
      ...machine,
      effects: {
        ...machine.effects,
        ramp: (step) => {
          const after = machine.effects.ramp(step);
          return { ...after, state: { ...after.state, approved: step.rollout.state.approved } };
        },
      },
    },
  },
  {
    name: 'approval is not asked for',
    breaks: 'I9',
    machine: { ...machine, conditions: machine.conditions.filter(({ name }) => name !== 'approval') },
  },
  // growthbook: steps that were missed are made up in one jump
  {
    name: 'backlog folded into one jump',
    breaks: 'I6',
    machine: {
      ...machine,
      effects: {
        ...machine.effects,
        ramp: (step) => {
          const once = machine.effects.ramp(step);
          const more = step.rollout.progress.bakedMs > 4 * 3_600_000 && once.state.phase === 'ramping';
          return more ? machine.effects.ramp({ ...step, rollout: once }) : once;
        },
      },
    },
  },
  {
    name: 'sticky hold auto-resumes',
    breaks: 'I7',
    machine: { ...machine, conditions: machine.conditions.filter(({ name }) => name !== 'person') },
  },
  // growthbook: an inconclusive guardrail ships
  {
    name: 'inconclusive ships',
    breaks: 'I3',
    machine: {
      ...machine,
      precedence: machine.precedence.filter(({ name }) => name !== 'inconclusive'),
      conditions: machine.conditions.filter(({ name }) => name !== 'proof'),
    },
  },
  // fluxcd/flagger#1801
  {
    name: 'kill not watched while held',
    breaks: 'I1',
    machine: {
      ...machine,
      precedence: replaced('kill gate', (question, waits) =>
        question.rollout.state.phase === 'held' ? null : rule('kill gate').decide(question, waits),
      ),
    },
  },
  // argoproj/argo-rollouts#1411
  {
    name: 'late success un-kills',
    breaks: 'I2',
    machine: {
      ...machine,
      table: rows(
        ({ id }) => id === 'T23',
        (row) => ({ ...row, from: ['held', 'killed'] }),
      ),
      precedence: [
        {
          name: 'late success',
          decide: ({ rollout, looked }) =>
            rollout.state.phase === 'killed' && looked.readings.every(({ verdict }) => verdict === 'pass')
              ? resumes
              : null,
        },
        ...machine.precedence,
      ],
    },
  },
  {
    name: 'frozen allows skip',
    breaks: 'I4',
    machine: {
      ...machine,
      table: rows(
        ({ id }) => id === 'T9',
        (row) => ({ ...row, guards: row.guards.filter((guard) => guard !== 'not_frozen') }),
      ),
    },
  },
  {
    name: 'a preflight that failed goes on',
    breaks: 'I3',
    machine: {
      ...machine,
      precedence: machine.precedence.filter(({ name }) => name !== 'preflight'),
      conditions: machine.conditions.filter(({ name }) => name !== 'preflight'),
    },
  },
  {
    name: 'a preflight exposes whom it should only count',
    breaks: 'I3',
    machine: { ...machine, effects: { ...machine.effects, start: machine.effects.begin } },
  },
  {
    name: 'frozen lets a preflight end in exposure',
    breaks: 'I4',
    machine: {
      ...machine,
      conditions: machine.conditions.map((each) =>
        each.name === 'freeze' ? { ...each, phases: each.phases.filter((phase) => phase !== 'preflight') } : each,
      ),
    },
  },
  {
    name: 'a failed preflight tries again by itself',
    breaks: 'I7',
    machine: {
      ...machine,
      precedence: [
        {
          name: 'try again',
          decide: ({ rollout }) => (rollout.state.heldBy === 'preflight' ? resumes : null),
        },
        ...machine.precedence,
      ],
    },
  },
  {
    name: 'a quick look ramps',
    breaks: 'raises only',
    machine: { ...machine, conditions: machine.conditions.filter(({ name }) => name !== 'look') },
  },
  {
    name: 'no data passes',
    breaks: 'I5',
    machine: {
      ...machine,
      conditions: machine.conditions.filter(({ name }) => name !== 'evidence' && name !== 'gates'),
    },
  },
  {
    name: 'ramp before deadline',
    breaks: 'I5',
    machine: { ...machine, precedence: first('latch', 'kill gate', 'waits', 'up') },
  },
  {
    name: 'rearm goes back to where it was',
    breaks: 'I11',
    machine: {
      ...machine,
      effects: { ...machine.effects, rearm: (step) => machine.effects.start(step) },
    },
  },
];
