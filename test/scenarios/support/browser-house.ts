import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { build } from 'vite';
import { readConfig } from '../../../src/config.ts';
import { startController } from '../../../src/controller.ts';
import type { Decision } from '../../../src/domain/decision.ts';
import type { AuthoredPlan } from '../../../src/domain/plan.ts';
import type { AuthoredPolicy } from '../../../src/domain/policy.ts';
import type { AuthoredSignal } from '../../../src/domain/signal.ts';
import type { RolloutView } from '../../../src/http/views.ts';
import type { Breakage } from '../../../src/lab/breakage.ts';
import { createShop, listen } from '../../../src/lab/shop.ts';

/** Bundles the real shop page into a folder of its own. */
export async function buildShop(): Promise<{ readonly folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-shop-'));
  await build({
    configFile: fileURLToPath(new URL('../../../examples/shop/vite.config.ts', import.meta.url)),
    logLevel: 'silent',
    build: { outDir: folder },
  });
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

export interface House extends AsyncDisposable {
  /** Base URL of the controller. */
  readonly url: string;
  readonly adminToken: string;
  readonly dataDir: string;
  api<T>(method: string, path: string, body?: unknown): Promise<T>;
  rollout(): Promise<RolloutView>;
  /** Oldest first. */
  decisions(): Promise<Decision[]>;
  /** Stops the controller, so that its databases can be read. */
  stop(): Promise<void>;
}

export interface Documents {
  readonly signals?: readonly AuthoredSignal[];
  readonly policy: AuthoredPolicy;
  readonly plan: AuthoredPlan;
}

/** A controller on a fresh folder, as `tidegate serve` starts it, with one rollout that has begun. */
export async function aHouse({ signals = [], policy, plan }: Documents): Promise<House> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tidegate-house-'));
  const config = readConfig({
    TIDEGATE_PORT: '0',
    TIDEGATE_DATA_DIR: dataDir,
    TIDEGATE_PUBLIC_EVALUATION: 'true',
  });
  const log = pino({ level: 'error' }, pino.destination(2));
  const controller = await startController({ config, log, bucketMs: 1_000, beatMs: 200 });
  const adminToken = controller.adminToken ?? '';
  let running = true;

  async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await fetch(`${controller.url}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${adminToken}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  }

  const stop = async () => {
    if (!running) return;
    running = false;
    await controller.close();
  };

  for (const signal of signals) await api('PUT', `/signals/${signal.metadata.name}`, signal);
  await api('PUT', `/policies/${policy.metadata.name}`, policy);
  await api('PUT', `/plans/${plan.metadata.name}`, plan);
  const house: House = {
    url: controller.url,
    adminToken,
    dataDir,
    api,
    rollout: () => api<RolloutView>('GET', `/rollouts/${plan.metadata.name}`),
    decisions: async () => (await api<{ decisions: Decision[] }>('GET', '/decisions?limit=100')).decisions.reverse(),
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  await started(house);
  return house;
}

async function started(house: House): Promise<void> {
  const deadline = performance.now() + 15_000;
  while ((await house.rollout()).state.phase !== 'ramping') {
    if (performance.now() > deadline) throw new Error('the rollout did not start');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The shop's server, with its new checkout broken in one way. */
export async function openShop(
  folder: string,
  controller: string,
  broken: Breakage,
): Promise<{ readonly url: string } & AsyncDisposable> {
  const shop = createShop({ folder, controller, token: null, onBreak: () => {} });
  shop.breakIt(broken);
  const port = await listen(shop.server, 0);
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      shop.server.closeAllConnections();
      await new Promise((resolve) => shop.server.close(resolve));
    },
  };
}
