import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtinSignals } from '../domain/signal.ts';
import type { Papers } from '../lab/papers.ts';
import { type FaultStory, parseStory } from '../lab/story.ts';
import { read } from './documents.ts';
import { Exit, exit } from './exit.ts';
import type { Io } from './io.ts';
import { loadSound } from './lint.ts';
import { formatMistake, type Mistake, parseYaml } from './yaml.ts';

const library = fileURLToPath(new URL('../../examples/faults/', import.meta.url));

/** The plan, and beside it the policy that it pins and whatever signals are declared. Ends with code 4 on mistakes. */
export async function loadPapers(io: Io, planFile: string, policyFile: string | null): Promise<Papers> {
  const beside = policyFile === null ? ['GatePolicy', 'Signal'] : ['Signal'];
  const others = (await kindsIn(io, dirname(planFile))).filter(
    ({ file, kinds }) => file !== planFile && kinds.some((kind) => beside.includes(kind)),
  );
  const files = [planFile, ...(policyFile === null ? [] : [policyFile]), ...others.map(({ file }) => file)];
  const { documents } = await loadSound(io, [...new Set(files)], 'production');
  const inOrder = documents.toSorted((a, b) => Number(b.file === planFile) - Number(a.file === planFile));
  const plan = inOrder.map(({ document }) => document).find((document) => document.kind === 'RolloutPlan');
  if (plan === undefined) throw new Exit(exit.usage, `${planFile} holds no plan`);
  const policies = documents.flatMap(({ document, file }) =>
    document.kind === 'GatePolicy' && !('missing' in document) && (policyFile === null || file === policyFile)
      ? [document]
      : [],
  );
  // A policy that is named on the command line is meant, whatever the plan pins: that is how one tries a new version.
  const policy =
    policyFile === null
      ? policies.find(({ metadata }) => `${metadata.name}@${metadata.version}` === plan.spec.policy)
      : policies[0];
  if (policy === undefined)
    throw new Exit(
      exit.usage,
      policyFile === null
        ? `the plan pins ${plan.spec.policy}, which is not in ${dirname(planFile)}; name its file with --policy`
        : `${policyFile} holds no policy`,
    );
  const signals = documents.flatMap(({ document }) => (document.kind === 'Signal' ? [document] : []));
  return { plan, policy, signals: [...signals, ...builtinSignals] };
}

/** Documents of the files in a folder, by kind; what cannot be read is somebody else's file. */
async function kindsIn(io: Io, folder: string): Promise<{ file: string; kinds: readonly string[] }[]> {
  const files = (await io.list(folder)).filter((file) => /\.(ya?ml|json)$/.test(file));
  const found: { file: string; kinds: readonly string[] }[] = [];
  for (const file of files) {
    const bytes = await io.readFile(file).catch(() => null);
    if (bytes !== null) found.push({ file, kinds: parseYaml(file, bytes).documents.map(({ json }) => kindOf(json)) });
  }
  return found;
}

function kindOf(json: unknown): string {
  return typeof json === 'object' && json !== null && 'kind' in json ? String(json.kind) : '';
}

/** Stories of a file or folder, or those that come with the program, by name. Ends with code 4 on mistakes. */
export async function loadStories(io: Io, path: string | null): Promise<readonly FaultStory[]> {
  const from = path ?? library;
  const stories: FaultStory[] = [];
  const mistakes: Mistake[] = [];
  for (const file of await filesIn(io, from)) {
    const source = parseYaml(file, await read(io, file));
    mistakes.push(...source.mistakes);
    for (const { json, locate } of source.documents) {
      const kind = kindOf(json);
      if (kind !== 'FaultStory') {
        mistakes.push(source.mistake(locate(['kind'], false), '`kind` must be FaultStory'));
        continue;
      }
      const parsed = parseStory(json);
      if (!parsed.ok)
        mistakes.push(...parsed.problems.map(({ at, key, message }) => source.mistake(locate(at, key), message)));
      else if (stories.some(({ metadata }) => metadata.name === parsed.value.metadata.name))
        mistakes.push(source.mistake(locate(['metadata', 'name'], false), 'another story has this name'));
      else stories.push(parsed.value);
    }
  }
  io.stderr(mistakes.map(formatMistake).join(''));
  if (mistakes.length > 0) throw new Exit(exit.invalid, 'nothing was simulated');
  if (stories.length === 0) throw new Exit(exit.usage, `there is no story in ${from}`);
  return stories;
}

async function filesIn(io: Io, path: string): Promise<readonly string[]> {
  const size = await io.size(path).catch(() => undefined);
  if (size === undefined) throw new Exit(exit.usage, `cannot read ${path}`);
  if (size !== null) return [path];
  return (await io.list(path)).filter((file) => /\.(ya?ml|json)$/.test(file));
}
