/**
 * One contender of bench/ofrep.ts in a process of its own, so that its CPU time is nobody else's. Says its port to the
 * parent, then its CPU time whenever it is asked.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Flag } from '@tidegate/core';
import express from 'express';
import { newRollout } from '../../src/domain/initial.ts';
import { parsePlan } from '../../src/domain/plan.ts';
import type { Rollout } from '../../src/domain/rollout.ts';
import { createCors } from '../../src/http/cors.ts';
import { ofrepHandler } from '../../src/http/ofrep.ts';
import { createBoard } from '../../src/serve/board.ts';
import { compileEnvironment } from '../../src/serve/compile.ts';
import { createHub, realTimers } from '../../src/serve/hub.ts';

/** What the rivals answer: ours, captured before the race. */
const [, , kind = 'tidegate', answer = ''] = process.argv;

const plan = parsePlan({
  apiVersion: 'tidegate.dev/v1',
  kind: 'RolloutPlan',
  metadata: { name: 'new-checkout', flag: 'new-checkout', owner: 'bench' },
  spec: {
    unit: { seed: 'bench' },
    policy: 'web@1',
    audience: { include: [{ attribute: 'country', in: ['DE', 'FR', 'US'] }], always: { treatment: ['qa-1', 'qa-2'] } },
    stages: [
      { name: 'ten', exposure: 10, bake: '1h', maxDwell: '1d' },
      { name: 'full', exposure: 100 },
    ],
  },
});
if (!plan.ok) throw new Error(JSON.stringify(plan.problems));

const draft = newRollout({
  id: 'r_bench00000',
  shortId: 1,
  plan: plan.value,
  revision: 1,
  policy: 'web@1',
  environment: 'production',
  wave: null,
  author: 'bench',
  now: { wall: 0, mono: 0, boot: 'bench' },
});
const rollout: Rollout = { ...draft, startedAt: 0, state: { ...draft.state, phase: 'ramping', stage: 0, epoch: 1 } };

const plain = (index: number): [string, Flag] => [
  `flag-${index}`,
  {
    state: 'ENABLED',
    variants: { on: true, off: false },
    defaultVariant: index % 2 === 0 ? 'on' : 'off',
    metadata: { clientVisible: true },
    ...(index % 3 === 0 ? { targeting: { if: [{ '==': [{ var: 'country' }, 'DE'] }, 'on', 'off'] } } : {}),
  },
];

function tidegate() {
  const board = createBoard();
  const flags = Object.fromEntries(Array.from({ length: 99 }, (_, index) => plain(index)));
  board.publish(
    compileEnvironment({
      environment: 'production',
      declared: { flags },
      rollouts: plan.ok ? [{ rollout, plan: plan.value }] : [],
      latches: [],
      ver: 57,
    }),
  );
  const handle = ofrepHandler({
    authenticate: () => ({ id: 'bench', role: 'sdk-server', subject: 'bench', environment: 'production' }),
    keyIsLive: () => true,
    board,
    hub: createHub({ timers: realTimers, now: () => performance.now() }),
    cors: createCors([]),
    mintToken: () => null,
    issued() {},
    now: () => Date.now(),
    ticketKey: new Uint8Array(32),
    failed(error) {
      console.error(error);
    },
  });
  return (req: IncomingMessage, res: ServerResponse) => {
    handle(req, res);
  };
}

const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'private, no-cache' };

/** Reads the body, as anybody must who wants the context, and looks at nothing. */
function bareNode() {
  const body = Buffer.from(answer, 'base64');
  return (req: IncomingMessage, res: ServerResponse) => {
    req.resume().on('end', () => {
      res.writeHead(200, { ...headers, 'Content-Length': body.length });
      res.end(body);
    });
  };
}

function bareExpress() {
  const body = Buffer.from(answer, 'base64').toString();
  const app = express();
  app.use(express.json());
  app.post(['/ofrep/v1/evaluate/flags', '/ofrep/v1/evaluate/flags/:key'], (_req, res) => {
    res.set(headers).send(body);
  });
  return app;
}

const listener = kind === 'tidegate' ? tidegate() : kind === 'node' ? bareNode() : bareExpress();
const server = createServer(listener);
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.(user + system);
});
process.on('disconnect', () => process.exit());
