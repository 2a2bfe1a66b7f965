import type { Io } from '../../src/cli/io.ts';
import { run } from '../../src/cli/program.ts';
import type { Decision, Reading } from '../../src/domain/decision.ts';
import type { RolloutState } from '../../src/domain/rollout.ts';
import type { RolloutView } from '../../src/http/views.ts';

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly headers: Headers;
}

export interface Answer {
  readonly status?: number;
  readonly body: unknown;
}

export interface World {
  /** Text files by path. */
  readonly files?: Record<string, string | Uint8Array>;
  readonly env?: NodeJS.ProcessEnv;
  /** Throwing = the controller cannot be reached. */
  readonly controller?: (call: Call) => Answer;
  readonly colour?: boolean;
  readonly now?: number;
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly calls: readonly Call[];
  readonly files: Record<string, string | Uint8Array>;
  /** Ms slept in all. */
  readonly slept: number;
}

/** Runs one command line in a world of its own: files in memory, a scripted controller, no waiting. */
export async function tidegate(args: readonly string[], world: World = {}): Promise<Ran> {
  const files = { ...world.files };
  const calls: Call[] = [];
  let out = '';
  let err = '';
  let slept = 0;
  let keys = 0;
  const io: Io = {
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
    env: { TIDEGATE_TOKEN: 'tg_test', ...world.env },
    colour: world.colour ?? false,
    watched: false,
    async fetch(url, init) {
      const { pathname, search } = new URL(url);
      const call = {
        method: init.method ?? 'GET',
        path: pathname + search,
        body: typeof init.body === 'string' ? JSON.parse(init.body) : undefined,
        headers: new Headers(init.headers),
      };
      calls.push(call);
      const { status = 200, body } = (world.controller ?? nothing)(call);
      return new Response(typeof body === 'string' ? body : JSON.stringify(body), { status });
    },
    async readFile(path) {
      const file = files[path];
      if (file === undefined) return notThere(path);
      return typeof file === 'string' ? new TextEncoder().encode(file) : file;
    },
    async writeFile(path, text) {
      files[path] = text;
    },
    async replaceFile(path, text) {
      files[path] = text;
    },
    async size(path) {
      const file = files[path];
      if (file !== undefined) return file.length;
      return Object.keys(files).some((name) => name.startsWith(`${path}/`)) ? null : notThere(path);
    },
    async list(path) {
      const inside = Object.keys(files).filter((name) => name.startsWith(`${path}/`));
      return [...new Set(inside.map((name) => `${path}/${name.slice(path.length + 1).split('/')[0]}`))].toSorted();
    },
    async sleep(ms) {
      slept += ms;
    },
    now: () => (world.now ?? 1_800_000_000_000) + slept,
    newKey: () => `key-${++keys}`,
  };
  const code = await run(args, io, '0.1.0');
  return { code, out, err, calls, files, slept };
}

/** The controller cannot be reached. */
export function nothing(): never {
  throw new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED 127.0.0.1:7070') });
}

function notThere(path: string): never {
  throw new Error(`ENOENT: no such file or directory, open '${path}'`);
}

export function aProblem(status: number, code: string, detail: string): Answer {
  return { status, body: { type: `https://tidegate.dev/problems/${code}`, title: code, status, detail, code } };
}

const state: RolloutState = {
  phase: 'ramping',
  stage: 1,
  heldBy: null,
  sticky: false,
  resumeTo: null,
  watch: false,
  approved: null,
  sentinel: false,
  excluded: [],
  epoch: 2,
  version: 7,
};

export function aView(view: Partial<Omit<RolloutView, 'state'>> & { state?: Partial<RolloutState> } = {}): RolloutView {
  return {
    name: 'checkout',
    id: 'r_0123456789',
    environment: 'production',
    flag: 'checkout',
    plan: { name: 'checkout', revision: 3 },
    policy: 'web@1',
    exposure: 5,
    stages: [
      { name: 'canary', exposure: 1 },
      { name: 'early', exposure: 5 },
      { name: 'full', exposure: 100 },
    ],
    createdAt: 1_800_000_000_000,
    startedAt: 1_800_000_000_000,
    stageEnteredAt: 1_800_000_000_000,
    latch: null,
    frozen: false,
    readings: [],
    waitingFor: [],
    lookedAt: null,
    lastDecision: null,
    ...view,
    state: { ...state, ...view.state },
  };
}

export function aDecision(decision: Partial<Decision> = {}): Decision {
  return {
    id: 'D-7',
    rollout: 'r_0123456789',
    name: 'checkout',
    environment: 'production',
    flag: 'checkout',
    because: 'js errors 7.4 % with the flag, 1.1 % without',
    at: 1_800_000_000_000,
    action: 'kill',
    transition: 'T11',
    cause: 'gate:errors-kill',
    from: state,
    to: { ...state, phase: 'killed', stage: -1 },
    exposure: { from: 5, to: 0 },
    readings: [],
    waitingFor: [],
    evidence: null,
    plan: 'checkout@3',
    policy: 'web@1',
    code: '0.1.0',
    actor: null,
    reason: null,
    why: 'js errors 7.4 % with the flag, 1.1 % without',
    counterfactual: 'It would have passed below 6 %.',
    next: 'tidegate rearm checkout --reason ...',
    ...decision,
  };
}

export function aReading(reading: Partial<Reading> = {}): Reading {
  return {
    gate: 'lcp-hold',
    tier: 'hold',
    signal: 'lcp_p75',
    state: 'ok',
    treatment: { n: 40_187, value: 2310 },
    control: { n: 80_000, value: 2240 },
    estimate: 0.031,
    low: 0.004,
    high: 0.059,
    scale: 'relative',
    margin: 0.08,
    logE: 0,
    needed: 3.9,
    reliability: 0.91,
    limiting: 'coverage',
    streak: 0,
    consecutive: 3,
    since: null,
    verdict: 'pass',
    action: 'hold',
    sticky: false,
    runbook: null,
    where: [],
    text: 'LCP p75 2 310 ms with the flag, 2 240 ms without',
    ...reading,
  };
}
