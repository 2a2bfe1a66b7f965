import { type LintFinding, lint, offline } from '../domain/lint.ts';
import { parsePlan, type RolloutPlan } from '../domain/plan.ts';
import { type GatePolicy, parsePolicy } from '../domain/policy.ts';
import { parseSignal, type Signal } from '../domain/signal.ts';
import { causeOf } from './client.ts';
import { Exit, exit } from './exit.ts';
import type { Io } from './io.ts';
import { type Mistake, maxFileBytes, parseYaml, type SourceDocument, type SourceFile } from './yaml.ts';

/** A document as read from a file: what is sent, and what it means. */
export interface LoadedDocument {
  readonly file: string;
  readonly authored: unknown;
  readonly document: RolloutPlan | GatePolicy | Signal;
}

/** A lint finding at its place in the file. */
export interface PlacedFinding extends LintFinding, Mistake {}

export interface Loaded {
  readonly documents: readonly LoadedDocument[];
  readonly mistakes: readonly Mistake[];
  readonly findings: readonly PlacedFinding[];
  /** Flag sets that were passed over in folders. */
  readonly flagSets: readonly string[];
}

const kinds = { RolloutPlan: parsePlan, GatePolicy: parsePolicy, Signal: parseSignal } as const;

/** Reads, checks and lints everything under the paths; `environment` is where plans without waves run. */
export async function load(io: Io, paths: readonly string[], environment: string): Promise<Loaded> {
  const documents: (LoadedDocument & { readonly mistake: Place })[] = [];
  const mistakes: Mistake[] = [];
  const flagSets: string[] = [];
  for (const { file, named } of await filesOf(io, paths)) {
    const bytes = await read(io, file).catch((error: unknown) => {
      // In a folder (a dangling link, say) it is a mistake like others: the rest is read all the same.
      if (named || !(error instanceof Exit)) throw error;
      mistakes.push({ file, line: 1, column: 1, message: error.message, source: '' });
      return null;
    });
    if (bytes === null) continue;
    const source = parseYaml(file, bytes);
    mistakes.push(...source.mistakes);
    if (named && source.documents.length === 0 && source.mistakes.length === 0)
      throw new Exit(exit.usage, `${file} holds no document`);
    for (const entry of source.documents) {
      // A flag set beside the plans is for `tidegate import`.
      if (!named && isFlagSet(entry.json)) {
        flagSets.push(file);
        continue;
      }
      const place = placeIn(source, entry);
      const read = readDocument(entry, place);
      if (read.ok) documents.push({ file, authored: entry.json, document: read.document, mistake: place });
      else mistakes.push(...read.mistakes);
    }
  }
  if (documents.length === 0 && mistakes.length === 0)
    throw new Exit(exit.usage, `there is no plan, policy or signal in ${paths.join(', ')}`);
  for (const [index, { document, mistake }] of documents.entries())
    if (documents.findIndex((other) => identity(other.document) === identity(document)) < index)
      mistakes.push(mistake(['metadata', 'name'], false, `${identity(document)} is declared twice`));
  const findings = documents.flatMap(({ document, mistake }) =>
    lint(
      documents.map((other) => other.document),
      { ...offline, environment },
    )
      .filter((finding) => finding.document === `${document.kind}/${document.metadata.name}`)
      .map((finding) => ({ ...finding, ...mistake(finding.at, false, finding.message) })),
  );
  return { documents, mistakes, findings, flagSets };
}

type Place = (at: readonly (string | number)[], key: boolean, message: string) => Mistake;

function placeIn(source: SourceFile, entry: SourceDocument): Place {
  return (at, key, message) => source.mistake(entry.locate(at, key), message);
}

function readDocument(
  { json }: SourceDocument,
  place: Place,
): { ok: true; document: LoadedDocument['document'] } | { ok: false; mistakes: Mistake[] } {
  const kind = typeof json === 'object' && json !== null && 'kind' in json ? json.kind : undefined;
  if (!isKind(kind)) {
    const message = `\`kind\` must be one of ${Object.keys(kinds).join(', ')}`;
    return { ok: false, mistakes: [place(kind === undefined ? [] : ['kind'], false, message)] };
  }
  const parsed = kinds[kind](json);
  if (parsed.ok) return { ok: true, document: parsed.value };
  return { ok: false, mistakes: parsed.problems.map(({ at, key, message }) => place(at, key, message)) };
}

function isKind(kind: unknown): kind is keyof typeof kinds {
  return typeof kind === 'string' && Object.hasOwn(kinds, kind);
}

function isFlagSet(json: unknown): boolean {
  return typeof json === 'object' && json !== null && 'flags' in json && !('kind' in json);
}

function identity(document: LoadedDocument['document']): string {
  return document.kind === 'RolloutPlan'
    ? `plan ${document.metadata.name}`
    : `${document.kind === 'GatePolicy' ? 'policy' : 'signal'} ${document.metadata.name}@${document.metadata.version}`;
}

/** Files as named, and those of named folders: `.yaml`, `.yml`, `.json`, hidden ones and `node_modules` left out. */
async function filesOf(io: Io, paths: readonly string[]): Promise<{ file: string; named: boolean }[]> {
  const files: { file: string; named: boolean }[] = [];
  for (const path of paths) {
    const folder = (await sizeOf(io, path)) === null;
    if (!folder) files.push({ file: path, named: true });
    else for (const file of await walk(io, path)) files.push({ file, named: false });
  }
  if (files.length === 0) throw new Exit(exit.usage, `there is no .yaml, .yml or .json file in ${paths.join(', ')}`);
  return files;
}

async function walk(io: Io, folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const path of await listOf(io, folder)) {
    const name = path.split(/[\\/]/).at(-1) ?? path;
    if (name.startsWith('.') || name === 'node_modules') continue;
    // What cannot be looked at may be a document or a folder of them: whoever reads it will say why not.
    const size = await io.size(path).catch(() => undefined);
    if (size === null) found.push(...(await walk(io, path)));
    else if (size === undefined || /\.(ya?ml|json)$/.test(name)) found.push(path);
  }
  return found;
}

async function listOf(io: Io, folder: string): Promise<string[]> {
  try {
    return await io.list(folder);
  } catch (error) {
    throw new Exit(exit.usage, `cannot read ${folder}: ${causeOf(error)}`);
  }
}

async function sizeOf(io: Io, path: string): Promise<number | null> {
  try {
    return await io.size(path);
  } catch (error) {
    throw new Exit(exit.usage, `cannot read ${path}: ${causeOf(error)}`);
  }
}

/** Bytes of a file; of a much too large one just enough to be refused. */
export async function read(io: Io, path: string): Promise<Uint8Array> {
  const size = await sizeOf(io, path);
  if (size === null) throw new Exit(exit.usage, `${path} is a folder`);
  if (size > maxFileBytes) return new Uint8Array(maxFileBytes + 1);
  try {
    return await io.readFile(path);
  } catch (error) {
    throw new Exit(exit.usage, `cannot read ${path}: ${causeOf(error)}`);
  }
}

/** Writes a new file; one that is there already stays as it is. */
export async function write(io: Io, path: string, text: string): Promise<void> {
  try {
    await io.writeFile(path, text);
  } catch (error) {
    throw new Exit(exit.usage, `cannot write ${path}: ${causeOf(error)}`);
  }
}
