import type { Role } from '../domain/permissions.ts';
import type { IdempotentAnswer } from '../store/store.ts';

/** Who asks for a change, why, and under which key it must not happen twice. */
export interface By {
  readonly actor: string;
  readonly role: Role;
  readonly reason: string | null;
  readonly idempotency: Omit<IdempotentAnswer, 'seq'> | null;
}

/** The idempotency part of a change; `answer` is what a repeat is told, without secrets. */
export function once(by: Pick<By, 'idempotency'>, answer: unknown): { idempotency?: Omit<IdempotentAnswer, 'seq'> } {
  return by.idempotency === null ? {} : { idempotency: { ...by.idempotency, body: JSON.stringify(answer) } };
}
