import type { EvaluationContext, JsonValue, Provider, ResolutionDetails } from '@openfeature/web-sdk';
import { ErrorCode, OpenFeatureEventEmitter, ProviderEvents } from '@openfeature/web-sdk';
import { entryMetadataKey, tokenMetadataKey } from '@tidegate/core';
import { isFields } from './answer.ts';
import type { Fetch } from './bulk.ts';
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';
import type { EventStream } from './link.ts';
import type { Wanted } from './resolve.ts';
import { resolveFlag } from './resolve.ts';
import type { Rum } from './rum.ts';
import { createRum } from './rum.ts';
import type { Session } from './session.ts';
import { answerOf, createSession } from './session.ts';

export interface TidegateWebOptions {
  /** Base URL of the controller, or of a proxy in front of it. */
  readonly url: string;
  /** A client key; not needed where the controller evaluates publicly. */
  readonly key?: string;
  /** Real-user monitoring. `false` (default): none, ever; `{ enabled: false }`: none until `enableRum()`. */
  readonly rum?: { readonly enabled: boolean } | false;
  /** How long one request may take; default 5000. */
  readonly timeoutMs?: number;
  /** How often to ask while streams do not work; default 30000. */
  readonly pollMs?: number;
  readonly fetch?: Fetch;
  readonly openStream?: (url: string) => EventStream;
  readonly clock?: Clock;
}

type Status = 'READY' | 'STALE' | 'ERROR';

/** OpenFeature web provider: results of the controller's bulk evaluation, kept current by its event stream. */
export class TidegateWebProvider implements Provider {
  readonly metadata = { name: 'tidegate' };
  readonly runsOn = 'client';
  readonly events = new OpenFeatureEventEmitter();
  readonly #clock: Clock;
  readonly #session: Session;
  readonly #rum: Rum | undefined;
  /** What the SDK believes; undefined until `initialize` has settled and the SDK has set its own status. */
  #told: Status | undefined;

  constructor(options: TidegateWebOptions) {
    const url = options.url.replace(/\/+$/, '');
    this.#clock = options.clock ?? systemClock;
    const rum = options.rum ?? false;
    this.#rum = rum ? createRum(url) : undefined;
    if (rum && rum.enabled === true) this.#rum?.enable();
    this.#session = createSession(
      {
        url,
        key: options.key,
        timeoutMs: options.timeoutMs ?? 5_000,
        pollMs: options.pollMs ?? 30_000,
        // Looked up per call, so that instrumentation installed later is seen.
        fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
        openStream: options.openStream ?? ((address) => new EventSource(address)),
        clock: this.#clock,
      },
      {
        answered: ({ metadata }) => {
          const token = metadata[tokenMetadataKey];
          if (typeof token === 'string') this.#rum?.token(token);
        },
        status: (status, message) => this.#tell(status, message),
        changed: (keys) => {
          if (this.#told) this.events.emit(ProviderEvents.ConfigurationChanged, { flagsChanged: [...keys] });
        },
      },
    );
  }

  /**
   * READY is the SDK's to announce once this resolves (spec 2.8.2 is about to change that), so what the session learns
   * meanwhile is told afterwards.
   */
  async initialize(context: EvaluationContext = {}): Promise<void> {
    const bulk = await this.#session.load(context);
    if (bulk.is === 'refused') {
      this.#session.close();
      const message = `the controller refuses this key (${bulk.status})`;
      throw Object.assign(new Error(message), { code: ErrorCode.PROVIDER_FATAL });
    }
    const isLive = this.#session.state().is === 'live';
    this.#clock.after(0, () => {
      this.#told = isLive ? 'READY' : 'ERROR';
      this.#tellAgain();
    });
    if (isLive) return;
    throw new Error(bulk.is === 'failed' ? bulk.because : 'the controller asks to come back later');
  }

  /** Always async: a synchronous throw here would stop the SDK's ContextChanged events for good. */
  async onContextChange(_before: EvaluationContext, context: EvaluationContext): Promise<void> {
    await this.#session.load(context);
    // The SDK now says READY whatever happened; when we are still cut off, say so again afterwards.
    this.#clock.after(0, () => {
      this.#told = 'READY';
      this.#tellAgain();
    });
  }

  async onClose(): Promise<void> {
    this.#session.close();
    this.#rum?.close();
  }

  /** Starts real-user monitoring after the visitor's consent; needs the option `rum: { enabled: false }`. */
  enableRum(): void {
    this.#rum?.enable();
  }

  resolveBooleanEvaluation(key: string, fallback: boolean): ResolutionDetails<boolean> {
    return this.#resolve(key, fallback, wantedBoolean);
  }

  resolveStringEvaluation(key: string, fallback: string): ResolutionDetails<string> {
    return this.#resolve(key, fallback, wantedString);
  }

  resolveNumberEvaluation(key: string, fallback: number): ResolutionDetails<number> {
    return this.#resolve(key, fallback, wantedNumber);
  }

  resolveObjectEvaluation<T extends JsonValue>(key: string, fallback: T): ResolutionDetails<T> {
    return this.#resolve<T>(key, fallback, { name: 'object', fits: isObject });
  }

  /** Counts a conversion (`conv:<name>`) on this page view; nothing without real-user monitoring. */
  track(name: string): void {
    this.#rum?.track(name);
  }

  #resolve<T>(key: string, fallback: T, wanted: Wanted<T>): ResolutionDetails<T> {
    const state = this.#session.state();
    const answer = answerOf(state);
    const entry = answer?.flags.get(key)?.metadata[entryMetadataKey];
    const token = answer?.metadata[tokenMetadataKey];
    if (typeof entry === 'number' && typeof token === 'string') this.#rum?.exposed(entry, token);
    return resolveFlag(answer, state.is !== 'live', key, fallback, wanted);
  }

  #tellAgain(): void {
    const state = this.#session.state();
    if (state.is === 'live') this.#tell('READY', '');
    if (state.is === 'stale' || state.is === 'error')
      this.#tell(state.is === 'stale' ? 'STALE' : 'ERROR', state.because);
  }

  #tell(status: Status, message: string): void {
    if (this.#told === undefined || this.#told === status) return;
    this.#told = status;
    if (status === 'READY') this.events.emit(ProviderEvents.Ready);
    if (status === 'STALE') this.events.emit(ProviderEvents.Stale, { message });
    if (status === 'ERROR') this.events.emit(ProviderEvents.Error, { message, errorCode: ErrorCode.GENERAL });
  }
}

const wantedBoolean: Wanted<boolean> = {
  name: 'boolean',
  fits: (value): value is boolean => typeof value === 'boolean',
};
const wantedString: Wanted<string> = { name: 'string', fits: (value): value is string => typeof value === 'string' };
const wantedNumber: Wanted<number> = { name: 'number', fits: (value): value is number => typeof value === 'number' };

function isObject<T extends JsonValue>(value: unknown): value is T {
  return isFields(value) || Array.isArray(value);
}
