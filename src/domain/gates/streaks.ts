import type { Streak } from '../rollout.ts';

/** What a window says of a gate; `unclear` is neither in breach nor clear: missing evidence clears nothing. */
export type WindowSays = 'breach' | 'clear' | 'unclear';

/** Counts a window once, however often it is looked at; a second look may only make it worse. */
export function nextStreak(before: Streak | undefined, window: number, says: WindowSays): Streak {
  const last = before ?? { window: Number.NEGATIVE_INFINITY, breach: 0, clear: 0, since: null };
  if (window <= last.window) {
    if (says === 'breach' && last.breach === 0) return { ...last, breach: 1, clear: 0, since: last.window };
    return says === 'clear' ? last : { ...last, clear: 0 };
  }
  switch (says) {
    case 'breach':
      return { window, breach: last.breach + 1, clear: 0, since: last.since ?? window };
    case 'clear':
      return { window, breach: 0, clear: last.clear + 1, since: null };
    case 'unclear':
      return { ...last, window, clear: 0 };
  }
}
