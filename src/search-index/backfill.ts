import { setTimeout as pause } from 'node:timers/promises';
import type { Database } from '../database/client.ts';
import { findIds, measureRows } from '../database/rows.ts';
import { isPostgres } from '../database/transactions.ts';
import { postgresBackfill } from './postgres-index.ts';
import type { SearchSource } from './source.ts';
import { sqliteBackfill } from './sqlite-index.ts';

/** The rows and the bytes of text of one statement: few enough that requests hardly wait. */
const BATCH = 200;
const MAX_BYTES = 256 * 1024;
const PAUSE_MS = 20;

/**
 * Indexes the rows that were written before the triggers existed, the newest first. The triggers index all others. Each batch records how far it came, so that the
 * work resumes after a restart; several processes may do it at the same time, since a row that has an entry is skipped.
 */
export async function fillSearchIndex(
  database: Database,
  sources: readonly SearchSource[],
  stopping: AbortSignal,
): Promise<void> {
  const progress = new Map((await database.searchBackfill.findMany()).map(({ model, belowId }) => [model, belowId]));
  for (const source of sources.filter(({ model }) => progress.get(model) !== 0)) {
    while (!stopping.aborted && (await indexBatch(database, source))) {
      await pause(PAUSE_MS, undefined, { signal: stopping, ref: false }).catch(() => undefined);
    }
  }
}

/** Indexes the next rows; returns whether there may be more. */
async function indexBatch(database: Database, source: SearchSource): Promise<boolean> {
  const { model } = source;
  const belowId = await remaining(database, source);
  if (belowId <= 0) {
    return false;
  }
  const rows = await measureRows(database, model, {
    where: { id: { lt: belowId } },
    orderBy: [{ id: 'desc' }],
    take: BATCH,
  });
  let bytes = 0;
  const batch = rows.filter((row, index) => {
    bytes += row.bytes;
    return index === 0 || bytes <= MAX_BYTES;
  });
  const lowest = batch.at(-1)?.id;
  if (lowest !== undefined) {
    const statement = isPostgres(database) ? postgresBackfill(source) : sqliteBackfill(source);
    await database.$executeRawUnsafe(statement, lowest, belowId - 1);
  }
  // Another process may have come further.
  await database.searchBackfill.updateMany({
    where: { model, belowId: { gt: lowest ?? 0 } },
    data: { belowId: lowest ?? 0 },
  });
  return lowest !== undefined;
}

/** Returns the id below which rows may have no entry. */
async function remaining(database: Database, { model }: SearchSource): Promise<number> {
  const found = await database.searchBackfill.findUnique({ where: { model } });
  if (found) {
    return found.belowId;
  }
  const [newest = 0] = await findIds(database, model, { where: {}, orderBy: [{ id: 'desc' }], take: 1 });
  const belowId = newest === 0 ? 0 : Math.min(newest + 1, MAX_ID);
  const { belowId: stored } = await database.searchBackfill.upsert({
    where: { model },
    create: { model, belowId },
    update: {},
  });
  return stored;
}

/** The largest id; the row that has it is written by nobody. */
const MAX_ID = 2 ** 31 - 1;
