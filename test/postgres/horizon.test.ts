import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Change } from '../../src/changes/change.ts';
import { LOG_START, type LogPosition } from '../../src/changes/cursor.ts';
import { loggedModels } from '../../src/changes/logged-models.ts';
import { PostgresLog } from '../../src/changes/postgres-log.ts';
import { planPostgresTriggers } from '../../src/changes/postgres-triggers.ts';
import { migratePostgres } from '../../src/database/migrate-postgres.ts';
import { PostgresPeers } from '../../src/database/postgres-peers.ts';
import { MODELS } from '../../src/slices.ts';
import { createDatabase, type PostgresDatabase, runSql } from '../kit/postgres.ts';
import { describeWith } from '../kit/present.ts';

const WRITERS = 6;
const ROWS = 8;
const TIMEOUT_MS = 120_000;

/** One transaction: what it writes, how long it rests after each write, and how it ends. */
interface Script {
  readonly writer: number;
  readonly steps: readonly {
    readonly row: number;
    readonly kind: 'insert' | 'update' | 'note';
    readonly restMs: number;
  }[];
  readonly commits: boolean;
}

const script = fc.record<Script>({
  writer: fc.nat(WRITERS - 1),
  steps: fc.array(
    fc.record({
      row: fc.nat(ROWS - 1),
      kind: fc.constantFrom('insert', 'update', 'update', 'note'),
      // Most are short; a long one delays the horizon while others overtake it.
      restMs: fc.oneof({ weight: 5, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.nat(60) }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  commits: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
});

describeWith('postgres', 'the log over PostgreSQL, while transactions overlap', () => {
  let database: PostgresDatabase;
  let log: PostgresLog;
  let peers: PostgresPeers;
  let writers: pg.Client[];
  let rowIds: number[];

  beforeAll(async () => {
    database = await createDatabase();
    const models = loggedModels(MODELS);
    await migratePostgres(database.url, (client) => planPostgresTriggers(client, models));
    peers = new PostgresPeers(database.url, 10_000);
    log = await PostgresLog.open({ url: database.url, timeoutMs: 10_000, settings: '', models, peers });
    writers = await Promise.all(
      Array.from({ length: WRITERS }, async () => {
        const client = new pg.Client({ connectionString: database.url });
        await client.connect();
        return client;
      }),
    );
    const rows = await runSql(
      database.url,
      `INSERT INTO "Todo" ("title") SELECT 'row ' || n FROM generate_series(1, ${ROWS}) AS n RETURNING "id"`,
    );
    rowIds = rows.map(({ id }) => Number(id));
  });
  afterAll(async () => {
    await Promise.all(writers.map((writer) => writer.end()));
    await log.close();
    await peers.close();
    await database.remove();
  });

  async function perform(client: pg.Client, { steps, commits }: Script): Promise<void> {
    await client.query('BEGIN');
    try {
      for (const { row, kind, restMs } of steps) {
        if (kind === 'insert') {
          await client.query('INSERT INTO "Todo" ("title") VALUES ($1)', ['new']);
        } else if (kind === 'note') {
          await client.query(
            `INSERT INTO "Note" ("title", "description", "priority", "createdAt", "createdBy") VALUES ('n', '', 1, '', '')`,
          );
        } else {
          await client.query('UPDATE "Todo" SET "title" = $1 WHERE "id" = $2', [Math.random().toString(), rowIds[row]]);
        }
        await pause(restMs);
      }
      await client.query(commits ? 'COMMIT' : 'ROLLBACK');
    } catch (error) {
      await client.query('ROLLBACK');
      // Two that wait for each other's rows: one of them is undone, as happens to any program.
      if (!(error instanceof pg.DatabaseError && error.code === '40P01')) {
        throw error;
      }
    }
  }

  /** The changes after a position, with their images. */
  const read = (after: LogPosition, rows: number) =>
    log.poll({ after, limits: { rows, bytes: Number.POSITIVE_INFINITY }, needsImages: () => true, loads: [] });

  /** Runs scripts side by side, those of one connection one after the other. */
  async function performAll(scripts: readonly Script[]): Promise<void> {
    await Promise.all(
      writers.map(async (client, index) => {
        for (const each of scripts.filter(({ writer }) => writer === index)) {
          await perform(client, each);
        }
      }),
    );
  }

  /** Reads until it is stopped and nothing is left; `read` returns the changes after a position. */
  async function follow<Item>(
    from: LogPosition,
    read: (from: LogPosition) => Promise<{ items: readonly Item[]; upTo: LogPosition }>,
    isDone: () => boolean,
  ): Promise<Item[]> {
    const seen: Item[] = [];
    let position = from;
    for (;;) {
      const wasDone = isDone();
      const { items, upTo } = await read(position);
      seen.push(...items);
      const stood = upTo.seq === position.seq;
      position = upTo;
      if (wasDone && stood) {
        return seen;
      }
    }
  }

  const readLog = async (from: LogPosition) => {
    const { changes, upTo } = await read(from, 50);
    return { items: changes, upTo };
  };

  /** What many take for reading a log: everything above the last number seen. */
  const readNaively = async (from: LogPosition) => {
    const rows = await runSql(database.url, `SELECT "seq" FROM "Change" WHERE "seq" > ${from.seq} ORDER BY "seq"`);
    const items = rows.map(({ seq }) => Number(seq));
    return { items, upTo: { seq: items.at(-1) ?? from.seq, at: 0 } };
  };

  const committedAfter = async (from: LogPosition): Promise<number[]> => (await readNaively(from)).items;

  /** The changes of a row must follow on each other: each begins with the image that the one before it left. */
  function expectOrder(changes: readonly Change[]): void {
    const images = new Map<string, unknown>();
    for (const { model, rowId, before, after } of changes) {
      const row = `${model} ${rowId}`;
      if (images.has(row)) {
        expect(images.get(row)).toMatchObject(before ?? {});
      }
      images.set(row, after);
    }
  }

  it('should lose nothing and reorder nothing, where a naive reader does lose', { timeout: TIMEOUT_MS }, async () => {
    let naivelyLost = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(script, { minLength: 8, maxLength: 30 }), async (scripts) => {
        const { upTo: start } = await read(LOG_START, 1_000_000);
        let done = false;
        const isDone = () => done;
        const following = follow(start, readLog, isDone);
        const naive = follow(start, readNaively, isDone);
        await performAll(scripts);
        done = true;
        const changes = await following;
        const committed = await committedAfter(start);
        expect(changes.map(({ seq }) => seq)).toEqual(committed);
        expectOrder(changes);
        naivelyLost += committed.length - new Set(await naive).size;
      }),
      { numRuns: 25, endOnFailure: true },
    );
    expect(naivelyLost).toBeGreaterThan(0);
  });

  it('should wait for a transaction that drew its numbers first, and for nothing else', async () => {
    const { upTo: start } = await read(LOG_START, 1_000_000);
    const [slow, quick] = writers;
    await slow?.query('BEGIN');
    await slow?.query(`INSERT INTO "Todo" ("title") VALUES ('first')`);
    await quick?.query(`INSERT INTO "Todo" ("title") VALUES ('second')`);
    expect((await read(start, 10)).changes).toEqual([]);
    await slow?.query('COMMIT');
    const { changes } = await read(start, 10);
    expect(changes.map(({ after }) => after?.['title'])).toEqual(['first', 'second']);
  });

  it('should not be delayed by transactions that only read, nor by those that rolled back to a savepoint', async () => {
    const { upTo: start } = await read(LOG_START, 1_000_000);
    const [reader, undone, quick] = writers;
    await reader?.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
    await reader?.query('SELECT * FROM "Todo"');
    await undone?.query('BEGIN');
    await undone?.query('SAVEPOINT here');
    await undone?.query(`INSERT INTO "Todo" ("title") VALUES ('undone')`);
    await undone?.query('ROLLBACK TO here');
    await quick?.query(`INSERT INTO "Todo" ("title") VALUES ('delivered')`);
    const { changes } = await read(start, 10);
    expect(changes.map(({ after }) => after?.['title'])).toEqual(['delivered']);
    // What it writes after the savepoint delays the horizon again.
    await undone?.query(`INSERT INTO "Todo" ("title") VALUES ('kept')`);
    await quick?.query(`INSERT INTO "Todo" ("title") VALUES ('behind')`);
    expect((await read(start, 10)).changes).toHaveLength(1);
    await undone?.query('COMMIT');
    await reader?.query('COMMIT');
    expect((await read(start, 10)).changes.map(({ after }) => after?.['title'])).toEqual([
      'delivered',
      'kept',
      'behind',
    ]);
  });

  it('should log what TRUNCATE takes away, row by row', async () => {
    await runSql(database.url, `INSERT INTO "Post" ("title", "content") VALUES ('a', ''), ('b', '')`);
    const { upTo: start } = await read(LOG_START, 1_000_000);
    await runSql(database.url, 'TRUNCATE "Post"');
    const { changes } = await read(start, 10);
    expect(changes.map(({ action, before }) => [action, before?.['title']])).toEqual([
      ['DELETE', 'a'],
      ['DELETE', 'b'],
    ]);
  });
});
