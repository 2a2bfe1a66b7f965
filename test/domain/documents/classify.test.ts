import { describe, expect, it } from 'vitest';
import { classifyChange } from '../../../src/domain/classify.ts';
import { aGate, aPolicy } from './a-document.ts';

type Spec = Parameters<typeof aPolicy>[0];

/** `tighten tick.interval` of every changed field. */
function slants(before: Spec, after: Spec): string[] {
  return classifyChange(aPolicy(before), aPolicy(after)).map(({ slant, path }) => `${slant} ${path}`);
}
const gate = (before: Parameters<typeof aGate>[0], after: Parameters<typeof aGate>[0]) =>
  slants({ gates: [aGate(before)] }, { gates: [aGate(after)] });

describe('a change of a policy', () => {
  it('is none between equal policies', () => expect(slants({}, {})).toEqual([]));

  it.each<[string, Spec, Spec]>([
    ['tick.interval', { tick: { interval: '1m' } }, { tick: { interval: '30s' } }],
    ['errorControl.killAlpha', {}, { errorControl: { killAlpha: 0.01 } }],
    ['harmCaps.slower', { harmCaps: { slower: '10%' } }, { harmCaps: { slower: '5%' } }],
    ['reliability.whenUnreliable.watch', {}, { reliability: { whenUnreliable: { watch: 'hold' } } }],
    ['health.noData.thenAction', {}, { health: { noData: { thenAction: 'kill' } } }],
    ['notify.kill', {}, { notify: { kill: ['webhook:pager'] } }],
    ['governance.approve', {}, { governance: { approve: { roles: ['sre'] } } }],
    ['governance.locked', {}, { governance: { locked: ['errors'] } }],
  ])('tightens by %s, and the way back loosens', (path, before, after) => {
    expect(slants(before, after)).toEqual([`tighten ${path}`]);
    expect(slants(after, before)).toEqual([`loosen ${path}`]);
  });

  it('of who may overrule it loosens as soon as anybody may', () => {
    const some = { governance: { override: { kill: { roles: ['sre'] } } } };
    expect(slants({}, some)).toEqual(['loosen governance.override.kill']);
    expect(slants(some, {})).toEqual(['tighten governance.override.kill']);
  });

  it('of its scope is a tightening only when it gets narrower', () => {
    const at = (...regions: string[]) => ({ scope: { regions } });
    expect(slants(at(), at('eu-*'))).toEqual(['tighten scope.regions']);
    expect(slants(at('eu-*'), at('eu-*', 'us-*'))).toEqual(['neither scope.regions']);
    expect(slants(at('eu-*'), at())).toEqual(['neither scope.regions']);
  });

  it('tightens by a new gate and loosens by one that goes', () => {
    const two = { gates: [aGate(), aGate({ name: 'second' })] };
    expect(slants({}, two)).toEqual(['tighten gates.second']);
    expect(slants(two, {})).toEqual(['loosen gates.second']);
  });

  it.each<[string, Parameters<typeof aGate>[0], Parameters<typeof aGate>[0]]>([
    ['tests', { tests: ['<=+50%'] }, { tests: ['<=+40%'] }],
    ['tests', { tests: [{ type: 'absolute', min: 0.8 }] }, { tests: [{ type: 'absolute', min: 0.9 }] }],
    [
      'tests',
      { tests: [{ type: 'relative', margin: '5%', confidence: '90%' }] },
      { tests: [{ type: 'relative', margin: '5%', confidence: '50%' }] },
    ],
    ['when', { when: 'all' }, { when: 'any' }],
    ['tier', { tier: 'watch' }, { tier: 'hold', clear: { consecutive: 2 } }],
    ['action', { tier: 'hold' }, { tier: 'hold', action: 'step_back' }],
    ['clear', { tier: 'hold', clear: { consecutive: 2 } }, { tier: 'hold', clear: { consecutive: 3 } }],
    ['consecutive', { tier: 'hold', consecutive: 3 }, { tier: 'hold', consecutive: 2 }],
  ])('of a gate tightens by %s, and the way back loosens', (field, before, after) => {
    expect(gate(before, after)).toContain(`tighten gates.errors.${field}`);
    expect(gate(after, before)).toContain(`loosen gates.errors.${field}`);
  });

  it.each<[string, Parameters<typeof aGate>[0], Parameters<typeof aGate>[0]]>([
    ['minSamples', { minSamples: 500 }, { minSamples: 200 }],
    ['consecutive', { consecutive: 3 }, { consecutive: 2 }],
    ['appliesTo.stages.from', { appliesTo: { stages: { from: 25 } } }, {}],
  ])('of a kill gate says nothing by %s, and the way back loosens', (field, before, after) => {
    expect(gate(before, after)).toEqual([`neither gates.errors.${field}`]);
    expect(gate(after, before)).toEqual([`loosen gates.errors.${field}`]);
  });

  it('that is not provably tighter loosens: another signal, another kind of test, a hold that becomes a kill', () => {
    expect(gate({}, { signal: 'beacon_silence' })).toEqual(['loosen gates.errors.signal']);
    expect(gate({ tests: ['<=+50%'] }, { tests: ['<0.01'] })).toEqual(['loosen gates.errors.tests']);
    expect(gate({ tests: ['<=+50%'] }, { tests: ['<=+50%', '<0.5'] })).toEqual(['loosen gates.errors.tests']);
    expect(gate({ tier: 'hold' }, { tier: 'kill' })).toEqual(['loosen gates.errors.tier']);
  });
});
