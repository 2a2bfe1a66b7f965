import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { Role } from '../../../src/domain/permissions.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: unknown;
}

export interface Ask {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A caller with one token; nothing is retried, nothing thrown but what `fetch` throws. */
export interface Api {
  readonly url: string;
  call(method: string, path: string, ask?: Ask): Promise<Answer>;
  as(token: string | null): Api;
}

export function api(url: string, token: string | null): Api {
  return {
    url,
    as: (other) => api(url, other),
    async call(method, path, { body, headers = {} } = {}) {
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: {
          ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      const isJson = /json/.test(answer.headers.get('content-type') ?? '') && text !== '';
      return { status: answer.status, headers: answer.headers, text, json: isJson ? JSON.parse(text) : null };
    },
  };
}

/** The answer's body when it is a success; what the controller said otherwise. */
export async function ok(answer: Promise<Answer>): Promise<unknown> {
  const { status, text, json } = await answer;
  if (status >= 300) throw new Error(`${status}: ${text}`);
  return json;
}

const View = z.object({
  id: z.string(),
  exposure: z.number(),
  latch: z.unknown(),
  frozen: z.boolean(),
  waitingFor: z.array(z.object({ for: z.string(), text: z.string() })),
  state: z.object({
    phase: z.string(),
    stage: z.number(),
    epoch: z.number(),
    version: z.number(),
    heldBy: z.string().nullable(),
  }),
  lastDecision: z.object({ action: z.string(), why: z.string(), cause: z.string() }).nullable(),
});
export type View = z.infer<typeof View>;

export async function rolloutOf(from: Api, name = 'checkout'): Promise<View> {
  return View.parse(await ok(from.call('GET', `/api/v1/rollouts/${encodeURIComponent(name)}`)));
}

/** Of the answer to a verb. */
export const viewIn = ({ json }: Answer): View => z.object({ rollout: View }).parse(json).rollout;
export const codeIn = ({ json }: Answer): string => z.object({ code: z.string() }).parse(json).code;

export async function act(
  from: Api,
  verb: string,
  reason?: string,
  headers: Ask['headers'] = {},
  target = '/api/v1/rollouts/checkout',
): Promise<Answer> {
  const body = reason === undefined ? {} : { reason };
  return from.call('POST', `${target}/${verb}`, { body, headers });
}

/** Stores the documents, each under its own name. */
export async function seed(
  admin: Api,
  documents: readonly { readonly kind: string; readonly metadata: { readonly name: string } }[],
): Promise<void> {
  const folder: Readonly<Record<string, string>> = { Signal: 'signals', GatePolicy: 'policies', RolloutPlan: 'plans' };
  for (const document of documents)
    await ok(admin.call('PUT', `/api/v1/${folder[document.kind]}/${document.metadata.name}`, { body: document }));
}

export async function newToken(admin: Api, role: Role, subject: string = role): Promise<string> {
  const made = await ok(admin.call('POST', '/api/v1/tokens', { body: { role, subject } }));
  return z.object({ token: z.string() }).parse(made).token;
}

const BulkFlag = z.object({
  key: z.string(),
  value: z.unknown(),
  variant: z.string().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
});
const Bulk = z.object({ flags: z.array(BulkFlag), metadata: z.record(z.string(), z.unknown()) });

/** OFREP's bulk answer to one unit: a flag of it, and the exposure token. */
export async function bulkOf(from: Api, targetingKey: string, key = 'checkout') {
  const body = { context: { targetingKey } };
  const answer = Bulk.parse(await ok(from.call('POST', '/ofrep/v1/evaluate/flags', { body })));
  const flag = answer.flags.find((one) => one.key === key);
  if (flag === undefined) throw new Error(`${key} is not among ${answer.flags.map((one) => one.key).join(', ')}`);
  return { flag, token: answer.metadata['tidegate.token'] };
}

/** Asks until it is so. For real processes only: what takes a clock is driven by it. */
export async function until<T>(
  what: string,
  look: () => Promise<T | null | false> | T | null | false,
  withinMs = 10_000,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  while (true) {
    const found = await look();
    if (found !== null && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${withinMs} ms`);
    await delay(5);
  }
}
