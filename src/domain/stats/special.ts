/** ln(e^a + e^b + ...), without overflow. Empty: -Infinity. */
export function logSumExp(terms: readonly number[]): number {
  const top = Math.max(...terms);
  if (!Number.isFinite(top)) return top;
  return top + Math.log(terms.reduce((sum, term) => sum + Math.exp(term - top), 0));
}

const halfLnTwoPi = 0.5 * Math.log(2 * Math.PI);

/** ln Gamma(x), x > 0: Stirling's series, after upward recurrence to x >= 10. */
export function lgamma(x: number): number {
  let at = x;
  let product = 1;
  while (at < 10) {
    product *= at;
    at += 1;
  }
  const inverse = 1 / (at * at);
  const series = 1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse * (1 / 1680 - inverse * (1 / 1188))));
  return (at - 0.5) * Math.log(at) - at + halfLnTwoPi + series / at - Math.log(product);
}

/** ln B(a, b), a, b > 0. */
export function lbeta(a: number, b: number): number {
  return lgamma(a) + lgamma(b) - lgamma(a + b);
}

/** erfc(x) e^(x^2) for x >= 2.5: the continued fraction, from its tail. */
function erfcx(x: number): number {
  let fraction = x;
  for (let k = 80; k >= 1; k--) fraction = x + k / 2 / fraction;
  return 1 / (fraction * Math.sqrt(Math.PI));
}

/** erf(x) for |x| < 2.5: the series of Abramowitz & Stegun 7.1.6, whose terms all have one sign. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** ln of the standard normal distribution function; right in the far left tail (-38) too. */
export function logNcdf(x: number): number {
  const z = Math.abs(x) / Math.SQRT2;
  if (z < 2.5) return Math.log(0.5 * (1 + Math.sign(x) * erf(z)));
  if (x > 0) return Math.log1p(-0.5 * erfcx(z) * Math.exp(-z * z));
  return Math.log(0.5 * erfcx(z)) - z * z;
}
