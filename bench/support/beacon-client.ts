/**
 * Sends beacons from a process of its own, so that the server's CPU time is the server's alone: 256 keep-alive sockets,
 * each waiting for its answer before it sends again. Started by `bench/beacons.ts`.
 */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

export interface Job {
  readonly port: number;
  readonly times: number;
  readonly tokens: readonly string[];
}

const connections = 256;

function body(token: string): string {
  const id = randomBytes(12).toString('base64url');
  const ms = (most: number) => Math.round(Math.random() * most);
  const [ttfb, fcp, lcp] = [ms(400), 400 + ms(900), 900 + ms(2500)];
  return JSON.stringify({
    v: 1,
    id,
    q: 0,
    tok: token,
    x: [[0, 0]],
    nav: 'navigate',
    vis: 1,
    age: 5230,
    m: [
      ['TTFB', ttfb, ttfb],
      ['FCP', fcp, fcp],
      ['LCP', lcp, lcp],
      ['INP', 40 + ms(300), 4100],
      ['CLS', ms(20) / 100, 4700],
    ],
  });
}

function requestOf(text: string): string {
  const headers = `Content-Type: text/plain;charset=UTF-8\r\nContent-Length: ${Buffer.byteLength(text)}`;
  const agent = 'User-Agent: Mozilla/5.0 (Linux; Android 15; K) Chrome/143.0.0.0 Mobile Safari/537.36';
  return `POST /v1/rum HTTP/1.1\r\nHost: bench\r\n${agent}\r\n${headers}\r\n\r\n${text}`;
}

async function send({ port, times, tokens }: Job): Promise<void> {
  let left = times;
  const speak = (socket: Socket) =>
    new Promise<void>((done, failed) => {
      const next = () => {
        if (left === 0) return done();
        left -= 1;
        socket.write(requestOf(body(tokens[left % tokens.length] ?? '')));
      };
      socket.on('data', (data) => {
        // Both servers answer 204 without a body, in one segment.
        if (data.toString('latin1', 0, 12) === 'HTTP/1.1 204') next();
        else failed(new Error(data.toString('latin1')));
      });
      socket.on('error', failed);
      next();
    });
  const sockets = Array.from({ length: connections }, () => connect(port, '127.0.0.1'));
  await Promise.all(sockets.map(speak));
  for (const socket of sockets) socket.destroy();
}

process.on('message', (job: Job) => {
  send(job).then(
    () => process.send?.('done'),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
