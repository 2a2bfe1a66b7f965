export type { Fetch } from './bulk.ts';
export type { Clock } from './clock.ts';
export type { EventStream } from './link.ts';
export type { TidegateWebOptions } from './provider.ts';
export { TidegateWebProvider } from './provider.ts';
