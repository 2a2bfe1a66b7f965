/**
 * Canonical JSON for digests: RFC 8785 for what JSON itself can say. Keys are sorted by UTF-16 code units, numbers and
 * strings are written as ECMAScript writes them, there is no white space, and members that are `undefined` are left out.
 * Throws a TypeError for what JSON cannot say (NaN, infinities, functions, bigints, lone surrogates): a digest of
 * something else than what was meant would be worse than none.
 */
export function canonical(value: unknown): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return JSON.stringify(value);
    throw new TypeError(`${value} has no JSON`);
  }
  if (typeof value === 'string') {
    if (!/\p{Surrogate}/u.test(value)) return JSON.stringify(value);
    throw new TypeError('a string with a lone surrogate has no canonical JSON');
  }
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object') throw new TypeError(`a ${typeof value} has no JSON`);
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${canonical(key)}:${canonical(member)}`);
  return `{${members.join(',')}}`;
}
