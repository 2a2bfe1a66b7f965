import type {
  EvaluationContext,
  JsonValue,
  Provider,
  ResolutionDetails,
  TrackingEventDetails,
} from '@openfeature/server-sdk';
import { ErrorCode, OpenFeatureEventEmitter, ProviderEvents } from '@openfeature/server-sdk';
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';
import { isFields } from './parse.ts';
import type { Replica } from './replica.ts';
import { createReplica } from './replica.ts';
import type { Fetch } from './request.ts';
import type { Wanted } from './resolve.ts';
import { failed, resolveFlag } from './resolve.ts';
import type { Status } from './state.ts';

export interface TidegateOptions {
  /** Base URL of the controller. */
  readonly url: string;
  /** A server key; it names the environment. */
  readonly key: string;
  /** Refuse documents of any other environment. */
  readonly environment?: string;
  /** Where to keep the last flags for a start without the controller. */
  readonly snapshotFile?: string;
  /** How long `initialize` waits for the controller; default 5000. */
  readonly initTimeoutMs?: number;
  /** How often to ask beside the stream; default 60000. */
  readonly pollMs?: number;
  /** Without contact for this long the status is ERROR; default 300000. */
  readonly errorAfterMs?: number;
  /** Receives `client.track(...)`; see README, "Limitations". */
  readonly onTrack?: (event: TrackedEvent) => void;
  /** Receives what an operator should know, one sentence each; default `process.emitWarning`. */
  readonly warn?: (message: string) => void;
  readonly fetch?: Fetch;
  readonly clock?: Clock;
}

export interface TrackedEvent {
  readonly name: string;
  readonly context: EvaluationContext;
  readonly details: TrackingEventDetails;
}

/** OpenFeature server provider that evaluates in process. No resolution waits for the network or throws. */
export class TidegateProvider implements Provider {
  readonly metadata = { name: 'tidegate' };
  readonly runsOn = 'server';
  readonly events = new OpenFeatureEventEmitter();
  readonly #options: TidegateOptions;
  readonly #clock: Clock;
  readonly #replica: Replica;
  /** What the SDK believes; undefined until `initialize` has settled and the SDK has set its own status. */
  #told: Status | undefined;

  constructor(options: TidegateOptions) {
    const warn = safely(options.warn ?? ((message) => process.emitWarning(message, 'TidegateWarning')));
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#replica = createReplica(
      {
        url: options.url.replace(/\/+$/, ''),
        key: options.key,
        // Looked up per call, so that instrumentation installed later is seen.
        fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
        clock: this.#clock,
      },
      {
        environment: options.environment,
        snapshotFile: options.snapshotFile,
        pollMs: options.pollMs ?? 60_000,
        errorAfterMs: options.errorAfterMs ?? 300_000,
        warn,
      },
      {
        status: (status, message) => this.#tell(status, message),
        changed: (keys) => this.#tellChanged(keys),
      },
    );
  }

  /**
   * READY is the SDK's to announce once this resolves (spec 2.8.2 is about to change that), so everything the link
   * learns meanwhile is told afterwards.
   */
  async initialize(): Promise<void> {
    const started = await this.#replica.start(this.#options.initTimeoutMs ?? 5_000);
    if (started.is === 'refused') {
      throw new InitializationError(
        `the controller refuses key ${masked(this.#options.key)} (${started.status})`,
        ErrorCode.PROVIDER_FATAL,
      );
    }
    this.#clock.after(0, () => {
      this.#told = started.is === 'loaded' ? 'READY' : 'ERROR';
      const now = this.#replica.status();
      if (now !== 'NOT_READY') this.#tell(now, 'the controller is not reachable; flags come from the snapshot file');
    });
    if (started.is === 'empty') throw new InitializationError(`no flags: ${started.because}`, ErrorCode.GENERAL);
  }

  async onClose(): Promise<void> {
    this.#replica.close();
  }

  async resolveBooleanEvaluation(key: string, fallback: boolean, context: EvaluationContext) {
    return this.#resolve(key, fallback, context, wantedBoolean);
  }

  async resolveStringEvaluation(key: string, fallback: string, context: EvaluationContext) {
    return this.#resolve(key, fallback, context, wantedString);
  }

  async resolveNumberEvaluation(key: string, fallback: number, context: EvaluationContext) {
    return this.#resolve(key, fallback, context, wantedNumber);
  }

  async resolveObjectEvaluation<T extends JsonValue>(key: string, fallback: T, context: EvaluationContext) {
    return this.#resolve<T>(key, fallback, context, { name: 'object', fits: isObject });
  }

  track(name: string, context: EvaluationContext, details: TrackingEventDetails = {}): void {
    try {
      this.#options.onTrack?.({ name, context, details });
    } catch {
      // The application's callback is the application's business; its request goes on.
    }
  }

  #resolve<T>(key: string, fallback: T, context: EvaluationContext, wanted: Wanted<T>): ResolutionDetails<T> {
    try {
      return resolveFlag(this.#replica.view(), key, fallback, context, wanted);
    } catch (error) {
      // A context with a throwing getter, for one: it must not take the request down.
      const message = error instanceof Error ? error.message : String(error);
      const { held, environment } = this.#replica.view();
      const metadata = { flagSetId: held?.env ?? environment ?? '', version: String(held?.ver ?? 0) };
      return failed(fallback, ErrorCode.GENERAL, message, metadata);
    }
  }

  #tell(status: Status, message: string): void {
    if (this.#told === undefined || this.#told === status) return;
    this.#told = status;
    if (status === 'READY') this.events.emit(ProviderEvents.Ready);
    if (status === 'STALE') this.events.emit(ProviderEvents.Stale, { message });
    if (status === 'ERROR') this.events.emit(ProviderEvents.Error, { message, errorCode: ErrorCode.GENERAL });
  }

  #tellChanged(flagsChanged: readonly string[]): void {
    if (this.#told === undefined) return;
    this.events.emit(ProviderEvents.ConfigurationChanged, { flagsChanged: [...flagsChanged] });
  }
}

/** `code` is how the SDK tells a refused key (FATAL) from a controller that is down (ERROR). */
class InitializationError extends Error {
  readonly code: ErrorCode;
  constructor(message: string, code: ErrorCode) {
    super(message);
    this.name = 'InitializationError';
    this.code = code;
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

/** The key's id (`tg_srv_<id>`), never any of its secret. */
function masked(key: string): string {
  const [id] = /^tg_[a-z]+_[0-9A-Za-z]{8}(?=_)/.exec(key) ?? [key.slice(0, 4)];
  return `${id}…`;
}

/** Each message once: a controller that repeats itself must not fill a log. */
function safely(warn: (message: string) => void): (message: string) => void {
  const said = new Set<string>();
  return (message) => {
    if (said.has(message) || said.size >= 100) return;
    said.add(message);
    try {
      warn(message);
    } catch {
      // A logger that throws is no reason to stop serving flags.
    }
  };
}
