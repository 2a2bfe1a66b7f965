import type { Approval } from './document.ts';
import { formatDuration } from './duration.ts';
import type { Known, Report } from './lint-report.ts';
import type { RolloutPlan, Stage } from './plan.ts';
import type { GatePolicy } from './policy.ts';

/**
 * Rules P01 to P16 of rollout.md §6.1. Two of them cannot fire yet: P08 (a drill names an unknown gate), because the
 * format refuses drills, and P14 (nobody can approve) unless `known.members` says who is in which group, which no part of
 * the controller knows.
 */
export function lintPlan(plan: RolloutPlan, policies: readonly GatePolicy[], known: Known, report: Report): void {
  stages(plan, report);
  durations(plan, report);
  waves(plan, report);
  windows(plan, report);
  policy(plan, policies, known, report);
  approvals(plan, known, report);
  for (const environment of environmentsOf(plan, known))
    if (plan.spec.preflight.mode === 'skip' && known.protectedEnvironments.includes(environment))
      report(
        'P16',
        'warning',
        ['spec', 'preflight'],
        `${environment} is protected and nothing checks the telemetry before people are exposed; watch the first stage`,
      );
}

function stages({ spec }: RolloutPlan, report: Report): void {
  const at = (index: number, field: string) => ['spec', 'stages', index, field];
  for (const [index, stage] of spec.stages.entries()) {
    const before = spec.stages[index - 1]?.exposure ?? 0;
    const final = index === spec.stages.length - 1;
    if (stage.exposure <= 0 || stage.exposure > 100)
      report(
        'P01',
        'error',
        at(index, 'exposure'),
        `exposure ${stage.exposure} is not above 0 and at most 100 percent`,
      );
    else if (stage.exposure <= before)
      report(
        'P01',
        'error',
        at(index, 'exposure'),
        `exposure ${stage.exposure} does not rise above ${before}; order the stages`,
      );
    if (final && stage.exposure < 100)
      report(
        'P02',
        'warning',
        at(index, 'exposure'),
        `the last stage is ${stage.exposure} %, so the flag never finishes; add a stage of 100`,
      );
    if (stage.exposure > 50 && spec.comparison.holdback === null)
      report(
        'P03',
        'error',
        at(index, 'exposure'),
        `${stage.exposure} % leaves too little to compare with; add \`comparison: {holdback: {percent: 1}}\``,
      );
    if (!final) waits(stage, (field) => at(index, field), report);
    if (stage.maxDwell !== null && stage.bake >= stage.maxDwell)
      report(
        'P06',
        'error',
        at(index, 'bake'),
        `bakes ${formatDuration(stage.bake)} but must leave after ${formatDuration(stage.maxDwell)}; raise \`maxDwell\``,
      );
    if (before > 0 && stage.exposure > 5 * before)
      report(
        'P10',
        'warning',
        at(index, 'exposure'),
        `grows from ${before} % to ${stage.exposure} % in one step; put a stage between`,
      );
    const cap = spec.pace.maxIncreasePerDay;
    if (cap !== null && stage.exposure - before > cap)
      report(
        'P11',
        'error',
        at(index, 'exposure'),
        `rises by ${stage.exposure - before} points where ${cap} a day are allowed, so it is never entered; raise \`pace.maxIncreasePerDay\` or add a stage`,
      );
  }
}

function waits(stage: Stage, at: (field: string) => (string | number)[], report: Report): void {
  if (stage.bake === 0)
    report(
      'P04',
      'error',
      at('bake'),
      `stage ${stage.name} has no \`bake\`; say how long it is watched before the next, for example 20m`,
    );
  if (stage.maxDwell === null)
    report('P05', 'warning', at('maxDwell'), `stage ${stage.name} may wait for ever; add \`maxDwell\`, for example 6h`);
}

function durations({ spec }: RolloutPlan, report: Report): void {
  const { maxDuration } = spec.limits;
  const { mode, duration } = spec.preflight;
  // The duration counts from the start, and a preflight comes after it.
  const preflight = mode === 'skip' ? 0 : duration;
  const needed = spec.stages.reduce((sum, stage) => sum + stage.bake, preflight + spec.soak.bake);
  if (maxDuration !== null && needed > maxDuration)
    report(
      'P09',
      'error',
      ['spec', 'limits', 'maxDuration'],
      `${preflight === 0 ? 'bakes and soak' : 'preflight, bakes and soak'} take ${formatDuration(needed)}, more than the ${formatDuration(maxDuration)} allowed; raise \`maxDuration\``,
    );
}

