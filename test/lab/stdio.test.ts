import { execFile, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createSession } from '../../src/lab/stdio.ts';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const driver = fileURLToPath(new URL('../../examples/simulate-stdio/drive.mjs', import.meta.url));
const judge = [process.execPath, '--conditions=tidegate:source', '--import', 'tsx', main, 'simulate', '--stdio'];

interface Line {
  readonly action?: string;
  readonly reason?: string;
  readonly end?: string;
  readonly exposure: number;
}

/** Runs the example driver against a real judge, each in a process of its own; what it printed. */
async function drive(...options: string[]): Promise<Line[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [driver, ...options, '--', ...judge]);
  return stdout
    .trim()
    .split('\n')
    .map((line): Line => JSON.parse(line));
}

/** One connection of a real process: the lines it answered and its exit code. */
async function talk(lines: readonly string[]): Promise<{ answers: unknown[]; code: number | null }> {
  const [command = '', ...args] = judge;
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += String(chunk);
  });
  child.stdin.end(lines.join('\n'));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { answers: text.split('\n').flatMap((line): unknown[] => (line === '' ? [] : [JSON.parse(line)])), code };
}

const start = JSON.stringify({ type: 'start', plan: { stages: [0.5, 1], metrics: [{ name: 'err', kind: 'rate' }] } });
const minute = (t: number, rest: object = {}) => JSON.stringify({ type: 'minute', t, stage: 0, ...rest });

describe('simulate --stdio, driven by the example', { timeout: 60_000 }, () => {
  it('kills a treatment that is twice as slow, at the first stage', async () => {
    const lines = await drive('--slower', '2');
    expect(lines.at(-1)).toMatchObject({ end: 'kill', exposure: 0.01 });
    expect(lines.at(-2)?.reason).toContain('lcp-kill');
  });

  it('ramps one that is no different, and never kills it', async () => {
    const lines = await drive('--rate', '5');
    expect(lines.filter(({ action }) => action === 'ramp').length).toBeGreaterThanOrEqual(2);
    expect(lines.some(({ action }) => action === 'kill')).toBe(false);
  });

  it('never ramps one that is not heard of', async () => {
    const lines = await drive('--lost', '1');
    expect(lines.map(({ action, end }) => action ?? end)).toEqual(['hold', 'hold']);
  });
});

describe('simulate --stdio', { timeout: 20_000 }, () => {
  it('answers a line a line, goes on after one it cannot use, and leaves with 0', async () => {
    const { answers, code } = await talk([
      minute(0),
      start,
      '',
      '{"type":',
      minute(0),
      minute(0),
      '{"type":"end"}',
      '',
    ]);
    expect(answers).toEqual([
      { type: 'error', line: 1, message: 'there is no run; send a start first' },
      { type: 'ready' },
      { type: 'error', line: 4, message: expect.stringContaining('this line is no JSON') },
      { action: 'hold', reason: expect.stringContaining('waiting for') },
      { type: 'error', line: 6, message: 't: 0 is not after 0; minutes go forward' },
      { type: 'bye' },
    ]);
    expect(code).toBe(0);
  });

  it('leaves with 4 when nothing came after an error', async () => {
    expect((await talk([start, minute(0, { stage: 7 })])).code).toBe(4);
  });
});

describe('a session', () => {
  const views = (n: number, name: string, cohort: (row: number) => number, err: (row: number) => number) => {
    const rows = Array.from({ length: n }, (_, row) => row);
    return { session: rows.map((row) => `${name}-${row}`), cohort: rows.map(cohort), err: rows.map(err) };
  };
  const halves = (row: number): number => row % 2;
  const none = (): number => 0;
  const bad = { samples: views(4000, 'bad', halves, (row) => (row % 4 === 1 ? 1 : 0)) };
  const fine = { samples: views(4000, 'fine', halves, none) };

  it('says kill for the rest of the run once it did, and starts anew with a new one', () => {
    const session = createSession();
    session.answer(start);
    expect(session.answer(minute(0, bad))).toMatchObject({ action: 'kill' });
    expect(session.answer(minute(1, fine))).toMatchObject({ action: 'kill' });
    session.answer(start);
    expect(session.answer(minute(0, fine))).not.toMatchObject({ action: 'kill' });
  });

  it('changes nothing on a message with one bad row', () => {
    const session = createSession();
    session.answer(start);
    const broken = { samples: { ...bad.samples, cohort: bad.samples.cohort.with(3999, 5) } };
    expect(session.answer(minute(0, broken))).toMatchObject({ type: 'error' });
    expect(session.answer(minute(0, fine))).not.toMatchObject({ action: 'kill' });
  });

  it('ramps on the first sound look where the plan asks for no dwell, and never at the last stage', () => {
    const session = createSession();
    session.answer(start);
    expect(session.answer(minute(0, fine))).toMatchObject({ action: 'ramp' });
    expect(session.answer(JSON.stringify({ type: 'minute', t: 1, stage: 1 }))).toMatchObject({ action: 'hold' });
  });

  it('books late page views to the stage that they say, and follows a driver that goes back', () => {
    const session = createSession();
    session.answer(start);
    session.answer(minute(0, fine));
    const late = { ...views(50, 'late', none, none), stage: Array(50).fill(0), eventMinute: Array(50).fill(-90) };
    const ahead = { type: 'minute', t: 5, stage: 1, samples: late };
    expect(session.answer(JSON.stringify(ahead))).toMatchObject({ action: 'hold' });
    const back = { samples: views(4000, 'back', halves, none) };
    expect(session.answer(minute(6, back))).toMatchObject({ action: 'ramp' });
  });
});
