import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { type Message, parseMessage, type Reply } from './stdio-protocol.ts';
import { createRun, type Run } from './stdio-run.ts';

export interface Session {
  /** What one line of input is answered with; null for an empty line. */
  answer(line: string): Reply | null;
  /** Whether the newest message could not be used: nothing has recovered from it. */
  isBroken(): boolean;
}

/** One connection: any number of runs, one after another. */
export function createSession(): Session {
  let run: Run | null = null;
  let lines = 0;
  let broken = false;

  const reply = (message: Message): Reply => {
    switch (message.type) {
      case 'start':
        run = createRun(message);
        return { type: 'ready' };
      case 'minute':
        if (run === null) throw new Error('there is no run; send a start first');
        return run.minute(message);
      case 'end':
        run = null;
        return { type: 'bye' };
    }
  };

  return {
    answer(line) {
      lines += 1;
      if (line.trim() === '') return null;
      try {
        const answer = reply(parseMessage(line));
        broken = false;
        return answer;
      } catch (error) {
        broken = true;
        return { type: 'error', line: lines, message: error instanceof Error ? error.message : String(error) };
      }
    },
    isBroken: () => broken,
  };
}

/** Serves a driver until its input ends. Exit code: 0, or 4 when the last message could not be used. */
export async function runStdio(input: Readable, output: Writable): Promise<0 | 4> {
  const session = createSession();
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    const answer = session.answer(line);
    if (answer === null) continue;
    if (!output.write(`${JSON.stringify(answer)}\n`)) await once(output, 'drain');
  }
  return session.isBroken() ? 4 : 0;
}
