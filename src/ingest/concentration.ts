import { createHmac } from 'node:crypto';
import type { Cell, Concentration, EvidenceArm } from '../domain/evidence.ts';
import { bounded } from './bounded.ts';
import { addCount, addObservation, type CellSums, cellOf, decodeCell, emptyCell, encodeCell } from './cell.ts';
import type { Booking, Source } from './ledger.ts';
import { isInside } from './network.ts';

/**
 * Who the beacons of each rollout come from, in memory only and bounded (rum.md §8): a start begins at zero, which can
 * only turn a kill into a hold. Everything of a visitor (the token's unit) is credited to the network that we first heard
 * it from, so one visitor never looks like two networks.
 *
 * What is approximate: tokens and networks are counted exactly up to the limits below, by whole hours. A network's page
 * views are counted from the start of the UTC day before. Beyond 512 networks the smallest makes room and bequeaths its
 * count (Metwally, Agrawal, El Abbadi, ICDT 2005), so shares of small networks are too large. Only the four
 * heaviest have cells, and what a network reported before it was one of them is not in its cells.
 */
export interface Concentrations {
  /** Takes in what a committed batch booked. */
  take(bookings: readonly Booking[]): void;
  /**
   * Of the epochs from `evidenceFrom` on; what was heard of earlier ones is forgotten for good. `now` is epoch ms. Null
   * when beacons come from inside alone: networks cannot tell their senders apart then.
   */
  of(rollout: number, evidenceFrom: number, now: number): { readonly [arm in EvidenceArm]: Concentration } | null;
  forget(rollout: number): void;
}

const remembered = { visitors: 50_000, tokens: 128, networks: 512, withCells: 4 } as const;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** One hour of one epoch; packed, because it is read far less often than it is kept. */
interface Part {
  readonly epoch: number;
  readonly hour: number;
  blob: Uint8Array;
  cell: Cell | null;
}

interface Network {
  views: number;
  /** Receive time of the newest message, epoch ms. */
  at: number;
  /** Null but for the heaviest. */
  parts: Map<string, Part> | null;
}

/** Networks that were named with one day's key. */
interface Day {
  views: number;
  readonly networks: Map<number, Network>;
}

interface Arm {
  /** Tag to the hour in which it was last heard, oldest first. */
  readonly tokens: Map<string, number>;
  readonly days: Map<number, Day>;
}

type Rollout = { from: number; heard: 'nobody' | 'inside' | 'outside' } & { readonly [arm in EvidenceArm]: Arm };

const newArm = (): Arm => ({ tokens: new Map(), days: new Map() });
const newRollout = (from: number): Rollout => ({ from, heard: 'nobody', treatment: newArm(), control: newArm() });

/** `newKey` makes the secret of a day: networks are compared by an HMAC that nobody can undo the day after. */
export function createConcentrations(newKey: () => Uint8Array): Concentrations {
  const rollouts = new Map<number, Rollout>();
  const visitors = bounded<string, { readonly day: number; readonly network: number }>(remembered.visitors);
  let key: { readonly day: number; readonly secret: Uint8Array } = { day: -1, secret: new Uint8Array() };

  const homeOf = ({ visitor, network, at }: Source) => {
    const day = Math.floor(at / dayMs);
    const known = visitors.get(visitor);
    if (known !== undefined && known.day >= day - 1) return known;
    if (day > key.day) key = { day, secret: newKey() };
    const named = createHmac('sha256', key.secret).update(network).digest().readUIntBE(0, 6);
    const home = { day: key.day, network: named };
    visitors.set(visitor, home);
    return home;
  };

  const rolloutOf = (id: number): Rollout => {
    const known = rollouts.get(id) ?? newRollout(0);
    rollouts.set(id, known);
    return known;
  };

  /** The network that a booking is credited to; null when its epoch does not count any more. */
  const heard = ({ account, source }: Booking): { day: Day; network: Network } | null => {
    const rollout = rolloutOf(account.rollout);
    if (account.epoch < rollout.from) return null;
    if (isInside(source.network)) {
      if (rollout.heard === 'nobody') rollout.heard = 'inside';
      return null;
    }
    rollout.heard = 'outside';
    const arm = rollout[account.arm];
    const home = homeOf(source);
    const day = arm.days.get(home.day) ?? newDay(arm, home.day);
    hearToken(arm.tokens, source.tag, Math.floor(source.at / hourMs));
    const network = day.networks.get(home.network) ?? newNetwork(day.networks, home.network);
    network.at = Math.max(network.at, source.at);
    return { day, network };
  };

  return {
    take(bookings) {
      let last: { source: Source; account: Booking['account']; home: ReturnType<typeof heard> } | null = null;
      const homes = bookings.map((booking) => {
        const { source, account } = booking;
        if (last?.source !== source || last.account !== account) last = { source, account, home: heard(booking) };
        const { home } = last;
        if (home !== null && 'count' in booking.of && booking.of.count === 'views') {
          home.network.views += booking.by;
          home.day.views += booking.by;
        }
        return home;
      });
      for (const home of new Set(homes)) if (home !== null) promote(home.day, home.network);
      const open = new Map<Part, CellSums>();
      for (const [index, booking] of bookings.entries()) {
        const parts = homes[index]?.network.parts;
        if (parts === undefined || parts === null) continue;
        const part = partOf(parts, booking.account.epoch, booking.hour, booking.source.at);
        const sums = open.get(part) ?? decodeCell(part.blob);
        open.set(part, sums);
        if ('count' in booking.of) addCount(sums, booking.of.count, booking.by);
        else addObservation(sums, booking.of.metric, booking.of.value, booking.by);
      }
      for (const [part, sums] of open) {
        part.blob = encodeCell(sums);
        part.cell = null;
      }
    },
    of(id, evidenceFrom, now) {
      if (rolloutOf(id).from < evidenceFrom) {
        rollouts.set(id, newRollout(evidenceFrom));
      }
      const { heard: from, treatment, control } = rolloutOf(id);
      if (from === 'inside') return null;
      return { treatment: concentrationOf(treatment, now), control: concentrationOf(control, now) };
    },
    forget(id) {
      rollouts.delete(id);
    },
  };
}

