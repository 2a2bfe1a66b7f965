import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { createHub, type HubLimits, sse, type Timers } from '../../src/serve/hub.ts';

/** Time in the test's hand. */
function heldTime() {
  let now = 0;
  const waiting = new Set<{ at: number; every: number | null; run: () => void }>();
  const add = (ms: number, every: number | null, run: () => void) => {
    const entry = { at: now + ms, every, run };
    waiting.add(entry);
    return () => {
      waiting.delete(entry);
    };
  };
  const timers: Timers = { after: (ms, run) => add(ms, null, run), every: (ms, run) => add(ms, ms, run) };
  return {
    timers,
    now: () => now,
    waiting,
    pass(ms: number) {
      now += ms;
      for (const entry of [...waiting].sort((a, b) => a.at - b.at)) {
        if (entry.at > now) continue;
        if (entry.every === null) waiting.delete(entry);
        else entry.at += entry.every;
        entry.run();
      }
    },
  };
}

/** A response that keeps what it is told. */
class Reader extends EventEmitter {
  text = '';
  status = 0;
  headers: object = {};
  writableLength = 0;
  destroyed = false;
  writableEnded = false;
  readonly socket = null;
  writeHead(status: number, headers: object): void {
    this.status = status;
    this.headers = headers;
  }
  write(bytes: Buffer): void {
    this.text += bytes.toString();
  }
  end(): void {
    this.writableEnded = true;
    this.emit('close');
  }
  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

function setup(limits: Partial<HubLimits> = {}) {
  const time = heldTime();
  const hub = createHub({ timers: time.timers, now: time.now }, limits);
  const open = (seen = 1, keyId = 'k', channel = 'c') => {
    const reader = new Reader();
    return { reader, verdict: hub.open(reader, { channel, keyId, first: [], seen }) };
  };
  return { time, hub, open };
}

const event = (id: number, from = id - 1) => ({ id, from, bytes: sse({ n: id }, { id }) });

describe('the stream hub', () => {
  it('starts with the retry time and headers that no proxy holds back', () => {
    const { reader } = setup().open();
    expect(reader.status).toBe(200);
    expect(reader.headers).toEqual({
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-cache, no-transform',
      'X-Accel-Buffering': 'no',
    });
    expect(reader.text).toBe('retry: 500\n\n');
  });

  it('writes an event to every stream of its channel and to no other', () => {
    const { hub, open } = setup();
    const [a, b, other] = [open(), open(), open(1, 'k', 'elsewhere')];
    hub.send('c', event(2), 'now');
    for (const { reader } of [a, b]) expect(reader.text).toContain('id: 2\ndata: {"n":2}\n\n');
    expect(other.reader.text).not.toContain('data');
  });

  it('spreads a step up over two seconds and reaches everybody once', () => {
    const { hub, open, time } = setup();
    const readers = Array.from({ length: 40 }, () => open().reader);
    const told = () => readers.filter(({ text }) => text.includes('"n":2')).length;
    hub.send('c', event(2), 'spread');
    time.pass(0);
    const early = told();
    time.pass(1_000);
    expect(early).toBeGreaterThan(0);
    expect(told()).toBeGreaterThan(early);
    expect(told()).toBeLessThan(40);
    time.pass(1_000);
    for (const { text } of readers) expect(text.split('"n":2')).toHaveLength(2);
  });

  it('lets a kill overtake a spread under way, which then has nothing left to say', () => {
    const { hub, open, time } = setup();
    const readers = Array.from({ length: 40 }, () => open().reader);
    hub.send('c', event(2), 'spread');
    time.pass(200);
    hub.send('c', event(3), 'now');
    for (const { text } of readers) expect(text).toContain('"n":3');
    const late = readers.filter(({ text }) => !text.includes('"n":2'));
    expect(late.length).toBeGreaterThan(0);
    time.pass(2_000);
    for (const { text } of late) expect(text).not.toContain('"n":2');
  });

  it('does not tell a stream what it has seen already', () => {
    const { hub, open, time } = setup();
    hub.send('c', event(2), 'spread');
    const { reader } = open(2);
    time.pass(2_000);
    expect(reader.text).not.toContain('data');
  });

  it('beats every ten seconds, with the head where there is one', () => {
    const { hub, open, time } = setup();
    const { reader } = open();
    time.pass(10_000);
    expect(reader.text.endsWith(':\n\n')).toBe(true);
    hub.beat('c', sse({ ver: 9 }, { event: 'head' }));
    time.pass(10_000);
    expect(reader.text.endsWith('event: head\ndata: {"ver":9}\n\n')).toBe(true);
  });

  it('drops a reader that leaves more than 64 KB unread, and nobody else', () => {
    const { hub, open } = setup();
    const [slow, fine] = [open(), open()];
    slow.reader.writableLength = 65_537;
    fine.reader.writableLength = 65_536;
    hub.send('c', event(2), 'now');
    expect(slow.reader.destroyed).toBe(true);
    expect(fine.reader.destroyed).toBe(false);
    expect(hub.size).toBe(1);
  });

  it('does not blame a reader for one large event', () => {
    const { hub, open } = setup();
    const { reader } = open();
    hub.send('c', { id: 2, from: 1, bytes: Buffer.alloc(200_000, 'x') }, 'now');
    expect(reader.destroyed).toBe(false);
  });

  it('replays from its ring, and says when that no longer reaches back', () => {
    const { hub } = setup({ ring: 2 });
    expect(hub.since('c', 1)).toBeNull();
    for (const id of [2, 3, 4]) hub.send('c', event(id), 'now');
    expect(hub.since('c', 2)?.map(String)).toEqual([event(3), event(4)].map(({ bytes }) => String(bytes)));
    expect(hub.since('c', 4)).toEqual([]);
    expect(hub.since('c', 1)).toBeNull();
    expect(hub.since('c', 5)).toBeNull();
  });

  it('refuses a key that has too many streams, and a storm', () => {
    const { hub, open, time } = setup({ perKey: 2, perSecond: 4, streams: 5 });
    expect([open(), open(), open()].map(({ verdict }) => verdict)).toEqual(['opened', 'opened', 'key_full']);
    expect([open(1, 'b'), open(1, 'c'), open(1, 'd')].map(({ verdict }) => verdict)).toEqual([
      'opened',
      'opened',
      'busy',
    ]);
    time.pass(1_000);
    expect([open(1, 'd'), open(1, 'e')].map(({ verdict }) => verdict)).toEqual(['opened', 'busy']);
    hub.closeKey('k');
    expect(open().verdict).toBe('opened');
  });

  it('ends the streams of a revoked key only', () => {
    const { hub, open } = setup();
    const [revoked, fine] = [open(1, 'leaked'), open(1, 'fine')];
    hub.closeKey('leaked');
    expect(revoked.reader.writableEnded).toBe(true);
    expect(fine.reader.writableEnded).toBe(false);
  });

  it('ends everything on shutdown, leaves no timer and takes nobody in', () => {
    const { hub, open, time } = setup();
    const { reader } = open();
    hub.send('c', event(2), 'spread');
    hub.close();
    expect(reader.writableEnded).toBe(true);
    expect(time.waiting.size).toBe(0);
    expect(open().verdict).toBe('busy');
  });
});
