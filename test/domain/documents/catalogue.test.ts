import { describe, expect, it } from 'vitest';
import { type AuthoredDocument, lineageOf, materialise, readAuthored } from '../../../src/domain/catalogue.ts';
import { lint, offline } from '../../../src/domain/lint.ts';
import { aGate, authoredPolicy } from './a-document.ts';

function authored(json: unknown): AuthoredDocument {
  const read = readAuthored(json);
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return read.value;
}

const hold = aGate({ name: 'slow', tier: 'hold', signal: 'lcp_p75', tests: ['<=+8%'], clear: { consecutive: 5 } });

/** `org@1` locks its kill and the sample ratio; a test says what differs. */
const org = (spec: object = {}, metadata: object = {}) => ({
  ...authoredPolicy(),
  metadata: { name: 'org', version: 1, owner: 'sre', ...metadata },
  spec: {
    tick: { interval: '1m' },
    gates: [aGate({ tests: ['<=+50%', '<=+1pt'], when: 'all' }), hold],
    governance: { locked: ['errors', 'health.sampleRatio'] },
    ...spec,
  },
});
const child = (spec: object | undefined, metadata: object = {}) => ({
  apiVersion: 'tidegate.dev/v1',
  kind: 'GatePolicy',
  metadata: { name: 'shop', version: 2, owner: 'shop', extends: 'org@1', ...metadata },
  ...(spec === undefined ? {} : { spec }),
});

function read(policy: unknown, ...catalogue: unknown[]) {
  const known = catalogue.map(authored);
  const own = authored(policy);
  const lineage = lineageOf(own, (ref) => known.find((other) => other.ref === ref) ?? null);
  return lineage.ok ? materialise(own, lineage.value) : lineage;
}

function effective(policy: unknown, ...catalogue: unknown[]) {
  const parsed = read(policy, ...catalogue);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.value;
}

function complaint(policy: unknown, ...catalogue: unknown[]): string {
  const parsed = read(policy, ...catalogue);
  return parsed.ok ? 'nothing' : parsed.problems.map(({ path, message }) => `${path}: ${message}`).join('; ');
}

describe('a policy that extends another', () => {
  it('has all of it when it says nothing itself', () => {
    const { policy } = effective(child(undefined), org());
    expect(policy.metadata).toMatchObject({ name: 'shop', version: 2, owner: 'shop', extends: 'org@1' });
    expect(policy.spec).toEqual(effective(org()).policy.spec);
  });

  it('changes fields of inherited gates by name, adds gates after them, and changes sections field by field', () => {
    const own = aGate({ name: 'silence', signal: 'beacon_silence' });
    const spec = { gates: [own, { name: 'slow', consecutive: 4 }], tick: { watchInterval: '5s' } };
    const { policy } = effective(child(spec), org());
    expect(policy.spec.gates.map(({ name, consecutive }) => [name, consecutive])).toEqual([
      ['errors', 1],
      ['slow', 4],
      ['silence', 1],
    ]);
    expect(policy.spec.gates[1]).toMatchObject({ clear: { consecutive: 5 }, tests: [{ margin: 0.08 }] });
    expect(policy.spec.tick).toEqual({ interval: 60_000, watchInterval: 5000 });
  });

  it('adds to what is locked and takes nothing away', () => {
    const { policy, inherited } = effective(child({ governance: { locked: ['slow'] } }), org());
    expect(policy.spec.governance.locked).toEqual(['errors', 'health.sampleRatio', 'slow']);
    expect(inherited?.lockedBy.get('errors')).toBe('org@1');
    expect(inherited?.lockedBy.has('slow')).toBe(false);
  });

  it('inherits through the policy between, which has the nearer word', () => {
    const between = child({ gates: [{ name: 'slow', consecutive: 7 }] }, { name: 'web', version: 3 });
    const { policy } = effective(child({ tick: { interval: '30s' } }, { extends: 'web@3' }), org(), between);
    expect(policy.spec.gates[1]?.consecutive).toBe(7);
    expect(policy.spec.tick.interval).toBe(30_000);
  });

  it('is the same whether it is read from its parts or from what is stored of the whole', () => {
    const { policy, json } = effective(child({ gates: [{ name: 'slow', consecutive: 4 }] }), org());
    expect(
      materialise(authored({ ...json, metadata: { ...policy.metadata, extends: undefined, reviewBy: undefined } }), []),
    ).toMatchObject({
      ok: true,
      value: { policy: { spec: policy.spec } },
    });
  });

  it('may stand at the end of four policies and no more', () => {
    const chain = ['b', 'c', 'd'].map((name, i) =>
      child({}, { name, version: 1, extends: `${'org,b,c'.split(',')[i]}@1` }),
    );
    expect(complaint(chain[2], org(), ...chain)).toBe('nothing');
    const fifth = child({}, { name: 'e', version: 1, extends: 'd@1' });
    expect(complaint(fifth, org(), ...chain)).toBe(
      'metadata.extends: e@1 -> d@1 -> c@1 -> b@1 -> org@1 is more than 4 policies deep; extend one that is nearer to the top',
    );
  });

  it('is refused in a circle, beside nothing, and of no exact version', () => {
    const other = child({}, { name: 'web', version: 1, extends: 'shop@2' });
    expect(complaint(child({}, { extends: 'web@1' }), other)).toContain('shop@2 -> web@1 -> shop@2; let one of them');
    expect(complaint(child({}, { extends: 'shop@2' }))).toContain('extend each other');
    expect(complaint(child({}))).toBe('metadata.extends: there is no policy org@1 (shop@2 -> org@1); apply it first');
    for (const range of ['org', 'org@^1', 'org@latest', 'org@1.x'])
      expect(readAuthored(child({}, { extends: range }))).toMatchObject({
        ok: false,
        problems: [{ path: 'metadata.extends', message: expect.stringContaining('ranges are not possible') }],
      });
  });

  it('says what is wrong where its author wrote it', () => {
    expect(complaint(child({ gates: [{ name: 'slow', consecutive: 0 }] }), org())).toMatch(
      /^spec\.gates\.0\.consecutive: /,
    );
    expect(complaint(child({ gates: [{ name: 'new', tier: 'hold' }] }), org())).toContain(
      'spec.gates.0.signal: signal is missing',
    );
    expect(complaint(child({ tock: {} }), org())).toBe('spec.tock: unknown key "tock"');
    expect(complaint(child({ gates: [{ name: 'slow' }, { name: 'slow' }] }), org())).toBe(
      'spec.gates.1.name: "slow" is used twice',
    );
    expect(complaint(child({}), org({ tick: { interval: '1 min' } }))).toContain(
      'metadata.extends: org@1 is not valid',
    );
  });
});

