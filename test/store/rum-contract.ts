import { describe, expect, it } from 'vitest';
import { Conflict, type RumStore, type SumRow } from '../../src/store/store.ts';
import type { Subject } from './contract.ts';
import { aBatch, aCell, noon, pageViewKey, someSums } from './fixtures.ts';

export function rumContract(subject: Subject): void {
  const rum = (): RumStore => subject.stores.rum;

  describe('rum', () => {
    const view = (n: number, at = noon, state = '{}') => ({ key: pageViewKey(n), at, state });
    const unit = (n: number, state = '{}') => ({ rollout: 1, epoch: 1, unit: pageViewKey(n).slice(8), state });

    it('has committed nothing at first', async () => {
      expect(await rum().newestFlush()).toBe(0);
      expect(await rum().pageViews([])).toEqual([]);
      expect(await rum().cells([])).toEqual([]);
      expect(await rum().stats(0)).toEqual([]);
    });

    it('replaces rows by whole new values and adds up stats', async () => {
      const other = aCell({ arm: 'control', blob: Uint8Array.of() });
      await rum().commit(
        aBatch(1, {
          pageViews: [view(1), view(2)],
          units: [unit(1), unit(2)],
          cells: [aCell(), other],
          sums: [someSums(), someSums({ arm: 'treatment' })],
          stats: [
            { bucket: noon, reason: 'accepted', n: 2 },
            { bucket: noon, reason: 'accepted', n: 3 },
          ],
        }),
      );
      await rum().commit(
        aBatch(2, {
          pageViews: [view(1, noon + 5, '{"q":3}')],
          units: [unit(1, '{"err":1}')],
          cells: [aCell({ blob: Uint8Array.of(9) })],
          sums: [someSums({ blob: Uint8Array.of(8) }), someSums({ epoch: 2 })],
          stats: [
            { bucket: noon, reason: 'accepted', n: 1 },
            { bucket: noon, reason: 'late', n: 1 },
          ],
        }),
      );
      expect(await rum().newestFlush()).toBe(2);
      expect(await rum().pageViews([pageViewKey(1), pageViewKey(3)])).toEqual([view(1, noon + 5, '{"q":3}')]);
      expect(await rum().units([unit(1), unit(3)])).toEqual([unit(1, '{"err":1}')]);
      expect(await rum().cells([aCell(), aCell({ bucket: noon + 1 })])).toEqual([aCell({ blob: Uint8Array.of(9) })]);
      expect(await rum().cells([other])).toEqual([other]);
      expect(await rum().sums([someSums(), someSums({ epoch: 3 })])).toEqual([someSums({ blob: Uint8Array.of(8) })]);
      expect(await rum().stats(noon)).toEqual([
        { bucket: noon, reason: 'accepted', n: 6 },
        { bucket: noon, reason: 'late', n: 1 },
      ]);
      expect(await rum().stats(noon + 1)).toEqual([]);
    });

    it('takes a thousand rows of each kind in one batch', async () => {
      const numbers = Array.from({ length: 1_000 }, (_, n) => n);
      const cells = numbers.map((n) => aCell({ bucket: noon + n, dim: 'region', val: `ü${n}` }));
      const stats = numbers.map((n) => ({ bucket: noon, reason: `reason ${n}`, n: 1 }));
      const sums = numbers.map((n) => someSums({ epoch: n }));
      const batch = aBatch(1, {
        pageViews: numbers.map((n) => view(n)),
        units: numbers.map((n) => unit(n)),
        cells,
        sums,
        stats,
      });
      await rum().commit(batch);
      expect(await rum().pageViews(numbers.map(pageViewKey))).toHaveLength(1_000);
      expect(await rum().units(numbers.map((n) => unit(n)))).toHaveLength(1_000);
      expect(await rum().cells(cells)).toHaveLength(1_000);
      expect(await rum().sums(sums)).toHaveLength(1_000);
      expect(await rum().stats(noon)).toHaveLength(1_000);
    });

    it('gives a tick only what is newer than it has seen, pooled or by dimension', async () => {
      const device = aCell({ dim: 'device', val: 'phone' });
      await rum().commit(aBatch(1, { cells: [aCell(), device, aCell({ rollout: 2 })] }));
      await rum().commit(aBatch(2, { cells: [aCell({ arm: 'control' })] }));
      expect(await rum().cellsSince(1, 0, false)).toEqual([
        { ...aCell({ arm: 'control' }), flush: 2 },
        { ...aCell(), flush: 1 },
      ]);
      expect(await rum().cellsSince(1, 1, false)).toEqual([{ ...aCell({ arm: 'control' }), flush: 2 }]);
      expect(await rum().cellsSince(1, 2, false)).toEqual([]);
      expect(await rum().cellsSince(1, 0, true)).toEqual([{ ...device, flush: 1 }]);
    });

    it('gives a tick only the sums that are newer than it has seen, with who wrote them', async () => {
      const treatment = someSums({ arm: 'treatment' });
      await rum().commit(aBatch(1, { sums: [someSums(), treatment, someSums({ rollout: 2 })] }));
      await rum().commit(aBatch(2, { sums: [treatment, someSums({ epoch: 2 })] }));
      const stamped = (row: SumRow, flush: number) => ({ ...row, writer: 'main', flush });
      expect(await rum().sumsSince(1, 0)).toEqual([
        stamped(someSums(), 1),
        stamped(treatment, 2),
        stamped(someSums({ epoch: 2 }), 2),
      ]);
      expect(await rum().sumsSince(1, 1)).toEqual([stamped(treatment, 2), stamped(someSums({ epoch: 2 }), 2)]);
      expect(await rum().sumsSince(1, 2)).toEqual([]);
    });

    it('refuses a flush that is not newer, and counts nothing of it', async () => {
      const stats = [{ bucket: noon, reason: 'accepted', n: 1 }];
      await rum().commit(aBatch(1, { stats }));
      await expect(rum().commit(aBatch(1, { stats }))).rejects.toThrow(Conflict);
      expect(await rum().stats(0)).toEqual([{ bucket: noon, reason: 'accepted', n: 1 }]);
    });

    it('drops old page views, pooled cells and stats, and keeps marginals', async () => {
      const many = Array.from({ length: 1_200 }, (_, n) => view(n, noon - 1));
      const marginal = aCell({ bucket: noon - 1, dim: 'device', val: 'phone' });
      await rum().commit(
        aBatch(1, {
          pageViews: [...many, view(5_000)],
          cells: [aCell({ bucket: noon - 1 }), aCell(), marginal],
          stats: [
            { bucket: noon - 1, reason: 'accepted', n: 1 },
            { bucket: noon, reason: 'accepted', n: 1 },
          ],
        }),
      );
      expect(await rum().prune({ pageViewsBefore: noon, cellsBefore: noon })).toBe(1_202);
      expect(await rum().pageViews([pageViewKey(1), pageViewKey(5_000)])).toEqual([view(5_000)]);
      expect(await rum().cellsSince(1, 0, false)).toEqual([{ ...aCell(), flush: 1 }]);
      expect(await rum().cellsSince(1, 0, true)).toEqual([{ ...marginal, flush: 1 }]);
      expect(await rum().stats(0)).toEqual([{ bucket: noon, reason: 'accepted', n: 1 }]);
    });

    it('forgets everything of one rollout and nothing of another', async () => {
      const other = { ...unit(1), rollout: 2 };
      await rum().commit(
        aBatch(1, {
          units: [unit(1), other],
          cells: [aCell(), aCell({ rollout: 2 })],
          sums: [someSums(), someSums({ rollout: 2 })],
        }),
      );
      await rum().dropRollout(1);
      expect(await rum().units([unit(1), other])).toEqual([other]);
      expect(await rum().cellsSince(1, 0, false)).toEqual([]);
      expect(await rum().cellsSince(2, 0, false)).toHaveLength(1);
      expect(await rum().sumsSince(1, 0)).toEqual([]);
      expect(await rum().sumsSince(2, 0)).toHaveLength(1);
      expect(await rum().newestFlush()).toBe(1);
    });

    it('keeps what was committed across a reopen', async () => {
      await rum().commit(aBatch(4, { pageViews: [view(1)], cells: [aCell()] }));
      await subject.reopen();
      expect(await rum().newestFlush()).toBe(4);
      expect(await rum().cells([aCell()])).toEqual([aCell()]);
    });
  });
}
