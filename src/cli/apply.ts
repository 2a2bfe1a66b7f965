import type { Command } from 'commander';
import { type DiffLine, diff } from '../domain/diff.ts';
import type { ApplyResult } from '../http/views.ts';
import { type Client, connect } from './client.ts';
import { type CommonOptions, command, print } from './command.ts';
import type { LoadedDocument } from './documents.ts';
import { Exit, exit } from './exit.ts';
import { type Colours, coloursOf } from './format.ts';
import type { Io } from './io.ts';
import { loadSound } from './lint.ts';

interface ApplyOptions extends CommonOptions {
  readonly dryRun?: true;
  readonly idempotencyKey?: string;
}

export function apply(program: Command, io: Io): void {
  command(
    program,
    'apply <paths...>',
    'declare signals, policies and plans; repeating it changes nothing, and it never raises exposure or ends a kill',
    'apply rollouts/ --idempotency-key "$CI_SHA"',
  )
    .option('--dry-run', 'show what would change and change nothing')
    .option('--idempotency-key <key>', 'makes repeats of this very call answer as the first did')
    .action(async (paths: string[], options: ApplyOptions) => {
      await send(io, paths, { ...options, dryRun: options.dryRun === true });
    });
}

export function plan(program: Command, io: Io): void {
  command(
    program,
    'plan <paths...>',
    'show what apply would change; exits with 2 when something would',
    'plan rollouts/checkout-v2.yaml',
  ).action(async (paths: string[], options: CommonOptions) => {
    const results = await send(io, paths, { ...options, dryRun: true });
    if (results.some(({ change }) => change !== 'none')) throw new Exit(exit.changes);
  });
}

const kinds = [
  { kind: 'Signal', noun: 'signal', path: 'signals' },
  { kind: 'UnresolvedPolicy', noun: 'policy', path: 'policies' },
  { kind: 'GatePolicy', noun: 'policy', path: 'policies' },
  { kind: 'RolloutPlan', noun: 'plan', path: 'plans' },
] as const;

type SendOptions = Omit<ApplyOptions, 'dryRun'> & { readonly dryRun: boolean };

/** Signals before the policies that read them, policies before the plans that pin them. */
async function send(io: Io, paths: readonly string[], options: SendOptions): Promise<ApplyResult[]> {
  const { documents } = await loadSound(io, paths, options.environment);
  const client = await connect(io);
  const colours = coloursOf(io);
  const results: ApplyResult[] = [];
  const pending = new Set<string>();
  try {
    for (const { kind, noun, path } of kinds)
      for (const loaded of documents.filter(({ document }) => document.kind === kind)) {
        const target = `/api/v1/${path}/${encodeURIComponent(loaded.document.metadata.name)}`;
        const missing = options.dryRun ? dependencies(loaded).filter((name) => pending.has(name)) : [];
        const result =
          missing.length > 0
            ? await preview(client, target, loaded, missing, options)
            : await put(client, target, loaded, noun, options);
        if (result.change !== 'none') pending.add(referenceOf(loaded)).add(loaded.document.metadata.name);
        results.push(result);
        if (!options.json) io.stdout(describeResult(noun, result, colours));
      }
  } finally {
    if (options.json) print(io, options, { results }, () => '');
  }
  if (!options.json && results.every(({ change }) => change === 'none')) io.stdout('no changes\n');
  return results;
}

async function put(client: Client, target: string, loaded: LoadedDocument, noun: string, options: SendOptions) {
  const { idempotencyKey, dryRun, environment } = options;
  return client.send<ApplyResult>('PUT', target, {
    query: { environment: noun === 'plan' ? environment : undefined, dryRun: dryRun ? 1 : undefined },
    body: loaded.authored,
    // One call, several writes: each has a key of its own.
    ...(idempotencyKey === undefined || dryRun
      ? {}
      : { idempotencyKey: `${idempotencyKey}/${noun}/${referenceOf(loaded)}` }),
  });
}

/** What a document would change while a document that it needs exists only in these files: compared here. */
async function preview(
  client: Client,
  target: string,
  { authored, document }: LoadedDocument,
  missing: readonly string[],
  { environment }: SendOptions,
): Promise<ApplyResult> {
  const query = document.kind === 'RolloutPlan' ? { environment } : {};
  const current = await client
    .get<{ readonly version: number; readonly document: unknown }>(target, query)
    .catch((error: unknown) => {
      if (error instanceof Exit && error.status === 404) return { version: 0, document: undefined };
      throw error;
    });
  const lines = diff(current.document, authored);
  const change = current.version === 0 ? 'create' : lines.length === 0 ? 'none' : 'update';
  return {
    change,
    name: document.metadata.name,
    version:
      document.kind === 'RolloutPlan' ? current.version + (change === 'none' ? 0 : 1) : document.metadata.version,
    diff: lines,
    dryRun: true,
    rollouts: [],
    warnings: [`the controller checks it once ${missing.join(', ')} is applied`],
  };
}

function referenceOf({ document }: LoadedDocument): string {
  if (document.kind === 'RolloutPlan') return document.metadata.name;
  return `${document.metadata.name}@${document.metadata.version}`;
}

/** Documents that this one names; a gate may name a signal without its version. */
function dependencies({ document }: LoadedDocument): string[] {
  if (document.kind === 'RolloutPlan') return [document.spec.policy];
  if (document.kind === 'Signal') return [];
  const parents = document.metadata.extends === null ? [] : [document.metadata.extends];
  return document.kind === 'GatePolicy' ? [...parents, ...document.spec.gates.map(({ signal }) => signal)] : parents;
}

const words = {
  applied: { none: 'no changes', create: 'created', update: 'changed' },
  dry: { none: 'no changes', create: 'would be created', update: 'would change' },
} as const;

/** One result with its field diff, as `apply`, `plan` and `import` print it. */
export function describeResult(noun: string, result: ApplyResult, colours: Colours): string {
  const word = words[result.dryRun ? 'dry' : 'applied'][result.change];
  const lines = [`${noun} ${colours.bold(result.name)}: ${word} (version ${result.version})`];
  lines.push(...result.diff.map((line) => `  ${diffText(line, colours)}`));
  lines.push(
    ...result.rollouts.map(({ name, environment, state }) => `  rollout ${name} in ${environment}: ${state.phase}`),
  );
  lines.push(...result.warnings.map((warning) => `  ${colours.yellow('warning')} ${warning}`));
  return `${lines.join('\n')}\n`;
}

function diffText({ path, before, after }: DiffLine, colours: Colours): string {
  if (before === undefined) return colours.green(`+ ${path}: ${JSON.stringify(after)}`);
  if (after === undefined) return colours.red(`- ${path}: ${JSON.stringify(before)}`);
  return colours.yellow(`~ ${path}: ${JSON.stringify(before)} -> ${JSON.stringify(after)}`);
}
