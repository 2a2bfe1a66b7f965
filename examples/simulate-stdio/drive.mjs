// A small world for `tidegate simulate --stdio`: it sends page views, follows what the judge answers, prints the way.
//   node examples/simulate-stdio/drive.mjs [--slower 2] [--errors 1] [--lost 0] [--from 0] [--minutes 300] [--rate 2] [--seed 1] [-- <judge command>]
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    // Times the page loads of the treatment, and its errors; share of its sessions whose beacons are lost.
    slower: { type: 'string', default: '1' },
    errors: { type: 'string', default: '1' },
    lost: { type: 'string', default: '0' },
    // Stage from which the harm begins.
    from: { type: 'string', default: '0' },
    minutes: { type: 'string', default: '300' },
    // New sessions a second.
    rate: { type: 'string', default: '2' },
    seed: { type: 'string', default: '1' },
  },
});
const world = Object.fromEntries(Object.entries(values).map(([name, text]) => [name, Number(text)]));

/** mulberry32: same seed, same world. */
let state = world.seed;
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}
const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** One session: page views a minute or so apart, alike in speed; one session in ten has nearly all the errors. */
function pageViewsOf(session, cohort, stage, minute) {
  const harmed = cohort === 1 && stage >= world.from;
  if (harmed && random() < world.lost) return [];
  const speed = 2000 * Math.exp(0.55 * normal()) * (harmed ? world.slower : 1);
  const errors = (random() < 0.1 ? 0.091 : 0.001) * (harmed ? world.errors : 1);
  const buysAt = random() < 0.05 ? Math.floor(3 * random()) : -1;
  const views = [];
  for (let view = 0, at = minute; view === 0 || random() < 2 / 3; view++) {
    at += view === 0 ? 0 : Math.floor(-1.5 * Math.log(1 - random()));
    const lcp = Math.round(speed * Math.exp(0.55 * normal()));
    const row = { session, cohort, stage, eventMinute: at, lcp, err: random() < errors ? 1 : 0, conv: 0 };
    views.push({ ...row, conv: view === buysAt ? 1 : 0 });
  }
  return views;
}

const stages = [0.01, 0.05, 0.25, 0.5, 1];
const plan = {
  stages,
  minDwellMinutes: 10,
  alphaKill: 0.01,
  alphaRamp: 0.05,
  metrics: [
    { name: 'lcp', kind: 'quantile', q: 0.75, per: 'pageview', worse: 'higher', killMargin: 0.05 },
    { name: 'err', kind: 'rate', per: 'pageview', worse: 'higher', killMargin: 0.1 },
    { name: 'conv', kind: 'proportion', per: 'session', worse: 'lower', killMargin: 0.05, maturityMinutes: 30 },
  ],
};
const columns = ['session', 'cohort', 'stage', 'eventMinute', 'lcp', 'err', 'conv'];
const inColumns = (views) => Object.fromEntries(columns.map((name) => [name, views.map((view) => view[name])]));

const here = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const [command, ...args] = positionals.length > 0 ? positionals : [process.execPath, here, 'simulate', '--stdio'];
const judge = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
const answers = createInterface({ input: judge.stdout })[Symbol.asyncIterator]();
async function ask(message) {
  judge.stdin.write(`${JSON.stringify(message)}\n`);
  const { value, done } = await answers.next();
  if (done) throw new Error('the judge went away');
  return JSON.parse(value);
}

const past = Array.from({ length: 2000 }, (_, i) => pageViewsOf(`past-${i}`, 0, 0, 0)).flat();
const { lcp, err, conv } = inColumns(past);
await ask({ type: 'start', protocol: 'gate-judge/1', run: `seed-${world.seed}`, plan, history: { lcp, err, conv } });

let [stage, since, sessions, last] = [0, 0, 0, ''];
/** Page views that are still to come, by minute. */
const coming = new Map();
for (let t = 0; t < world.minutes; t++) {
  for (let i = 0; i < 60 * world.rate; i++) {
    const cohort = random() < stages[stage] ? 1 : 0;
    for (const view of pageViewsOf(sessions++, cohort, stage, t)) {
      if (!coming.has(view.eventMinute)) coming.set(view.eventMinute, []);
      coming.get(view.eventMinute).push(view);
    }
  }
  const samples = inColumns(coming.get(t) ?? []);
  coming.delete(t);
  const answer = await ask({ type: 'minute', t, stage, dwell: t - since, exposure: stages[stage], samples });
  if (answer.action !== last) console.log(JSON.stringify({ t, exposure: stages[stage], ...answer }));
  last = answer.action;
  if (answer.action === 'kill') break;
  if (answer.action === 'ramp') [stage, since] = [stage + 1, t + 1];
}
await ask({ type: 'end' });
judge.stdin.end();
console.log(JSON.stringify({ end: last, exposure: stages[stage], sessions }));
