import { type Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseAllDocuments, visit } from 'yaml';

/** Larger documents are refused unread: nobody writes a plan of this size. Bytes. */
export const maxFileBytes = 256 * 1024;
/** More uses of anchors than this are taken for an attempt to exhaust memory. */
const maxAliases = 50;

/** Line and column from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A mistake in a file, ready to be shown with its line. */
export interface Mistake extends Position {
  readonly file: string;
  readonly message: string;
  /** Text of the line. */
  readonly source: string;
}

export interface SourceDocument {
  readonly json: unknown;
  /** Where the value (or, with `key`, its key) stands; the nearest enclosing one when it is absent. */
  locate(at: readonly (string | number)[], key: boolean): Position;
}

export interface SourceFile {
  readonly documents: readonly SourceDocument[];
  readonly mistakes: readonly Mistake[];
  mistake(position: Position, message: string): Mistake;
}

/** Reads YAML 1.2 (of which JSON is a part), one or more documents a file. */
export function parseYaml(file: string, bytes: Uint8Array): SourceFile {
  const text = decode(bytes);
  const lines = (text ?? '').split(/\r?\n/);
  const mistake = ({ line, column }: Position, message: string): Mistake => ({
    file,
    line,
    column,
    message,
    source: lines[line - 1] ?? '',
  });
  const broken = (message: string) => ({
    documents: [],
    mistakes: [mistake({ line: 1, column: 1 }, message)],
    mistake,
  });
  if (bytes.byteLength > maxFileBytes) return broken(`the file is larger than ${maxFileBytes / 1024} KiB`);
  if (text === null) return broken('the file is not UTF-8 text');

  const lineCounter = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter, uniqueKeys: true, prettyErrors: false });
  if (!Array.isArray(parsed)) return { documents: [], mistakes: [], mistake };
  const at = (offset: number): Position => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const documents: SourceDocument[] = [];
  const mistakes: Mistake[] = [];
  for (const document of parsed) {
    const found = [...document.errors, ...document.warnings].map((error) => mistake(at(error.pos[0]), error.message));
    const bomb = found.length === 0 ? bombIn(document) : null;
    if (bomb !== null) found.push(mistake(at(bomb), `more than ${maxAliases} aliases; write the values out`));
    mistakes.push(...found);
    if (found.length > 0 || document.contents === null) continue;
    const json: unknown = document.toJS({ maxAliasCount: maxAliases });
    documents.push({ json, locate: (path, key) => at(offsetOf(document, path, key)) });
  }
  return { documents, mistakes, mistake };
}

function decode(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

type Parsed = Document.Parsed;

/** Offset of the alias that goes too far, counting what every alias expands to; null when the document is harmless. */
function bombIn(document: Parsed): number | null {
  const weights = new Map<string, number>();
  let total = 0;
  let offset: number | null = null;
  visit(document, {
    Alias(_, alias) {
      // An anchored value that itself holds aliases counts each of them again.
      total += weights.get(alias.source) ?? 1;
      if (total > maxAliases) {
        offset = alias.range?.[0] ?? 0;
        return visit.BREAK;
      }
      return undefined;
    },
    Node(_, node) {
      if (!isAlias(node) && node.anchor !== undefined) weights.set(node.anchor, 1 + aliasesIn(node, weights));
      return undefined;
    },
  });
  return offset;
}

function aliasesIn(node: Parameters<typeof visit>[0], weights: ReadonlyMap<string, number>): number {
  let count = 0;
  visit(node, {
    Alias(_, alias) {
      count += weights.get(alias.source) ?? 1;
    },
  });
  return count;
}

function offsetOf(document: Parsed, path: readonly (string | number)[], key: boolean): number {
  let node: unknown = document.contents;
  let offset = document.contents?.range[0] ?? 0;
  for (const [index, step] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    if (isSeq(node)) node = node.items[Number(step)];
    else if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
      const last = index === path.length - 1;
      // The key of a container says more than its first member, which is where the container begins.
      if (isNode(pair?.key) && (last || isMap(pair.value) || isSeq(pair.value))) offset = pair.key.range?.[0] ?? offset;
      if (key && last) return offset;
      node = pair?.value;
      if (!isScalar(node) && !isAlias(node)) continue;
    } else return offset;
    if (isNode(node)) offset = node.range?.[0] ?? offset;
  }
  return offset;
}

/** `file:line:column: message`, the line, and a caret under the column. */
export function formatMistake(mistake: Mistake): string {
  const { file, line, column, message } = mistake;
  const { text, caret } = excerptOf(mistake);
  const margin = text.slice(0, caret).replace(/[^\t]/g, ' ');
  return `${file}:${line}:${column}: ${message}\n  ${text}\n  ${margin}^\n`;
}

/** Characters of a line that are shown: JSON may have all of its 256 KiB on one. */
const shownWidth = 120;

/** What is shown of the line, and where in it (from 0) the column is. */
export function excerptOf({ source, column }: Mistake): { readonly text: string; readonly caret: number } {
  if (source.length <= shownWidth) return { text: source, caret: column - 1 };
  const from = Math.max(0, Math.min(column - 1 - shownWidth / 2, source.length - shownWidth));
  const before = from > 0 ? '…' : '';
  const after = from + shownWidth < source.length ? '…' : '';
  return {
    text: `${before}${source.slice(from, from + shownWidth)}${after}`,
    caret: column - 1 - from + before.length,
  };
}
