export { bucketOf, bucketOfHash, ppm } from './bucket.ts';
export { type CompiledFlag, type CompiledFlagSet, compileFlagSet } from './compile.ts';
export { evaluate } from './evaluate.ts';
export * from './flag.ts';
export { ruleLimits } from './limits.ts';
export { murmur3 } from './murmur3.ts';
export { type ParsedFlagSet, type ParseOptions, type ParseProblem, parseFlagSet } from './parse.ts';
export { compileRule, RuleProblem } from './rule.ts';
export {
  type DecodedToken,
  decodeToken,
  encodeToken,
  entriesThatFit,
  type TokenEntry,
  type TokenPayload,
  tokenLimits,
} from './token.ts';
export * from './wire.ts';
