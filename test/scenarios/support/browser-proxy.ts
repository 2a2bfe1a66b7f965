import { connect, createServer, type Socket } from 'node:net';

export interface StreamProxy extends AsyncDisposable {
  readonly url: string;
  /** Event streams that were asked for so far. */
  streams(): number;
  /** Tears down every connection; new ones are let through. */
  cut(): void;
  /** From here on, a request for an event stream does not reach the controller before `release`. */
  hold(): void;
  release(): void;
}

const streamRequest = 'GET /ofrep/v1/sse';

/** A TCP proxy on loopback that can cut connections, and can keep a stream from opening. */
export async function aStreamProxy(target: string): Promise<StreamProxy> {
  const sockets = new Set<Socket>();
  let streams = 0;
  let held: (() => void)[] | null = null;

  const server = createServer((near) => {
    const far = connect(Number(new URL(target).port), '127.0.0.1');
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket
        .on('error', () => {})
        .on('close', () => {
          sockets.delete(socket);
          other.destroy();
        });
    }
    far.pipe(near);
    near.on('data', (bytes: Buffer) => {
      // Requests come one by one on a connection, each at the start of a chunk.
      const isStream = bytes.toString('latin1', 0, streamRequest.length) === streamRequest;
      if (isStream) streams += 1;
      if (isStream && held !== null) held.push(() => far.write(bytes));
      else far.write(bytes);
    });
  });
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    streams: () => streams,
    cut,
    hold() {
      held = [];
    },
    release() {
      for (const send of held ?? []) send();
      held = null;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      cut();
      await closed;
    },
  };
}
