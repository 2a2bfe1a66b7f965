export type { Clock } from './clock.ts';
export type { TidegateOptions, TrackedEvent } from './provider.ts';
export { TidegateProvider } from './provider.ts';
