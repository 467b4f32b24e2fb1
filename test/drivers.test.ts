import { readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3';
import Sqlite from 'better-sqlite3';
import { describe, expect, it, vi } from 'vitest';
import { cachePreparedStatements } from '../src/database/statements.ts';

const require = createRequire(import.meta.url);
const read = (path: string) => JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8'));

describe('the driver of SQLite', () => {
  it('should be needed: Node 20 is supported', () => {
    expect(read('package.json').engines.node, 'Remove drivers/ as its README says.').toMatch(/^>=20\./);
  });

  it('should be the same one for Prisma’s adapter', () => {
    const adapter = createRequire(require.resolve('@prisma/adapter-better-sqlite3'));
    const driver = realpathSync(new URL('../drivers/better-sqlite3/index.js', import.meta.url));
    expect(realpathSync(adapter.resolve('better-sqlite3'))).toBe(driver);
    expect(realpathSync(require.resolve('better-sqlite3'))).toBe(driver);
  });

  it('should be the version that fits this Node', () => {
    const major = Number(process.versions.node.split('.')[0]) < 22 ? 12 : 13;
    expect(read(`node_modules/better-sqlite3-${major}/package.json`).version).toMatch(`${major}.`);
    expect(Sqlite).toBe(require(`better-sqlite3-${major}`));
  });
});

describe('Prisma’s adapter for SQLite', () => {
  it('should run its statements by the `prepare` of the connection in its field `client`', async () => {
    const adapter = await new PrismaBetterSqlite3({ url: ':memory:' }).connect();
    const client: unknown = Reflect.get(adapter, 'client');
    expect(client).toBeInstanceOf(Sqlite);
    const prepare = vi.spyOn(client as Sqlite.Database, 'prepare');
    cachePreparedStatements(client as Sqlite.Database);
    const ask = () => adapter.queryRaw({ sql: 'SELECT 1 AS "one"', args: [], argTypes: [] });
    expect([(await ask()).rows, (await ask()).rows]).toEqual([[[1]], [[1]]]);
    // Once, as the second statement is the kept one.
    expect(prepare.mock.calls).toEqual([['SELECT 1 AS "one"']]);
    await adapter.dispose();
  });
});
