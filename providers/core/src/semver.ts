import { argumentList, type Operator } from './operator.ts';

/** Numeric identifiers are numbers, so that 1.0.0-2 stands before 1.0.0-10. */
interface Version {
  readonly numbers: readonly [major: number, minor: number, patch: number];
  readonly prerelease: readonly (string | number)[];
}

const number = '(0|[1-9]\\d*)';
const identifier = '(?:0|[1-9]\\d*|\\d*[a-zA-Z-][a-zA-Z0-9-]*)';
const full = new RegExp(
  `^${number}\\.${number}\\.${number}(?:-(${identifier}(?:\\.${identifier})*))?(?:\\+[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?$`,
);
const partial = /^(\d{1,16})(?:\.(\d{1,16}))?$/;
/** Longer than any real version; keeps the regular expressions cheap. */
const longest = 256;

/** semver.org 2.0; a leading v is dropped, `1` and `1.2` are padded with zeros, numbers are read as text. */
function parseVersion(value: unknown): Version | null {
  if (typeof value !== 'string' && typeof value !== 'number') return null;
  const text = String(value).replace(/^[vV]/, '').trim();
  if (text.length > longest) return null;
  const match = full.exec(text) ?? partial.exec(text);
  if (!match) return null;
  const [, major = '0', minor = '0', patch = '0', prerelease] = match;
  const numbers = [Number(major), Number(minor), Number(patch)] as const;
  if (!numbers.every(Number.isSafeInteger)) return null;
  return { numbers, prerelease: prerelease?.split('.').map(readIdentifier) ?? [] };
}

function readIdentifier(text: string): string | number {
  const value = Number(text);
  return /^\d+$/.test(text) && Number.isSafeInteger(value) ? value : text;
}

/** Precedence of semver.org 2.0 §11: negative, 0 or positive. */
function compareVersions(a: Version, b: Version): number {
  for (const index of [0, 1, 2] as const) {
    const difference = a.numbers[index] - b.numbers[index];
    if (difference !== 0) return difference;
  }
  if (a.prerelease.length === 0 || b.prerelease.length === 0) return b.prerelease.length - a.prerelease.length;
  const shared = Math.min(a.prerelease.length, b.prerelease.length);
  for (let index = 0; index < shared; index++) {
    const order = compareIdentifiers(a.prerelease[index] ?? 0, b.prerelease[index] ?? 0);
    if (order !== 0) return order;
  }
  return a.prerelease.length - b.prerelease.length;
}

function compareIdentifiers(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a === 'number') return -1;
  if (typeof b === 'number') return 1;
  return a === b ? 0 : a < b ? -1 : 1;
}

const relations: { readonly [operator: string]: (a: Version, b: Version) => boolean } = {
  '=': (a, b) => compareVersions(a, b) === 0,
  '!=': (a, b) => compareVersions(a, b) !== 0,
  '<': (a, b) => compareVersions(a, b) < 0,
  '<=': (a, b) => compareVersions(a, b) <= 0,
  '>': (a, b) => compareVersions(a, b) > 0,
  '>=': (a, b) => compareVersions(a, b) >= 0,
  '^': (a, b) => a.numbers[0] === b.numbers[0],
  '~': (a, b) => a.numbers[0] === b.numbers[0] && a.numbers[1] === b.numbers[1],
};

/** `[version, relation, version]`; null for anything that is none of these. */
export const semVer: Operator = (args, place) => {
  const list = argumentList(args, place);
  // The version on the right is nearly always written into the rule.
  const [, , literal]: readonly unknown[] = Array.isArray(args) ? args : [];
  const fixed = parseVersion(literal);
  return (data, run) => {
    const values = list(data, run);
    const left = parseVersion(values[0]);
    const right = fixed ?? parseVersion(values[2]);
    if (!left || !right || values.length !== 3) return null;
    const relation = String(values[1]);
    return Object.hasOwn(relations, relation) ? (relations[relation]?.(left, right) ?? null) : null;
  };
};
