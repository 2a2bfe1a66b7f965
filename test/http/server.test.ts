import { request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { addressList, createHttpServer, drain, listen } from '../../src/http/server.ts';

const servers: ReturnType<typeof createHttpServer>[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});
function aServer(app: Parameters<typeof createHttpServer>[1]) {
  const server = createHttpServer((req, res) => {
    if (req.url !== '/hot') return false;
    res.end('hot');
    return true;
  }, app);
  servers.push(server);
  return server;
}

describe('the server', () => {
  it('asks the hot routes first, then the application', async () => {
    const port = await listen(
      aServer((_req, res) => res.end('app')),
      0,
      '127.0.0.1',
    );
    const textOf = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
    expect([await textOf('/hot'), await textOf('/cold')]).toEqual(['hot', 'app']);
  });

  it('says so when the port is taken', async () => {
    const port = await listen(
      aServer(() => {}),
      0,
      '127.0.0.1',
    );
    await expect(
      listen(
        aServer(() => {}),
        port,
        '127.0.0.1',
      ),
    ).rejects.toThrow('EADDRINUSE');
  });

  it('lets the request under way have its answer before it closes', async () => {
    let answer = () => {};
    let asked = () => {};
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const server = aServer((_req, res) => {
      answer = () => res.end('late');
      asked();
    });
    const port = await listen(server, 0, '127.0.0.1');
    const text = fetch(`http://127.0.0.1:${port}/slow`, { headers: { connection: 'close' } }).then((res) => res.text());
    await isAsked;
    const drained = drain(server, 5_000);
    answer();
    expect(await text).toBe('late');
    await drained;
  });

  it('cuts off what does not end in time', async () => {
    let asked = () => {};
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const server = aServer(() => asked());
    const port = await listen(server, 0, '127.0.0.1');
    const cut = new Promise((resolve) => {
      request({ port, host: '127.0.0.1', path: '/never' }).on('error', resolve).end();
    });
    await isAsked;
    await drain(server, 10);
    expect(await cut).toBeInstanceOf(Error);
  });
});

describe('a list of addresses', () => {
  it('knows addresses and ranges of both families, and nothing else', () => {
    const trusted = addressList(['10.0.0.0/8', '192.0.2.1', 'fd00::/8']);
    for (const address of ['10.1.2.3', '192.0.2.1', 'fd12::1'])
      expect([address, trusted(address)]).toEqual([address, true]);
    for (const address of ['11.0.0.1', '192.0.2.2', 'fe80::1', 'localhost', ''])
      expect([address, trusted(address)]).toEqual([address, false]);
  });
});
