/**
 * Which of G hypotheses to reject so that at most a share `fdr` (0 < fdr < 1) of the rejected are true, on average: e-BH
 * (Wang & Ramdas, JRSS-B 2022). The largest k with k e_(k) / G >= 1/fdr, e descending; valid under any dependence, hence for
 * segments that overlap. Takes natural logs of e-values, returns ascending indices.
 */
export function rejectByEvidence(logEs: readonly number[], fdr: number): number[] {
  const ranked = logEs.map((logE, index) => ({ logE, index })).sort((a, b) => b.logE - a.logE);
  const needed = Math.log(logEs.length / fdr);
  const last = ranked.findLastIndex(({ logE }, rank) => Math.log(rank + 1) + logE >= needed);
  return ranked
    .slice(0, last + 1)
    .map(({ index }) => index)
    .sort((a, b) => a - b);
}
