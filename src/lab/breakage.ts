/** Ways in which the demo's new checkout can be broken. */
export const breakages = ['none', 'slow', 'errors', 'white', 'safari'] as const;
export type Breakage = (typeof breakages)[number];

export const breakageText: { readonly [b in Breakage]: string } = {
  none: 'Healthy: the new checkout is as good as the old one',
  slow: 'Slow: the new checkout appears 800 ms later',
  errors: 'Errors: one visit in four throws',
  white: 'White screen: the page dies before it can report anything',
  safari: 'Only Safari: every Safari visit throws',
};

export const isBreakage = (text: string): text is Breakage => breakages.some((one) => one === text);
