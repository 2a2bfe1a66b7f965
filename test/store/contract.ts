import { afterEach, beforeEach } from 'vitest';
import type { Driver } from '../../src/store/driver.ts';
import type { ControlStore, RumStore } from '../../src/store/store.ts';
import { controlContract } from './control-contract.ts';
import { migrateContract } from './migrate-contract.ts';
import { rumContract } from './rum-contract.ts';

export interface Stores {
  readonly control: ControlStore;
  readonly rum: RumStore;
}

/** One empty database, fresh for each test. */
export interface Site {
  /** Opens the stores; again after `close`, on what was left behind. */
  open(mono: () => number): Promise<Stores>;
  /** A bare connection to a database of its own name, empty at first; several calls reach the same one. */
  driver(mono: () => number): Promise<Driver>;
  remove(): Promise<void>;
}

/** What a test sees: stores with a clock that it sets. */
export interface Subject {
  readonly stores: Stores;
  readonly clock: { mono: number };
  reopen(): Promise<void>;
  driver(): Promise<Driver>;
}

/** Everything that the store promises, for every database that we support. */
export function storeContract(open: () => Promise<Site>): void {
  const closing: (() => Promise<void>)[] = [];
  const clock = { mono: 1_000 };
  const sites: Site[] = [];
  const site = (): Site => {
    const [current] = sites;
    if (current === undefined) throw new Error('no site');
    return current;
  };
  const openStores = async (): Promise<Stores> => {
    const stores = await site().open(() => clock.mono);
    closing.push(
      () => stores.control.close(),
      () => stores.rum.close(),
    );
    return stores;
  };
  const holder: { stores?: Stores } = {};
  const subject: Subject = {
    get stores() {
      if (holder.stores === undefined) throw new Error('not open');
      return holder.stores;
    },
    clock,
    async reopen() {
      await Promise.all([subject.stores.control.close(), subject.stores.rum.close()]);
      holder.stores = await openStores();
    },
    async driver() {
      const driver = await site().driver(() => clock.mono);
      closing.push(() => driver.close());
      return driver;
    },
  };

  beforeEach(async () => {
    clock.mono = 1_000;
    sites.push(await open());
    holder.stores = await openStores();
  });
  afterEach(async () => {
    await Promise.all(closing.splice(0).map((close) => close()));
    await Promise.all(sites.splice(0).map((each) => each.remove()));
  });

  controlContract(subject);
  rumContract(subject);
  migrateContract(subject);
}
