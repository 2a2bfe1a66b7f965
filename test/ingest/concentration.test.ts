import { beforeEach, describe, expect, it } from 'vitest';
import { type Concentrations, createConcentrations } from '../../src/ingest/concentration.ts';
import { fold, type Message } from '../../src/ingest/fold.ts';
import type { Unit } from '../../src/ingest/unit.ts';
import type { PageView } from '../../src/ingest/view.ts';
import { aMessage, type MessageOf, noon, rules } from '../support/beacons.ts';

const hour = 3_600_000;
let concentrations: Concentrations;
let views: Map<string, PageView>;
let units: Map<string, Unit>;
let keys: number;
beforeEach(() => {
  keys = 0;
  views = new Map();
  units = new Map();
  concentrations = createConcentrations(() => new Uint8Array(32).fill(++keys));
});

function take(messages: readonly Message[]): void {
  const known = { pageView: (key: string) => views.get(key), unit: (key: string) => units.get(key) };
  const { pageViews, units: changed, sums } = fold(messages, [], known, rules);
  for (const [key, { view }] of pageViews) views.set(key, view);
  for (const [key, { unit }] of changed) units.set(key, unit);
  concentrations.take(sums.bookings);
}
const told = (...messages: readonly MessageOf[]) => take(messages.map(aMessage));
const treatment = (now = noon + 20_000, evidenceFrom = 0) =>
  concentrations.of(1, evidenceFrom, now)?.treatment ?? expect.fail();

describe('concentration', () => {
  it('begins at zero, so that no kill by beacons is believed yet', () => {
    expect(treatment()).toEqual({ tokens: 0, networks: 0, heaviest: null });
  });

  it('counts tokens and networks that a rollout was triggered by, per arm', () => {
    told(
      { user: 'a', network: '192.0.2' },
      { user: 'a', view: 'again', network: '192.0.2' },
      { user: 'b', network: '198.51.100' },
      { user: 'c', network: '198.51.100', arm: 'control' },
      { user: 'd', network: '203.0.113', x: [] },
      { user: 'e', network: '203.0.113', rollout: 2 },
    );
    expect(treatment()).toMatchObject({ tokens: 2, networks: 2, heaviest: { share: 2 / 3 } });
    expect(concentrations.of(1, 0, noon + 20_000)?.control).toMatchObject({ tokens: 1, networks: 1 });
  });

  it('credits all that a visitor sends to the network that it was first heard from', () => {
    const users = Array.from({ length: 10 }, (_, view) => ({ user: 'a', view, network: `81.0.${view}` }));
    told(...users);
    expect(treatment()).toMatchObject({ tokens: 1, networks: 1, heaviest: { share: 1 } });
  });

  it('holds what the heaviest network alone reported, corrected, by epoch and hour', () => {
    told(
      { user: 'a', network: '192.0.2', m: [['LCP', 900, 900]] },
      { user: 'b', network: '192.0.2', m: [['err', 1, 900]], receivedAt: noon + hour, epoch: 2 },
      { user: 'c', network: '198.51.100', m: [['LCP', 9_000, 900]] },
    );
    told({ user: 'a', q: 1, network: '198.51.100', m: [['LCP', 4_500, 900]], end: 1 });
    const parts = treatment(noon + hour).heaviest?.parts ?? [];
    expect(parts).toMatchObject([
      {
        epoch: 1,
        hour: noon,
        cell: { counts: { exposed: 1, views: 1, ends: 1 }, metrics: { LCP: { n: 1, sum: 4_500 } } },
      },
      { epoch: 2, hour: noon, cell: { counts: { exposed: 1, err: 1, errViews: 1, views: 1 }, metrics: {} } },
    ]);
    expect(JSON.stringify(parts)).not.toContain('192.0.2');
  });

  it("leaves to the controller what it counts without beacons: issues are nobody's", () => {
    told({ user: 'a' });
    const counts = treatment().heaviest?.parts[0]?.cell.counts ?? {};
    expect(Object.keys(counts)).toEqual(['exposed', 'starts', 'views']);
  });

  it('finds the heaviest of many, however late it comes', () => {
    const crowd = Array.from({ length: 600 }, (_, i) => ({ user: `u${i}`, network: `81.${i >> 8}.${i & 255}` }));
    const lone = Array.from({ length: 40 }, (_, i) => ({ user: 'x', view: `x${i}`, network: '192.0.2' }));
    told(...crowd, ...lone);
    const { tokens, networks, heaviest } = treatment();
    expect(tokens).toBe(128);
    expect(networks).toBe(512);
    expect(heaviest?.share).toBeCloseTo(41 / 640, 2);
    expect(heaviest?.parts[0]?.cell.counts.views).toBe(40);
  });

  it('forgets after a day', () => {
    told({ user: 'a' });
    expect(treatment(noon + 23 * hour)).toMatchObject({ tokens: 1, networks: 1 });
    expect(treatment(noon + 26 * hour)).toMatchObject({ tokens: 0, networks: 0, heaviest: { parts: [] } });
    expect(treatment(noon + 48 * hour)).toEqual({ tokens: 0, networks: 0, heaviest: null });
  });

  it('counts a network once across the change of keys, and subtracts what it reported under both', () => {
    const midnight = noon + 12 * hour;
    const at = midnight - hour;
    told({ user: 'a', at, receivedAt: midnight - 1_000 }, { user: 'b', at, receivedAt: midnight + 8_000 });
    expect(keys).toBe(2);
    const { networks, heaviest } = treatment(midnight + 10_000);
    expect(networks).toBe(1);
    expect(heaviest?.share).toBe(1);
    expect(heaviest?.parts.map(({ cell }) => cell.counts.views)).toEqual([1, 1]);
  });

  it('begins anew with the epochs that are judged, and counts no others', () => {
    told({ user: 'a' });
    expect(treatment(noon + 20_000, 2)).toEqual({ tokens: 0, networks: 0, heaviest: null });
    told({ user: 'b' }, { user: 'c', epoch: 2 });
    expect(treatment(noon + 20_000, 2)).toMatchObject({ tokens: 1, networks: 1 });
  });

  it('forgets a rollout', () => {
    told({ user: 'a' });
    concentrations.forget(1);
    expect(treatment()).toEqual({ tokens: 0, networks: 0, heaviest: null });
  });

  it('has no opinion where all beacons come from inside, and one as soon as any comes from outside', () => {
    told({ user: 'a', network: '127.0.0' }, { user: 'b', network: '10.1.2' }, { user: 'c', network: 'fd00:1:2' });
    expect(concentrations.of(1, 0, noon + 20_000)).toBeNull();
    told({ user: 'd', network: '192.0.2' });
    expect(treatment()).toMatchObject({ tokens: 1, networks: 1 });
  });
});
