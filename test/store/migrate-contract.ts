import { describe, expect, it } from 'vitest';
import { NewerSchema } from '../../src/store/driver.ts';
import { type Migration, migrate } from '../../src/store/migrate.ts';
import { raw, sql } from '../../src/store/sql.ts';
import type { Subject } from './contract.ts';

const migration = (name: string, ...statements: string[]): Migration => ({
  name,
  checksum: `sum of ${statements.join()}`,
  statements: statements.map(raw),
});
const first = migration('0001_control', 'create table note (body text)', "insert into note (body) values ('once')");
const second = migration('0002_control_more', 'alter table note add column at bigint');

export function migrateContract(subject: Subject): void {
  describe('migrate', () => {
    it('runs each migration once, however often the program starts', async () => {
      const driver = await subject.driver();
      await migrate(driver, 'control', [first]);
      await migrate(driver, 'control', [first, second]);
      await migrate(driver, 'control', [first, second]);
      expect(await driver.all(sql`select body, at from note`)).toEqual([{ body: 'once', at: null }]);
    });

    it('runs each migration once when two start together', async () => {
      const drivers = [await subject.driver(), await subject.driver(), await subject.driver()];
      await Promise.all(drivers.map((driver) => migrate(driver, 'control', [first, second])));
      const [driver] = drivers;
      expect(await driver?.all(sql`select body from note`)).toEqual([{ body: 'once' }]);
    });

    it('refuses a database that a newer program has changed', async () => {
      const driver = await subject.driver();
      await migrate(driver, 'control', [first, second]);
      await expect(migrate(driver, 'control', [first])).rejects.toThrow(NewerSchema);
      await expect(migrate(driver, 'control', [first])).rejects.toThrow('0002_control_more');
    });

    it('keeps the migrations of the two stores apart in one database', async () => {
      const driver = await subject.driver();
      await migrate(driver, 'control', [first]);
      await migrate(driver, 'rum', [migration('0001_rum', 'create table beacon (body text)')]);
      await migrate(driver, 'control', [first]);
      expect(await driver.all(sql`select name from migration order by name`)).toHaveLength(2);
    });

    it('refuses a migration that was edited after it ran', async () => {
      const driver = await subject.driver();
      await migrate(driver, 'control', [first]);
      await expect(migrate(driver, 'control', [{ ...first, checksum: 'other' }])).rejects.toThrow('was edited');
    });

    it('leaves nothing of a migration that fails half way', async () => {
      const driver = await subject.driver();
      const broken = migration('0001_control', 'create table note (body text)', 'insert into nowhere (x) values (1)');
      await expect(migrate(driver, 'control', [broken])).rejects.toThrow('nowhere');
      await migrate(driver, 'control', [first]);
      expect(await driver.all(sql`select body from note`)).toEqual([{ body: 'once' }]);
    });
  });
}
