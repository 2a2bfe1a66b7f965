import { readFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { extname, join, normalize, sep } from 'node:path';
import { type Breakage, breakages, breakageText, isBreakage } from './breakage.ts';

export interface ShopOptions {
  /** Folder with the built page. */
  readonly folder: string;
  /** Base URL of the controller, as a browser reaches it. */
  readonly controller: string;
  /** Admin token for the button that leads to the controller's page; null = no button. */
  readonly token: string | null;
  readonly onBreak: (broken: Breakage) => void;
}

export interface Shop {
  readonly server: Server;
  broken(): Breakage;
  breakIt(broken: Breakage): void;
}

const types: { readonly [extension: string]: string } = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
};

/** The demo's web shop: a page that resolves its flag through the web provider, and a switch that breaks it. */
export function createShop(options: ShopOptions): Shop {
  let broken: Breakage = 'none';
  const breakIt = (next: Breakage) => {
    broken = next;
    options.onBreak(next);
  };

  async function serveFile(path: string, res: ServerResponse): Promise<void> {
    const file = join(options.folder, normalize(path === '/' ? '/index.html' : path));
    const bytes = file.startsWith(options.folder + sep) ? await readFile(file).catch(() => null) : null;
    if (bytes === null) return end(res, 404, 'text/plain', 'not here');
    end(res, 200, types[extname(file)] ?? 'application/octet-stream', bytes);
  }

  const server = createServer((req, res) => {
    const { pathname, searchParams } = new URL(req.url ?? '/', 'http://shop');
    if (pathname === '/settings.json')
      return end(res, 200, 'application/json', JSON.stringify({ controller: options.controller, broken }));
    if (pathname === '/bye')
      return end(res, 200, 'text/html; charset=utf-8', '<!doctype html><title>Bye</title><p>Come back soon.</p>');
    if (pathname === '/break' && req.method === 'POST') {
      const mode = searchParams.get('mode') ?? '';
      if (!isBreakage(mode)) return end(res, 400, 'text/plain', `mode is one of ${breakages.join(', ')}`);
      breakIt(mode);
      res.writeHead(303, { Location: '/break' });
      res.end();
      return;
    }
    if (pathname === '/break') return end(res, 200, 'text/html; charset=utf-8', breakPage(broken, options));
    void serveFile(pathname, res);
  });
  return { server, broken: () => broken, breakIt };
}

function end(res: ServerResponse, status: number, type: string, body: string | Buffer): void {
  res.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' });
  res.end(body);
}

function breakPage(broken: Breakage, { controller, token }: ShopOptions): string {
  const buttons = breakages
    .map((mode) => {
      const now = mode === broken ? ' aria-pressed="true"' : '';
      return `<form method="post" action="/break?mode=${mode}"><button${now}>${mode === broken ? '● ' : ''}${breakageText[mode]}</button></form>`;
    })
    .join('\n');
  const door =
    token === null
      ? ''
      : `<form method="post" action="${controller}/login"><input type="hidden" name="token" value="${token}"><button>Watch the rollout on the controller’s page</button></form>`;
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Break the shop</title>
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem}button{font:inherit;padding:.5rem 1rem;margin:.2rem 0;width:100%;text-align:left}</style>
<h1>Break the new checkout</h1><p>Only visitors who are served the treatment feel it.</p>${buttons}<hr>${door}<p><a href="/">Visit the shop</a></p></html>`;
}

/** Starts listening on loopback and tells the port. */
export function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}