function hearToken(tokens: Map<string, number>, tag: string, hour: number): void {
  const before = tokens.get(tag);
  if (before !== undefined && before >= hour) return;
  tokens.delete(tag);
  if (tokens.size >= remembered.tokens) {
    const [oldest] = tokens;
    // Full of this hour's: so many that one more makes no difference.
    if (oldest === undefined || oldest[1] >= hour) return;
    tokens.delete(oldest[0]);
  }
  tokens.set(tag, hour);
}

function newDay(arm: Arm, number: number): Day {
  const day: Day = { views: 0, networks: new Map() };
  arm.days.set(number, day);
  for (const old of arm.days.keys()) if (old < number - 1) arm.days.delete(old);
  return day;
}

function newNetwork(networks: Map<number, Network>, name: number): Network {
  let views = 0;
  if (networks.size >= remembered.networks) {
    let smallest: readonly [number, Network] | null = null;
    for (const entry of networks) if (smallest === null || entry[1].views < smallest[1].views) smallest = entry;
    if (smallest !== null) {
      networks.delete(smallest[0]);
      views = smallest[1].views;
    }
  }
  const network: Network = { views, at: 0, parts: null };
  networks.set(name, network);
  return network;
}

/** Gives cells to a network that has become one of the heaviest of its day, and takes them from the one it passed. */
function promote({ networks }: Day, network: Network): void {
  if (network.parts !== null) return;
  const heaviest = [...networks.values()].filter(({ parts }) => parts !== null);
  if (heaviest.length >= remembered.withCells) {
    const [lightest] = heaviest.sort((a, b) => a.views - b.views);
    if (lightest === undefined || network.views <= lightest.views) return;
    lightest.parts = null;
  }
  network.parts = new Map();
}

function partOf(parts: Map<string, Part>, epoch: number, hour: number, at: number): Part {
  const name = `${epoch}|${hour}`;
  const known = parts.get(name);
  if (known !== undefined) return known;
  const part: Part = { epoch, hour, blob: encodeCell(emptyCell()), cell: null };
  for (const [old, { hour: of }] of parts) if (of <= at - dayMs - hourMs) parts.delete(old);
  parts.set(name, part);
  return part;
}

function concentrationOf({ tokens, days }: Arm, now: number): Concentration {
  const from = now - dayMs;
  const fresh = [...days].filter(([day]) => day >= Math.floor(now / dayMs) - 1).map(([, day]) => day);
  const heard = ({ at }: Network) => at > from;
  // The two days name one network twice, and only the larger count surely counts none twice.
  const networks = Math.max(0, ...fresh.map((day) => [...day.networks.values()].filter(heard).length));
  const heaviest = fresh.flatMap(({ networks: of }) => heaviestOf(of.values()));
  const views = fresh.reduce((sum, day) => sum + day.views, 0);
  const theirs = heaviest.reduce((sum, network) => sum + network.views, 0);
  return {
    tokens: [...tokens.values()].filter((hour) => hour > Math.floor(from / hourMs)).length,
    networks,
    heaviest:
      heaviest.length === 0
        ? null
        : {
            share: views > 0 ? Math.min(1, theirs / views) : 0,
            parts: heaviest.flatMap(partsOf).filter(isFresh(from)),
          },
  };
}

const isFresh =
  (from: number) =>
  ({ hour }: { readonly hour: number }): boolean =>
    hour > from - hourMs;

function heaviestOf(networks: Iterable<Network>): Network[] {
  let heaviest: Network | null = null;
  for (const network of networks) if (heaviest === null || network.views > heaviest.views) heaviest = network;
  return heaviest === null ? [] : [heaviest];
}

function partsOf({ parts }: Network): { epoch: number; hour: number; cell: Cell }[] {
  return [...(parts ?? new Map<string, Part>()).values()]
    .map((part) => {
      part.cell ??= cellOf(decodeCell(part.blob));
      return { epoch: part.epoch, hour: part.hour, cell: part.cell };
    })
    .sort((a, b) => a.hour - b.hour || a.epoch - b.epoch);
}
