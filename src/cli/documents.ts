import { type AuthoredDocument, type Inherited, lineageOf, materialise, readAuthored } from '../domain/catalogue.ts';
import { type Parsed, problem } from '../domain/document.ts';
import { type Known, type LintFinding, lint, offline } from '../domain/lint.ts';
import { parsePlan, type RolloutPlan } from '../domain/plan.ts';
import type { GatePolicy } from '../domain/policy.ts';
import { parseSignal, type Signal } from '../domain/signal.ts';
import { causeOf } from './client.ts';
import { Exit, exit } from './exit.ts';
import type { Io } from './io.ts';
import { type Mistake, maxFileBytes, parseYaml, type SourceDocument, type SourceFile } from './yaml.ts';

/** A document as read from a file: what is sent, and what it means. */
export interface LoadedDocument {
  readonly file: string;
  readonly authored: unknown;
  readonly document: RolloutPlan | GatePolicy | Signal | UnresolvedPolicy;
}

/** A policy whose ancestors are not all among the files: only the controller can tell what it comes to. */
export interface UnresolvedPolicy {
  readonly kind: 'UnresolvedPolicy';
  /** The nearest ancestor that is not here. */
  readonly missing: string;
  readonly metadata: { readonly name: string; readonly version: number; readonly extends: string | null };
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

const kinds = ['RolloutPlan', 'GatePolicy', 'Signal'] as const;

/** A document with its place in a file; a policy is not read further before all that it may extend is here. */
interface Entry {
  readonly file: string;
  readonly authored: unknown;
  readonly mistake: Place;
  readonly read: Parsed<LoadedDocument['document']> | { readonly policy: AuthoredDocument };
}

/** Reads, checks and lints everything under the paths; `environment` is where plans without waves run. */
export async function load(io: Io, paths: readonly string[], environment: string): Promise<Loaded> {
  const entries: Entry[] = [];
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
      if (!named && isFlagSet(entry.json)) flagSets.push(file);
      else
        entries.push({ file, authored: entry.json, mistake: placeIn(source, entry), read: readDocument(entry.json) });
    }
  }
  if (entries.length === 0 && mistakes.length === 0)
    throw new Exit(exit.usage, `there is no plan, policy or signal in ${paths.join(', ')}`);
  const { documents, inherited } = resolve(entries, mistakes);
  for (const [index, { document, mistake }] of documents.entries())
    if (documents.findIndex((other) => identity(other.document) === identity(document)) < index)
      mistakes.push(mistake(['metadata', 'name'], false, `${identity(document)} is declared twice`));
  const all = documents.map(({ document }) => document);
  const known: Known = {
    ...offline,
    environment,
    policies: all.filter((document) => document.kind === 'GatePolicy'),
    signals: all.filter((document) => document.kind === 'Signal'),
    inherited,
    unresolved: all.flatMap((document) => (document.kind === 'UnresolvedPolicy' ? [referenceTo(document)] : [])),
  };
  const findings = documents.flatMap(({ document, mistake }) =>
    (document.kind === 'UnresolvedPolicy' ? [unresolved(document)] : lint([document], known)).map((finding) => ({
      ...finding,
      ...mistake(finding.at, false, finding.message),
    })),
  );
  return { documents, mistakes, findings, flagSets };
}

type Place = (at: readonly (string | number)[], key: boolean, message: string) => Mistake;

function placeIn(source: SourceFile, entry: SourceDocument): Place {
  return (at, key, message) => source.mistake(entry.locate(at, key), message);
}

function readDocument(json: unknown): Entry['read'] {
  const kind = typeof json === 'object' && json !== null && 'kind' in json ? json.kind : undefined;
  if (!isKind(kind)) {
    const message = `\`kind\` must be one of ${kinds.join(', ')}`;
    return { ok: false, problems: [problem(kind === undefined ? [] : ['kind'], message)] };
  }
  if (kind === 'RolloutPlan') return parsePlan(json);
  if (kind === 'Signal') return parseSignal(json);
  const authored = readAuthored(json);
  return authored.ok ? { policy: authored.value } : authored;
}

type Placed = LoadedDocument & { readonly mistake: Place };

/** The documents that could be read, a policy after those that it extends; what is wrong with the others. */
function resolve(entries: readonly Entry[], mistakes: Mistake[]) {
  const authored = new Map(entries.flatMap(({ read }) => ('policy' in read ? [[read.policy.ref, read.policy]] : [])));
  const inherited = new Map<string, Inherited>();
  const documents: (Placed & { readonly depth: number })[] = [];
  for (const { file, authored: sent, mistake, read } of entries) {
    const parsed = 'policy' in read ? resolvePolicy(read.policy, authored, inherited) : read;
    if (parsed.ok) {
      const depth = 'policy' in read ? depthOf(read.policy, authored) : 0;
      documents.push({ file, authored: sent, document: parsed.value, mistake, depth });
    } else mistakes.push(...parsed.problems.map(({ at, key, message }) => mistake(at, key, message)));
  }
  return { documents: documents.toSorted((a, b) => a.depth - b.depth), inherited };
}

function resolvePolicy(
  policy: AuthoredDocument,
  authored: ReadonlyMap<string, AuthoredDocument>,
  inherited: Map<string, Inherited>,
): Parsed<GatePolicy | UnresolvedPolicy> {
  let missing: string | null = null;
  const lineage = lineageOf(policy, (ref) => {
    const found = authored.get(ref) ?? null;
    if (found === null) missing = ref;
    return found;
  });
  if (missing !== null) return { ok: true, value: unresolvedOf(policy, missing) };
  const whole = lineage.ok ? materialise(policy, lineage.value) : lineage;
  if (!whole.ok) return whole;
  if (whole.value.inherited !== null) inherited.set(policy.ref, whole.value.inherited);
  return { ok: true, value: whole.value.policy };
}

/** How many of the files' policies are above this one. */
function depthOf({ extends: parent }: AuthoredDocument, authored: ReadonlyMap<string, AuthoredDocument>): number {
  const above = parent === null ? undefined : authored.get(parent);
  return above === undefined ? 0 : 1 + depthOf(above, authored);
}

function unresolvedOf({ name, version, extends: parent }: AuthoredDocument, missing: string): UnresolvedPolicy {
  return { kind: 'UnresolvedPolicy', missing, metadata: { name, version, extends: parent } };
}

function unresolved(document: UnresolvedPolicy): LintFinding {
  const message = `${document.missing} is not among these files: what this policy comes to is checked when it is applied`;
  const at = ['metadata', 'extends'];
  const name = `GatePolicy/${document.metadata.name}`;
  return { id: 'G12', severity: 'warning', document: name, path: at.join('.'), at, message };
}

function isKind(kind: unknown): kind is (typeof kinds)[number] {
  return kinds.some((known) => known === kind);
}

function isFlagSet(json: unknown): boolean {
  return typeof json === 'object' && json !== null && 'flags' in json && !('kind' in json);
}

function identity(document: LoadedDocument['document']): string {
  if (document.kind === 'RolloutPlan') return `plan ${document.metadata.name}`;
  return `${document.kind === 'Signal' ? 'signal' : 'policy'} ${referenceTo(document)}`;
}

function referenceTo({ metadata }: Exclude<LoadedDocument['document'], RolloutPlan>): string {
  return `${metadata.name}@${metadata.version}`;
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