describe('G12: what is locked', () => {
  function found(spec: object, ...between: unknown[]): string[] {
    const parent = between.length === 0 ? {} : { extends: 'web@1' };
    const { policy, inherited } = effective(child(spec, parent), org(), ...between);
    if (inherited === null) throw new Error('inherits nothing');
    const known = { ...offline, complete: true, inherited: new Map([['shop@2', inherited]]) };
    return lint([policy], known)
      .filter(({ id }) => id === 'G12')
      .map(({ severity, path, message }) => `${severity} ${path}: ${message}`);
  }
  const errors = (gate: object) => ({ gates: [{ name: 'errors', ...gate }] });

  it('is not loosened below: the ancestor, the field and both values are named', () => {
    expect(found({ gates: [{ name: 'slow' }, { name: 'errors', consecutive: 3 }] })).toEqual([
      'error spec.gates.1: gates.errors.consecutive goes from 1 to 3, and org@1 locks errors; only tighten it',
    ]);
    expect(found({ health: { sampleRatio: { alpha: 0.0001 } } })).toEqual([
      'error spec.health.sampleRatio.alpha: health.sampleRatio.alpha goes from 0.0005 to 0.0001, and org@1 locks health.sampleRatio; only tighten it',
    ]);
  });

  it.each([
    { tests: ['<=+60%', '<=+1pt'] },
    { tests: ['<=+50%', '<=+1pt', '<0.5'] },
    { minSamples: 500 },
    { tier: 'hold' },
    { appliesTo: { stages: { from: 10 } } },
    { signal: 'beacon_silence' },
  ])('does not become %j', (gate) => {
    expect(found(errors(gate))).toHaveLength(1);
  });

  it.each([
    { tests: ['<=+40%', '<=+1pt'] },
    { when: 'any' },
    { minSamples: 100 },
    { owner: 'shop', runbook: 'https://runbooks.example/shop' },
  ])('may become %j', (gate) => {
    expect(found(errors(gate))).toEqual([]);
  });

  it('leaves alone what nobody locked', () => {
    expect(found({ gates: [{ name: 'slow', consecutive: 9 }], health: { crossover: { maxShare: '5%' } } })).toEqual([]);
  });

  it('also keeps what a policy between has tightened, and is said of whoever locked it', () => {
    const between = child(errors({ tests: ['<=+20%', '<=+1pt'] }), { name: 'web', version: 1 });
    expect(found(errors({ tests: ['<=+30%', '<=+1pt'] }), between)[0]).toContain('org@1 locks errors');
    expect(found(errors({ tests: ['<=+10%', '<=+1pt'] }), between)).toEqual([]);
  });
});
