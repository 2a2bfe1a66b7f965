/**
 * How big a rule may be and how much work one evaluation may do. A rule beyond the first four does not compile
 * (PARSE_ERROR for its flag alone); an evaluation beyond the last two ends in GENERAL.
 */
export const ruleLimits = {
  /** Operators and arrays nested in each other. */
  depth: 64,
  /** Operators and their arguments, `$ref` expanded; a list of plain values counts as one. */
  nodes: 5_000,
  /** Values in the lists of one rule together (allow lists). */
  elements: 20_000,
  /** Characters of one text in a rule. */
  textLength: 10_000,
  /** Nodes that `map`, `filter`, `reduce`, `all`, `some` and `none` may visit in one evaluation. */
  steps: 2_000,
  /** Characters of a text, and values of a list, that an evaluation may build. */
  result: 65_536,
} as const;
