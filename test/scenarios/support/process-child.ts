import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const presetToken = 'preset-for-scenarios-0123456789abcdef';

export interface Child {
  readonly url: string;
  /** `kill -9`, of this process alone; resolves when it is gone. */
  kill9(): Promise<void>;
  /** SIGTERM: finishes what is under way. */
  stop(): Promise<void>;
}

const main = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

/** `tidegate serve` as a process of its own. Port 0 picks a free one; a restart names the port of the first start. */
export async function startChild(dataDir: string, port = 0): Promise<Child> {
  const child = spawn(process.execPath, ['--conditions=tidegate:source', '--import', 'tsx', main, 'serve'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      TIDEGATE_PORT: String(port),
      TIDEGATE_DATA_DIR: dataDir,
      TIDEGATE_ADMIN_TOKEN: presetToken,
      TIDEGATE_PUBLIC_EVALUATION: 'true',
      TIDEGATE_TRUSTED_PROXIES: '127.0.0.1',
      TIDEGATE_LOG_LEVEL: 'error',
    },
  });
  const atExit = () => child.kill('SIGKILL');
  process.on('exit', atExit);
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const end = async (signal: 'SIGKILL' | 'SIGTERM') => {
    child.kill(signal);
    await gone;
    process.off('exit', atExit);
  };
  try {
    return { url: await listening(child), kill9: () => end('SIGKILL'), stop: () => end('SIGTERM') };
  } catch (error) {
    await end('SIGKILL');
    throw error;
  }
}

async function listening(child: ChildProcess): Promise<string> {
  let said = '';
  return new Promise((resolve, reject) => {
    const hear = (chunk: Buffer) => {
      said += chunk.toString();
      const url = /tidegate listens on (http:\S+)/.exec(said)?.[1];
      if (url !== undefined) resolve(url);
    };
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`serve ended with ${code ?? signal}:\n${said}`)));
  });
}

export const portOf = (url: string): number => Number(new URL(url).port);
