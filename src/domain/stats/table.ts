/** Events `x` of trials `n` in one stratum: treatment and control. */
export interface Table {
  readonly xt: number;
  readonly nt: number;
  readonly xc: number;
  readonly nc: number;
}

/** The same comparison seen from the other side. */
export function swapArms({ xt, nt, xc, nc }: Table): Table {
  return { xt: xc, nt: nc, xc: xt, nc: nt };
}
