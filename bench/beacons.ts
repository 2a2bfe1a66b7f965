import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import { createCors } from '../src/http/cors.ts';
import { createRumHandler } from '../src/http/rum.ts';
import { createIngest } from '../src/ingest/flush.ts';
import { createTokens } from '../src/ingest/token.ts';
import { openSqlite } from '../src/store/sqlite.ts';
import { type Bench, median } from './harness.ts';
import type { Job } from './support/beacon-client.ts';

const visitors = 5_000;

/**
 * Whole beacons, each with a new page view, verified, folded and committed to SQLite on disk before its 204, against an
 * express application that parses the same JSON and forgets it.
 */
export const bench: Bench = {
  name: 'beacons',
  async setUp() {
    const dir = await mkdtemp(join(tmpdir(), 'tidegate-bench-'));
    const { control, rum } = await openSqlite({ dir, mono: () => performance.now() });
    const now = Date.now();
    const [secret, pepper] = [randomBytes(32), randomBytes(32)];
    const signer = createTokens({ keys: [{ kid: 1, environment: 'production', secret, pepper, createdAt: now }] });
    const ingest = createIngest({
      store: rum,
      tokens: signer,
      bucketMs: 60_000,
      declared: () => false,
      failed: (error) => console.error(error),
    });
    const handle = createRumHandler({
      ingest,
      tokens: signer,
      cors: createCors([]),
      trusted: () => false,
      regionHeader: null,
      regions: [],
      now: () => Date.now(),
      limit: { messages: Number.POSITIVE_INFINITY, windowMs: 10_000 },
    });
    const bare = express();
    bare.post('/v1/rum', express.json({ type: () => true }), (_req, res) => {
      res.status(204).end();
    });
    const ours = await listen((req, res) => void handle(req, res));
    const theirs = await listen(bare);

    const tokens = Array.from({ length: visitors }, (_, i) => {
      const arm = i % 2 === 0 ? 'treatment' : 'control';
      const entries = [{ rollout: 1, epoch: 1, arm } as const];
      return signer.mint({ environment: 'production', targetingKey: `user-${i}`, entries, at: now })?.token ?? '';
    });
    const client = fork(new URL('./support/beacon-client.ts', import.meta.url));
    // A client that dies has said why; without it every round would wait for ever.
    client.once('exit', (code) => code && process.exit(code));
    const rates = { tidegate: [] as number[], express: [] as number[] };
    const flood = (server: Server, rate: number[]) => async (times: number) => {
      const address = server.address();
      if (address === null || typeof address === 'string') throw new Error('the server does not listen');
      const job: Job = { port: address.port, times, tokens };
      const startedAt = performance.now();
      client.send(job);
      const [said]: unknown[] = await once(client, 'message');
      if (said !== 'done') throw new Error('the client gave up');
      rate.push((times * 1000) / (performance.now() - startedAt));
      return undefined;
    };

    return {
      contests: [
        {
          name: 'POST /v1/rum, 256 connections',
          times: 3_000,
          contenders: [
            { name: 'tidegate, committed', run: flood(ours, rates.tidegate) },
            { name: 'bare express.json', run: flood(theirs, rates.express) },
          ],
        },
      ],
      async tearDown() {
        const [tidegate, bareRate] = [median(rates.tidegate), median(rates.express)];
        console.error(
          `beacons/s: tidegate ${tidegate.toFixed(0)}, bare express.json ${bareRate.toFixed(0)}, ` +
            `ratio ${(tidegate / bareRate).toFixed(2)}`,
        );
        client.kill();
        for (const server of [ours, theirs]) server.close().closeAllConnections();
        await ingest.close();
        await rum.close();
        await control.close();
        await rm(dir, { recursive: true, force: true });
      },
    };
  },
};

async function listen(listener: RequestListener): Promise<Server> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