function waves({ spec }: RolloutPlan, report: Report): void {
  const after = new Map(spec.waves.map((wave) => [wave.name, wave.after?.wave ?? null]));
  for (const [index, wave] of spec.waves.entries()) {
    const at = ['spec', 'waves', index, 'after', 'wave'];
    if (wave.after === null) continue;
    if (!after.has(wave.after.wave)) {
      report('P12', 'error', at, `there is no wave "${wave.after.wave}"; name one of ${[...after.keys()].join(', ')}`);
      continue;
    }
    const seen = new Set<string>();
    let next: string | null = wave.name;
    while (next !== null && !seen.has(next)) {
      seen.add(next);
      next = after.get(next) ?? null;
    }
    if (next === wave.name)
      report('P12', 'error', at, `the waves ${[...seen].join(', ')} wait for each other; let one of them start first`);
  }
}

function windows({ spec }: RolloutPlan, report: Report): void {
  for (const [index, opening] of spec.windows.allow.entries())
    if (opening.to <= opening.from)
      report(
        'P13',
        'error',
        ['spec', 'windows', 'allow', index],
        'never opens: it ends before it begins; write two openings to cross midnight',
      );
}

function environmentsOf({ spec }: RolloutPlan, known: Known): ReadonlySet<string> {
  return new Set(spec.waves.length === 0 ? [known.environment] : spec.waves.map((wave) => wave.environment));
}

function policy(plan: RolloutPlan, policies: readonly GatePolicy[], known: Known, report: Report): void {
  const at = ['spec', 'policy'];
  const found = policies.find(({ metadata }) => `${metadata.name}@${metadata.version}` === plan.spec.policy);
  if (found === undefined) {
    if (known.unresolved?.includes(plan.spec.policy)) return;
    const name = plan.spec.policy.split('@')[0];
    const others = policies.filter(({ metadata }) => metadata.name === name).map(({ metadata }) => metadata.version);
    const hint =
      others.length > 0 ? `there is version ${others.join(', ')}` : 'apply the policy first, or together with the plan';
    const missing = known.complete ? 'there is no policy' : 'among these files there is no policy';
    report('P07', known.complete ? 'error' : 'warning', at, `${missing} ${plan.spec.policy}; ${hint}`);
    return;
  }
  const { scope } = found.spec;
  const { project } = plan.metadata;
  if (scope.projects.length > 0 && (project === null || !scope.projects.includes(project)))
    report(
      'P07',
      'error',
      at,
      `${plan.spec.policy} is for the projects ${scope.projects.join(', ')}, not ${project ?? 'a plan without one'}; use another policy`,
    );
  for (const environment of environmentsOf(plan, known))
    if (scope.environments.length > 0 && !scope.environments.includes(environment))
      report(
        'P07',
        'error',
        at,
        `${plan.spec.policy} is for ${scope.environments.join(', ')}, not ${environment}; use another policy`,
      );
  const regions = plan.spec.waves.flatMap((wave) => (wave.regions.length === 0 ? ['*'] : wave.regions));
  const outside = (plan.spec.waves.length === 0 ? ['*'] : regions).filter((region) => !covered(region, scope.regions));
  if (scope.regions.length > 0 && outside.length > 0)
    report(
      'P07',
      'error',
      at,
      `${plan.spec.policy} is for the regions ${scope.regions.join(', ')}, which leaves out ${outside.join(', ')}; narrow the waves or use another policy`,
    );
  samples(plan, found, report);
}

/** Whether every region that `region` matches is matched by one of `patterns`. */
function covered(region: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith('*') ? region.startsWith(pattern.slice(0, -1)) : region === pattern,
  );
}

function samples({ spec }: RolloutPlan, found: GatePolicy, report: Report): void {
  for (const [index, stage] of spec.stages.slice(0, -1).entries()) {
    const applying = found.spec.gates.filter(
      ({ appliesTo }) => appliesTo.stages.from <= stage.exposure && stage.exposure <= appliesTo.stages.to,
    );
    const most = applying.toSorted((a, b) => b.minSamples - a.minSamples)[0];
    if (most !== undefined && stage.minSamples < most.minSamples)
      report(
        'P15',
        'warning',
        ['spec', 'stages', index, 'minSamples'],
        `stage ${stage.name} asks for ${stage.minSamples} units per arm and gate ${most.name} for ${most.minSamples}: the stage may pass before the gate speaks; raise \`minSamples\``,
      );
  }
}

function approvals({ spec }: RolloutPlan, known: Known, report: Report): void {
  check(spec.start.approval, ['spec', 'start', 'approval', 'roles'], known, report);
  for (const [index, stage] of spec.stages.entries())
    check(stage.approval, ['spec', 'stages', index, 'approval', 'roles'], known, report);
}

function check(approval: Approval | null, at: readonly (string | number)[], known: Known, report: Report): void {
  if (approval === null || known.members === undefined) return;
  const { members, author } = known;
  const able = new Set(approval.roles.flatMap((role) => members[role] ?? []));
  if (approval.notAuthor && author !== undefined) able.delete(author);
  if (able.size < approval.count)
    report(
      'P14',
      'error',
      at,
      `${approval.count} must approve and ${able.size} can: ${approval.roles.join(', ')} has too few members besides the author; add people or another role`,
    );
}
