/** Timers as arguments, so that a test holds time in its hand. Each returns its own undoing. */
export interface Timers {
  after(ms: number, run: () => void): () => void;
  every(ms: number, run: () => void): () => void;
}

/** Timers that never keep the process alive. */
export const realTimers: Timers = {
  after(ms, run) {
    const timer = setTimeout(run, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
  every(ms, run) {
    const timer = setInterval(run, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};

export interface HubEvent {
  /** Version that the event announces; a stream that has seen it is not told again. */
  readonly id: number;
  /** Version it builds on: what a reader must hold for the event to be enough. */
  readonly from: number;
  readonly bytes: Buffer;
}

/** What a stream asks of a `ServerResponse`. */
export interface StreamSink {
  readonly destroyed: boolean;
  readonly writableEnded: boolean;
  /** Bytes written and not yet taken by the reader. */
  readonly writableLength: number;
  readonly socket: { setNoDelay(on: boolean): unknown } | null;
  writeHead(status: number, headers: { readonly [name: string]: string }): unknown;
  write(bytes: Buffer): unknown;
  end(): unknown;
  destroy(): unknown;
  on(event: 'close' | 'error', listener: () => void): unknown;
}

export interface StreamStart {
  readonly channel: string;
  /** Id of the key that opened it. */
  readonly keyId: string;
  /** Written at once, in order. */
  readonly first: readonly Buffer[];
  /** Version that the reader holds once it has read `first`. */
  readonly seen: number;
}

export interface Hub {
  /** Takes the response over as an event stream, or says why not; then the caller still has to answer. */
  open(res: StreamSink, start: StreamStart): 'opened' | 'key_full' | 'busy';
  /** `now` writes to every stream of the channel before it returns; `spread` within two seconds, each stream at its own moment. */
  send(channel: string, event: HubEvent, pace: 'now' | 'spread'): void;
  /** What the channel's heartbeat says from now on; a comment until then. */
  beat(channel: string, bytes: Buffer): void;
  /** Events after version `seen`, or null when the ring no longer reaches back that far. */
  since(channel: string, seen: number): readonly Buffer[] | null;
  /** Ends the streams of a revoked key. */
  closeKey(keyId: string): void;
  /** Ends every stream and takes no more. */
  close(): void;
  readonly size: number;
}

export interface HubLimits {
  /** Open streams in all, per key, and new ones in a second. */
  readonly streams: number;
  readonly perKey: number;
  readonly perSecond: number;
  /** Bytes a reader may leave unread before it is dropped. */
  readonly unsentBytes: number;
  /** Events kept per channel for `since`. */
  readonly ring: number;
  readonly heartbeatMs: number;
  readonly spreadMs: number;
}

const usual: HubLimits = {
  streams: 2_000,
  perKey: 1_000,
  perSecond: 200,
  unsentBytes: 65_536,
  ring: 256,
  heartbeatMs: 10_000,
  spreadMs: 2_000,
};

const slots = 20;
const comment = Buffer.from(':\n\n');
/** A browser whose stream was cut comes back after this long, and has a second in all to learn of a kill. */
const hello = Buffer.from('retry: 500\n\n');

/** One server-sent event as the bytes that every stream gets. JSON data has no line breaks. */
export function sse(data: unknown, about: { readonly event?: string; readonly id?: number } = {}): Buffer {
  const event = about.event === undefined ? '' : `event: ${about.event}\n`;
  const id = about.id === undefined ? '' : `id: ${about.id}\n`;
  return Buffer.from(`${id}${event}data: ${JSON.stringify(data)}\n\n`);
}

interface Stream {
  readonly res: StreamSink;
  readonly keyId: string;
  /** Which twentieth of a spread is this stream's; fixed while it is open. */
  readonly slot: number;
  seen: number;
}

interface Channel {
  readonly streams: Set<Stream>;
  readonly ring: HubEvent[];
  beat: Buffer;
}

/** Every open event stream of this process. Order of events within a stream is the order of `send`, kills first. */
export function createHub(
  deps: { readonly timers: Timers; readonly now: () => number },
  set: Partial<HubLimits> = {},
): Hub {
  const limits = { ...usual, ...set };
  const channels = new Map<string, Channel>();
  const perKey = new Map<string, number>();
  const pending = new Set<() => void>();
  let opened = 0;
  let size = 0;
  let closed = false;
  let second = { at: Number.NEGATIVE_INFINITY, opened: 0 };

  const channelOf = (name: string): Channel => {
    const known = channels.get(name);
    if (known !== undefined) return known;
    const made: Channel = { streams: new Set(), ring: [], beat: comment };
    channels.set(name, made);
    return made;
  };

  const write = (stream: Stream, bytes: Buffer): void => {
    if (stream.res.destroyed || stream.res.writableEnded) return;
    // A reader that does not read would make us keep every later event for it; it comes back and catches up. Looked at
    // before the write, because one large event is no fault of the reader's.
    if (stream.res.writableLength > limits.unsentBytes) stream.res.destroy();
    else stream.res.write(bytes);
  };

  const tell = (channel: Channel, event: HubEvent, chosen: (stream: Stream) => boolean): void => {
    for (const stream of channel.streams) {
      if (stream.seen >= event.id || !chosen(stream)) continue;
      stream.seen = event.id;
      write(stream, event.bytes);
    }
  };

  const later = (ms: number, run: () => void): void => {
    const cancel = deps.timers.after(ms, () => {
      pending.delete(cancel);
      run();
    });
    pending.add(cancel);
  };

  const admit = (keyId: string): 'opened' | 'key_full' | 'busy' => {
    const now = deps.now();
    if (now - second.at >= 1_000) second = { at: now, opened: 0 };
    if (closed || size >= limits.streams || second.opened >= limits.perSecond) return 'busy';
    if ((perKey.get(keyId) ?? 0) >= limits.perKey) return 'key_full';
    second.opened += 1;
    return 'opened';
  };

  const stopBeating = deps.timers.every(limits.heartbeatMs, () => {
    for (const channel of channels.values()) for (const stream of channel.streams) write(stream, channel.beat);
  });

  const closeWhere = (chosen: (stream: Stream) => boolean): void => {
    for (const channel of channels.values()) {
      for (const stream of channel.streams) if (chosen(stream)) stream.res.end();
    }
  };

  return {
    open(res, start) {
      const verdict = admit(start.keyId);
      if (verdict !== 'opened') return verdict;
      const channel = channelOf(start.channel);
      opened += 1;
      const stream: Stream = { res, keyId: start.keyId, slot: (opened * 7) % slots, seen: start.seen };
      size += 1;
      perKey.set(start.keyId, (perKey.get(start.keyId) ?? 0) + 1);
      channel.streams.add(stream);
      res.on('close', () => {
        channel.streams.delete(stream);
        size -= 1;
        const left = (perKey.get(start.keyId) ?? 1) - 1;
        if (left > 0) perKey.set(start.keyId, left);
        else perKey.delete(start.keyId);
      });
      res.on('error', () => res.destroy());
      res.socket?.setNoDelay(true);
      res.writeHead(200, {
        'Content-Type': 'text/event-stream',
        // `no-transform`: a compressing proxy would hold events back.
        'Cache-Control': 'no-cache, no-transform',
        'X-Accel-Buffering': 'no',
      });
      write(stream, Buffer.concat([hello, ...start.first]));
      return 'opened';
    },
    send(name, event, pace) {
      const channel = channelOf(name);
      channel.ring.push(event);
      if (channel.ring.length > limits.ring) channel.ring.shift();
      if (pace === 'now') {
        tell(channel, event, () => true);
        return;
      }
      // A later event sent at once raises `seen`, so the slots still waiting find nothing left to say: a kill overtakes.
      for (let slot = 0; slot < slots; slot += 1) {
        later((slot * limits.spreadMs) / slots, () => tell(channel, event, (stream) => stream.slot === slot));
      }
    },
    beat(name, bytes) {
      channelOf(name).beat = bytes;
    },
    since(name, seen) {
      const ring = channels.get(name)?.ring ?? [];
      const oldest = ring[0];
      const newest = ring.at(-1);
      if (oldest === undefined || newest === undefined || seen < oldest.from || seen > newest.id) return null;
      return ring.filter((event) => event.id > seen).map((event) => event.bytes);
    },
    closeKey: (keyId) => closeWhere((stream) => stream.keyId === keyId),
    close() {
      closed = true;
      stopBeating();
      for (const cancel of pending) cancel();
      pending.clear();
      closeWhere(() => true);
    },
    get size() {
      return size;
    },
  };
}
