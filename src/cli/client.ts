import { cliConfig } from '../config.ts';
import type { Problem } from '../http/views.ts';
import { Exit, exit } from './exit.ts';
import type { Io } from './io.ts';

type Query = { readonly [name: string]: string | number | undefined };

/** The controller's admin API. Every failure is an `Exit` with the code that scripts expect. */
export interface Client {
  get<T>(path: string, query?: Query): Promise<T>;
  send<T>(method: 'POST' | 'PUT' | 'DELETE', path: string, request?: SendRequest): Promise<T>;
}

export interface SendRequest {
  readonly query?: Query;
  readonly body?: unknown;
  /** Default: a new one for every call. */
  readonly idempotencyKey?: string;
}

/** How long one call may take, ms. */
const patience = 30_000;

/** Connects by `TIDEGATE_URL` and `TIDEGATE_TOKEN` (or the file that `TIDEGATE_TOKEN_FILE` names). */
export async function connect(io: Io): Promise<Client> {
  const { url, token, tokenFile } = cliConfig(io.env);
  const bearer = token ?? (tokenFile === null ? null : await readToken(io, tokenFile));
  // fetch would refuse it as well, with the token in its message.
  if (bearer !== null && !/^[\x21-\x7e]+$/.test(bearer)) {
    const source = token === null ? `the token file ${tokenFile}` : 'TIDEGATE_TOKEN';
    throw new Exit(
      exit.usage,
      `${source} holds no token: one is visible ASCII characters, without spaces or line breaks`,
    );
  }

  async function call<T>(method: string, path: string, { query, body, idempotencyKey }: SendRequest): Promise<T> {
    const headers: Record<string, string> = { accept: 'application/json' };
    if (bearer !== null) headers.authorization = `Bearer ${bearer}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (method !== 'GET') headers['idempotency-key'] = idempotencyKey ?? io.newKey();
    const target = `${url}${path}${queryString(query)}`;
    const answer = await io
      .fetch(target, {
        method,
        headers,
        signal: AbortSignal.timeout(patience),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      .then(async (response) => ({ status: response.status, text: await response.text() }))
      .catch((error: unknown) => {
        throw new Exit(exit.unreachable, `cannot reach the controller at ${url}: ${causeOf(error)}`);
      });
    const json = parseJson(answer.text);
    if (answer.status >= 400) throw refusal(answer.status, json, bearer !== null);
    if (json === undefined) throw new Exit(exit.unreachable, `${url} answers, but it is no tidegate controller`);
    // The door: controller and CLI are one release, and the types of both are src/http/views.ts.
    return json as T;
  }

  return {
    get: (path, query) => call('GET', path, query === undefined ? {} : { query }),
    send: (method, path, request = {}) => call(method, path, request),
  };
}

async function readToken(io: Io, path: string): Promise<string> {
  try {
    return new TextDecoder().decode(await io.readFile(path)).trim();
  } catch (error) {
    throw new Exit(exit.usage, `cannot read the token file ${path}: ${causeOf(error)}`);
  }
}

function queryString(query: Query = {}): string {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
  );
  return given.length === 0 ? '' : `?${given.join('&')}`;
}

function parseJson(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What went wrong below `fetch failed`. */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${patience / 1000} s`;
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message;
}

function refusal(status: number, body: unknown, hadToken: boolean): Exit {
  const problem = isProblem(body) ? body : null;
  const detail = problem?.detail ?? problem?.title ?? `the controller answered ${status}`;
  const fields = (problem?.errors ?? [])
    .map(({ path, message }) => `\n  ${path === '' ? '' : `${path}: `}${message}`)
    .join('');
  const hint = status === 401 && !hadToken ? '\n  set TIDEGATE_TOKEN, or TIDEGATE_TOKEN_FILE' : '';
  return new Exit(exitCodeOf(status, problem?.code), `${detail}${fields}${hint}`, status);
}

function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'detail' in body && typeof body.detail === 'string';
}

/** Exit code of an answer: 409 is a refusal unless it is a version conflict, which trying again may resolve. */
function exitCodeOf(status: number, code: string | undefined): number {
  switch (status) {
    case 400:
    case 413:
    case 422:
      return exit.invalid;
    case 401:
    case 403:
      return exit.refused;
    case 409:
      return code === 'conflict' ? exit.conflict : exit.refused;
    case 412:
      return exit.conflict;
    case 502:
    case 503:
    case 504:
      return exit.unreachable;
    default:
      return exit.internal;
  }
}

/** Path of a rollout; names may hold a slash. */
export function rolloutPath(name: string, verb?: string): string {
  return `/api/v1/rollouts/${encodeURIComponent(name)}${verb === undefined ? '' : `/${verb}`}`;
}
