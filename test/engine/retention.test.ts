import { setTimeout as pause } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import { expect, it } from 'vitest';
import { startApp } from '../kit/app.ts';

const LIMIT_BYTES = 2_000_000;
/** How much is written in all, however long that takes. */
const WRITTEN_BYTES = 6 * LIMIT_BYTES;
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
    let written = 0;
    let most = 0;
    while (written * BYTES_PER_CHANGE < WRITTEN_BYTES) {
      const before = Number(file.prepare('SELECT max("seq") FROM "Change"').pluck().get() ?? 0);
      await writeFor(1_000);
      written += Number(file.prepare('SELECT max("seq") FROM "Change"').pluck().get()) - before;
      most = Math.max(most, written * BYTES_PER_CHANGE < WRITTEN_BYTES / 2 ? 0 : bytes());
    }
    // What is written between two looks comes on top.
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(0.5 * written * BYTES_PER_CHANGE);
  } finally {
    file.close();
    await app.close();
  }
});
