/** A Map that forgets what was used longest ago: memory stays bounded whatever the internet sends. */
export interface Bounded<K, V> {
  get(key: K): V | undefined;
  set(key: K, value: V): void;
  delete(key: K): void;
}

export function bounded<K, V>(limit: number): Bounded<K, V> {
  // Two generations instead of a linked list: a hit costs one look-up, and forgetting is dropping a whole Map.
  let young = new Map<K, V>();
  let old = new Map<K, V>();
  const set = (key: K, value: V): void => {
    young.set(key, value);
    if (young.size < limit / 2) return;
    old = young;
    young = new Map();
  };
  return {
    get(key) {
      const hit = young.get(key);
      if (hit !== undefined) return hit;
      const kept = old.get(key);
      if (kept !== undefined) set(key, kept);
      return kept;
    },
    set,
    delete(key) {
      young.delete(key);
      old.delete(key);
    },
  };
}
