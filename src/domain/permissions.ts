export const roles = ['viewer', 'operator', 'approver', 'admin', 'ci', 'ingest', 'sdk-server', 'sdk-client'] as const;
export type Role = (typeof roles)[number];

export const permissions = [
  'read',
  'rollout.lower',
  'env.freeze',
  'rollout.resume',
  'plan.apply',
  'rollout.operate',
  'stage.approve',
  'rollout.raise',
  'gate.override',
  'env.unfreeze',
  'policy.tighten',
  'policy.loosen',
  'access.manage',
  'beacons.send',
  'rules.read',
  'flags.evaluate',
] as const;
export type Permission = (typeof permissions)[number];

/**
 * `request` and `approve` are two halves of one act in a protected environment, by two different subjects. Elsewhere
 * one subject with either half suffices. Whose own plan it is, is not a matter of roles: `applyVerb` checks the author.
 */
export type Grant = 'yes' | 'request' | 'approve' | 'no';

const all: Grant = 'yes';
const none: Grant = 'no';

/** Columns in the order of `roles`. */
const table: { readonly [p in Permission]: readonly [Grant, Grant, Grant, Grant, Grant, Grant, Grant, Grant] } = {
  //                 viewer operator   approver   admin      ci         ingest sdk-srv sdk-client
  read: [all, all, all, all, all, none, none, none],
  'rollout.lower': [none, all, all, all, all, none, none, none],
  'env.freeze': [none, all, all, all, all, none, none, none],
  'rollout.resume': [none, all, all, all, none, none, none, none],
  'plan.apply': [none, all, none, all, all, none, none, none],
  'rollout.operate': [none, all, none, all, all, none, none, none],
  'stage.approve': [none, none, all, none, none, none, none, none],
  'rollout.raise': [none, 'request', 'approve', 'request', 'request', none, none, none],
  'gate.override': [none, 'request', 'approve', 'request', none, none, none, none],
  'env.unfreeze': [none, 'request', 'approve', 'request', none, none, none, none],
  // Who may propose to loosen may tighten: a pipeline that applies the policies of a repository does both.
  'policy.tighten': [none, none, all, all, 'request', none, none, none],
  'policy.loosen': [none, none, 'approve', 'request', 'request', none, none, none],
  'access.manage': [none, none, none, all, none, none, none, none],
  'beacons.send': [none, none, none, none, none, all, none, all],
  'rules.read': [none, none, none, none, none, none, all, none],
  'flags.evaluate': [none, none, none, none, none, none, all, all],
};

/** Machines stop things, they do not tidy up: a CI token lowers by these verbs only. */
const ciLowersBy: readonly string[] = ['kill', 'hold'];

export function grantOf(role: Role, permission: Permission): Grant {
  return table[permission][roles.indexOf(role)] ?? 'no';
}

/**
 * What a role may do alone. `request` means that a protected environment asks a second subject; elsewhere it is as good
 * as `yes`. Name the verb where one is meant: CI lowers by kill and hold only.
 */
export function allowed(role: Role, permission: Permission, verb?: string): 'yes' | 'request' | 'no' {
  if (role === 'ci' && permission === 'rollout.lower' && verb !== undefined && !ciLowersBy.includes(verb)) return 'no';
  const grant = grantOf(role, permission);
  return grant === 'approve' ? 'request' : grant;
}
