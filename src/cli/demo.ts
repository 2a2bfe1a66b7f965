import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError } from 'commander';
import pc from 'picocolors';
import { readConfig } from '../config.ts';
import type { Decision } from '../domain/decision.ts';
import { type Breakage, breakages, breakageText, isBreakage } from '../lab/breakage.ts';
import { demoPlan, demoPolicy, demoSignal } from '../lab/demo-plan.ts';
import { createShop, listen } from '../lab/shop.ts';
import { startVisitors } from '../lab/visitors.ts';
import { createUndo, type Undo } from '../undo.ts';
import { Exit, exit } from './exit.ts';
import type { Io } from './io.ts';
import { untilStopped } from './serve.ts';
import { startError } from './start-error.ts';

interface DemoOptions {
  readonly port: number;
  readonly shopPort: number;
  readonly rate: number;
  readonly break?: Breakage;
  readonly breakAfter: number;
}

const shopFolder = fileURLToPath(new URL('../../dist/shop', import.meta.url));

export function demo(program: Command, io: Io): void {
  const group = program
    .command('demo')
    .description('controller, shop and simulated visitors on a temporary database; stages take seconds')
    .option('--port <port>', 'of the controller', port, 7070)
    .option('--shop-port <port>', 'of the shop', port, 7071)
    .option('--rate <visitors>', 'new visitors a second', number, 200)
    .option('--break <how>', `break the new checkout by itself: ${breakages.slice(1).join(', ')}`, breakage)
    .option('--break-after <seconds>', 'when to do so', number, 80)
    .addHelpText('after', '\nExamples:\n  $ tidegate demo\n  $ tidegate demo break slow     # in another terminal')
    .action((options: DemoOptions) => runDemo(options, io));
  group
    .command('break <how>')
    .description(`break the shop of a running demo: ${breakages.join(', ')}`)
    .addHelpText('after', '\nExample:\n  $ tidegate demo break white')
    .action(async (how: string) => {
      if (!isBreakage(how)) throw new Exit(exit.usage, `break it how? one of ${breakages.join(', ')}`);
      const { shopPort } = group.opts<DemoOptions>();
      const answer = await io
        .fetch(`http://127.0.0.1:${shopPort}/break?mode=${how}`, { method: 'POST', redirect: 'manual' })
        .catch(() => null);
      if (answer === null)
        throw new Exit(exit.unreachable, `no demo listens on port ${shopPort}; start one with: tidegate demo`);
      io.stdout(`${breakageText[how]}\n`);
    });
}

function number(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('Write a whole number.');
  return value;
}

function port(text: string): number {
  const value = number(text);
  if (value > 65_535) throw new InvalidArgumentError('Write a port number, at most 65535.');
  return value;
}

function breakage(text: string): Breakage {
  if (!isBreakage(text)) throw new InvalidArgumentError(`Write one of ${breakages.join(', ')}.`);
  return text;
}

async function runDemo(options: DemoOptions, io: Io): Promise<void> {
  const undo = createUndo();
  try {
    const visitors = await openDemo(options, io, undo);
    await untilStopped();
    await undo.run();
    io.stdout(`\n${visitors.visits()} visits, ${visitors.failures()} failed requests. Nothing is left behind.\n`);
  } catch (error) {
    throw startError(error, 'something listens there already; choose --port and --shop-port');
  } finally {
    await undo.run();
  }
}

/** Starts everything, and tells `undo` how to end it; returns the visitors, who count their visits. */
async function openDemo(options: DemoOptions, io: Io, undo: Undo): Promise<ReturnType<typeof startVisitors>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tidegate-demo-'));
  undo.add(() => rm(dataDir, { recursive: true, force: true }));
  const config = readConfig({
    TIDEGATE_PORT: String(options.port),
    TIDEGATE_DATA_DIR: dataDir,
    TIDEGATE_PUBLIC_EVALUATION: 'true',
    TIDEGATE_TRUSTED_PROXIES: '127.0.0.1',
  });
  const [{ startController }, { pino }] = await Promise.all([import('../controller.ts'), import('pino')]);
  const controller = await startController({
    config,
    bucketMs: 2_000,
    log: pino({ level: 'error' }, pino.destination(2)),
  });
  undo.add(controller.close);
  const call = caller(controller.url, controller.adminToken ?? '');
  const started = Date.now();
  const say = (text: string) =>
    io.stdout(`${pc.dim(`${Math.round((Date.now() - started) / 1_000)} s`.padStart(6))}  ${text}\n`);

  const shop = createShop({
    folder: shopFolder,
    controller: controller.url,
    token: controller.adminToken,
    onBreak: (broken) => say(pc.yellow(breakageText[broken])),
  });
  const shopUrl = `http://127.0.0.1:${await listen(shop.server, options.shopPort)}`;
  undo.add(() => {
    shop.server.closeAllConnections();
    shop.server.close();
  });
  await call('PUT', '/api/v1/signals/beacon_silence', demoSignal);
  await call('PUT', '/api/v1/policies/demo', demoPolicy);
  await call('PUT', '/api/v1/plans/checkout-v2', demoPlan);
  const visitors = startVisitors({
    controller: controller.url,
    flag: 'checkout-v2',
    perSecond: options.rate,
    broken: shop.broken,
    random: Math.random,
    stayMs: 1_500,
  });
  undo.add(visitors.stop);
  io.stdout(welcome(controller.url, shopUrl, controller.adminToken ?? ''));

  const seen = new Set<string>();
  const follow = setInterval(() => {
    void call('GET', '/api/v1/decisions?limit=20').then(
      (answer) => {
        for (const decision of decisionsOf(answer).reverse()) {
          if (seen.has(decision.id)) continue;
          seen.add(decision.id);
          say(sentence(decision));
        }
      },
      () => {},
    );
  }, 500);
  undo.add(() => clearInterval(follow));
  const breaking = options.break;
  if (breaking !== undefined) {
    const later = setTimeout(() => shop.breakIt(breaking), options.breakAfter * 1_000);
    undo.add(() => clearTimeout(later));
  }
  return visitors;
}

/** Answers come from our own controller, in this process. */
function caller(url: string, token: string) {
  return async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const json: unknown = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${JSON.stringify(json)}`);
    return json;
  };
}

function decisionsOf(answer: unknown): Decision[] {
  return typeof answer === 'object' && answer !== null && 'decisions' in answer && Array.isArray(answer.decisions)
    ? answer.decisions
    : [];
}

function sentence({ action, name, exposure, because }: Decision): string {
  const colour = action === 'kill' ? pc.red : action === 'ramp' ? pc.green : pc.yellow;
  return `${colour(action.replace('_', ' ').toUpperCase().padEnd(5))} ${name} ${exposure.from} → ${exposure.to} %  ${because}`;
}

const welcome = (controller: string, shop: string, token: string) => `
${pc.bold('The tide shop is open.')} Every visit resolves the flag checkout-v2 through OpenFeature and reports what it met.

  ${pc.cyan(`${shop}/break`)}   break the new checkout, and a button to the controller's page
  ${pc.cyan(shop)}         visit the shop yourself
  ${pc.cyan(controller)}         the controller; token ${token}

  In another terminal:
    export TIDEGATE_TOKEN=${token}${controller.endsWith(':7070') ? '' : ` TIDEGATE_URL=${controller}`}
    npx tidegate status checkout-v2
    npx tidegate demo break slow        ${pc.dim('# or errors, white, safari; none mends it')}
    npx tidegate kill checkout-v2 --reason "trying it out"

The rollout goes 10 → 25 → 50 % as the evidence allows. Ctrl-C ends the demo.

`;
