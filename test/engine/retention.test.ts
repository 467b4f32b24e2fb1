import { setTimeout as pause } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import { expect, it } from 'vitest';
import { startApp } from '../kit/app.ts';

const LIMIT_BYTES = 2_000_000;
/** How much is written in all at the least, and for how many seconds: far more than may stay. */
const WRITTEN_BYTES = 6 * LIMIT_BYTES;
const SECONDS = 12;
/** A look every two seconds, and time to remove what it finds: what is written meanwhile comes on top. */
const SECONDS_ON_TOP = 4;
/** About what a change of these has. */
const BYTES_PER_CHANGE = 450;

it('should keep the log within its bytes while somebody writes as fast as they can', { timeout: 180_000 }, async () => {
  const app = await startApp({ CHANGE_RETENTION_BYTES: String(LIMIT_BYTES) });
  const file = new Sqlite(app.databasePath, { timeout: 10_000 });
  const bytes = (): number =>
    Number(
      file
        .prepare(`SELECT sum(coalesce(length("before"), 0) + coalesce(length("after"), 0) + 250) FROM "Change"`)
        .pluck()
        .get(),
    );
  const write = file.prepare(`
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
    INSERT INTO "Todo" ("title", "updatedAt") SELECT 'todo ' || i, '2026-01-01T00:00:00.000+00:00' FROM n`);
  const writeFor = async (ms: number): Promise<void> => {
    for (const end = Date.now() + ms; Date.now() < end; ) {
      write.run();
      await pause(1);
    }
  };
  try {
    const written: number[] = [];
    const sum = (changes: readonly number[]) => changes.reduce((total, each) => total + each * BYTES_PER_CHANGE, 0);
    const excesses: number[] = [];
    while (written.length < SECONDS || sum(written) < WRITTEN_BYTES) {
      const before = Number(file.prepare('SELECT max("seq") FROM "Change"').pluck().get() ?? 0);
      await writeFor(1_000);
      written.push(Number(file.prepare('SELECT max("seq") FROM "Change"').pluck().get()) - before);
      excesses.push(bytes() - LIMIT_BYTES - sum(written.slice(-SECONDS_ON_TOP)));
    }
    expect(Math.max(...excesses)).toBeLessThan(0);
    // Otherwise nothing would have had to be removed.
    expect(sum(written)).toBeGreaterThan(LIMIT_BYTES + sum(written.slice(-SECONDS_ON_TOP)));
  } finally {
    file.close();
    await app.close();
  }
});
