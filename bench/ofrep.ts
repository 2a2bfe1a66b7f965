/** OFREP against an answer of the same bytes that evaluates nothing: what the flag costs on top of HTTP. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import type { Bench, Contender } from './harness.ts';

const connections = 16;
const program = join(import.meta.dirname, 'servers', 'ofrep.ts');
const context = (n: number) =>
  JSON.stringify({ context: { targetingKey: `user-${n}`, country: n % 2 === 0 ? 'DE' : 'US', plan: 'gold' } });

interface Rival {
  readonly child: ChildProcess;
  readonly agent: Agent;
  readonly port: number;
}

async function start(kind: 'tidegate' | 'node' | 'express', answer = ''): Promise<Rival> {
  const child = fork(program, [kind, Buffer.from(answer).toString('base64')]);
  const [port]: unknown[] = await once(child, 'message');
  return { child, agent: new Agent({ keepAlive: true, maxSockets: connections }), port: Number(port) };
}

function stop({ child, agent }: Rival): void {
  agent.destroy();
  child.disconnect();
}

const post = ({ agent, port }: Rival, path: string, body: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
    const req = request({ agent, port, path, method: 'POST', headers }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      res.on('end', () => (res.statusCode === 200 ? resolve(text) : reject(new Error(`${res.statusCode}: ${text}`))));
    });
    req.on('error', reject).end(body);
  });

async function cpuOf({ child }: Rival): Promise<number> {
  child.send('cpu');
  const [micros]: unknown[] = await once(child, 'message');
  return Number(micros);
}

const contender = (name: string, rival: Rival, path: string): Contender => ({
  name,
  async run(times) {
    const before = await cpuOf(rival);
    let next = 0;
    const worker = async () => {
      while (next < times) {
        next += 1;
        await post(rival, path, context(next));
      }
    };
    await Promise.all(Array.from({ length: connections }, worker));
    return { cpuMicros: (await cpuOf(rival)) - before };
  },
});

async function race(ours: Rival, path: string) {
  const answer = await post(ours, path, context(1));
  const node = await start('node', answer);
  const express = await start('express', answer);
  const contenders = [
    contender('tidegate', ours, path),
    contender('bare node:http', node, path),
    contender('bare express', express, path),
  ] as const;
  return { contenders, rivals: [node, express] };
}

export const bench: Bench = {
  name: 'OFREP',
  async setUp() {
    const ours = await start('tidegate');
    const single = await race(ours, '/ofrep/v1/evaluate/flags/new-checkout');
    const bulk = await race(ours, '/ofrep/v1/evaluate/flags');
    return {
      contests: [
        { name: 'single evaluation', times: 2_000, contenders: single.contenders },
        { name: 'bulk of 100 flags', times: 1_000, contenders: bulk.contenders },
      ],
      tearDown() {
        for (const rival of [ours, ...single.rivals, ...bulk.rivals]) stop(rival);
      },
    };
  },
};
