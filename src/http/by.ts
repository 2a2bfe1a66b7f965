import { z } from 'zod';
import type { By } from '../control/by.ts';
import type { Call } from './route.ts';

export const Name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, { error: 'a name is letters, digits, dots, dashes' });
/** Rollout names may name a wave after a slash. */
export const RolloutName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,62})?$/, {
  error: 'a rollout is <plan> or <plan>/<wave>',
});
/** PostgreSQL stores every character but this one. */
const withoutNul = (text: string) => !text.includes('\0');
const nul = { error: 'holds a NUL character' };
export const FlagKey = z.string().min(1).max(128).refine(withoutNul, nul);
/** A person or a service, on one line. */
export const Subject = z
  .string()
  .trim()
  .min(1)
  .max(128)
  .regex(/^\P{Cc}*$/u, { error: 'holds a control character' });
export const AuditTarget = z.string().max(200).refine(withoutNul, nul);
export const Environment = Name.default('production');
export const DryRun = z
  .enum(['1', 'true', '0', 'false'])
  .optional()
  .transform((text) => text === '1' || text === 'true');
export const Limit = z.coerce.number().int().min(1).max(500).default(50);
export const Reason = z.string().trim().min(1).max(1_000).refine(withoutNul, nul).optional();
/** Any JSON object; the document's own schema reads it further in. */
export const Document = z.record(z.string(), z.unknown());

/** The caller as the control layer knows people. */
export function byOf(
  call: Pick<Call<unknown, unknown, unknown>, 'principal' | 'idempotency'>,
  reason: string | undefined = undefined,
): By {
  const { principal, idempotency } = call;
  return { actor: principal.subject, role: principal.role, reason: reason ?? null, idempotency };
}
