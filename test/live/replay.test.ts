import Sqlite from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { sweep } from '../../src/changes/retention.ts';
import { privateDatabase, startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { type Operation, SocketClient } from '../kit/socket.ts';
import { endOfLog } from './streams.ts';

const TODOS = 'subscription ($after: String) { todoChanged(after: $after) { action cursor id todo { title } } }';
const DAY_S = 86_400;

let app: TestApp;
let ann: Person;
let database: Sqlite.Database;
const clients: SocketClient[] = [];

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  database = new Sqlite(app.databasePath);
});
afterAll(async () => {
  database.close();
  await app.close();
});
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

async function follow(after: string | null, at = app, authorization = ann.authorization): Promise<Operation> {
  const client = await SocketClient.open(at.url, authorization);
  clients.push(client);
  return client.start(TODOS, { after });
}

const add = (...titles: string[]): void => {
  const insert = database.prepare('INSERT INTO "Todo" ("title", "ownerId") VALUES (?, 1)');
  for (const title of titles) {
    insert.run(title);
  }
};

async function read(operation: Operation, count: number): Promise<string[]> {
  const received: string[] = [];
  while (received.length < count) {
    const { action, todo } = await operation.event();
    received.push(`${action} ${todo?.title ?? ''}`);
  }
  return received;
}

/** The code that answers a subscription from a cursor. */
async function refusal(after: string, at = app, authorization = ann.authorization): Promise<unknown> {
  const operation = await follow(after, at, authorization);
  const errors = await operation.ended;
  expect(operation.results.drain()).toEqual([]);
  expect(errors).toHaveLength(1);
  return errors?.[0].extensions.code;
}

describe('a cursor', () => {
  it('should replay exactly what was missed and then go live', async () => {
    const first = await follow(await endOfLog(app));
    add('one', 'two', 'three');
    const { cursor } = await first.event();
    clients.pop()?.raw.terminate();
    database.exec(
      `UPDATE "Todo" SET "title" = 'four' WHERE "title" = 'three'; DELETE FROM "Todo" WHERE "title" = 'two'`,
    );
    const again = await follow(cursor);
    expect(await read(again, 4)).toEqual(['CREATED two', 'CREATED three', 'UPDATED four', 'DELETED ']);
    add('live');
    expect(await read(again, 1)).toEqual(['CREATED live']);
    expect(again.results.drain()).toEqual([]);
  });

  it('should replay the same events under the same cursors to everybody who resumes there', async () => {
    const start = await endOfLog(app);
    add(...Array.from({ length: 1500 }, (_, i) => `replayed ${i}`));
    const [first, second] = [await follow(start), await follow(start)];
    const events: unknown[] = [];
    for (let i = 0; i < 1500; i += 1) {
      const event = await first.event();
      expect(event.todo.title).toBe(`replayed ${i}`);
      expect(await second.event()).toEqual(event);
      events.push(event);
    }
    const middle = await follow((events[700] as { cursor: string }).cursor);
    for (const event of events.slice(701)) {
      expect(await middle.event()).toEqual(event);
    }
    expect(new Set(events.map((event) => (event as { cursor: string }).cursor)).size).toBe(1500);
  });

  it('should be that of the log’s end in Query.cursor, at HTTP and on a socket', async () => {
    add('before');
    await endOfLog(app);
    const client = await SocketClient.open(app.url, ann.authorization);
    clients.push(client);
    const { cursor } = await ann.gql('{ cursor }');
    expect(await client.execute('{ cursor }')).toEqual({ data: { cursor } });
    const events = client.start(TODOS, { after: cursor });
    add('after');
    expect(await read(events, 1)).toEqual(['CREATED after']);
  });

  it('should be good for any subscription, whichever gave it', async () => {
    const todos = await follow(await endOfLog(app));
    add('x');
    const { cursor: after } = await todos.event();
    const client = await SocketClient.open(app.url, ann.authorization);
    clients.push(client);
    const notes = client.start('subscription ($after: String) { noteChanged(after: $after) { note { title } } }', {
      after,
    });
    await ann.gql('mutation { createNote(input: { title: "n", description: "", priority: 0 }) { __typename } }');
    expect(await notes.event()).toEqual({ note: { title: 'n' } });
  });

  it('should make no difference when it is left out, or null', async () => {
    const client = await SocketClient.open(app.url, ann.authorization);
    clients.push(client);
    const operations = [
      client.start('subscription { todoChanged { action cursor todo { title } } }'),
      client.start(TODOS, { after: null }),
    ];
    for (const operation of operations) {
      // Only an event shows that the subscription has started.
      let received: unknown;
      while (received === undefined) {
        add('probe');
        received = await operation.event(200).catch(() => undefined);
      }
      expect(received).toMatchObject({ action: 'CREATED', todo: { title: 'probe' } });
    }
  });
});

describe('a cursor that can’t be continued', () => {
  it.each([
    '',
    'junk',
    ':',
    '1:2',
    '0123456789abcdef',
    '0123456789ABCDEF:1-1',
    '0123456789abcdef:-1-1',
    '0123456789abcdef:1',
    `${'0'.repeat(16)}:${'9'.repeat(16)}-1`,
    '\u0000',
    'x'.repeat(100),
  ])('should be BAD_CURSOR when it is %j', async (after) => {
    expect(await refusal(after)).toBe('BAD_CURSOR');
  });

  it('should be RESYNC_REQUIRED when it is another database’s', async () => {
    const file = privateDatabase();
    // Those of the kit are copies of one, and so have its epoch.
    const other = await startApp({ DATABASE_URL: `file:${file.folder}/fresh.db` });
    try {
      const { cursor } = await other.anonymous.gql('{ cursor }');
      expect(await refusal(cursor)).toBe('RESYNC_REQUIRED');
      expect(await refusal(await endOfLog(app), other, null)).toBe('RESYNC_REQUIRED');
    } finally {
      await other.close();
      file.remove();
    }
  });

  it('should be RESYNC_REQUIRED when the database was put back to an older copy', async () => {
    const older = await startApp();
    try {
      add('x');
      expect(await refusal(await endOfLog(app), older, null)).toBe('RESYNC_REQUIRED');
    } finally {
      await older.close();
    }
  });

  it('should be RESYNC_REQUIRED when it lies in the future, also when the log has grown past it since', async () => {
    add('x');
    const end = await endOfLog(app);
    const [, epoch, seq = '', at] = /^(.+):(\d+)-(.+)$/.exec(end) ?? [];
    expect(await refusal(`${epoch}:${Number(seq) + 1}-${at}`)).toBe('RESYNC_REQUIRED');
    expect(await refusal(`${epoch}:${'9'.repeat(15)}-${at}`)).toBe('RESYNC_REQUIRED');
    // As when the file is put back to an older copy of itself: the number is there, but another change has it.
    expect(await refusal(`${epoch}:${seq}-${at}0`)).toBe('RESYNC_REQUIRED');
  });

  it('should be RESYNC_REQUIRED when what nobody owns is no longer everybody’s', async () => {
    const end = await endOfLog(app);
    const closed = await startApp({ ALLOW_ANONYMOUS: 'false', DATABASE_URL: `file:${app.databasePath}` });
    try {
      expect(await refusal(end, closed, null)).toBe('RESYNC_REQUIRED');
    } finally {
      await closed.close();
    }
  });
});

/** What a change has in the log, its overhead included. */
function bytesPerChange(rows: Sqlite.Database): number {
  const sum = 'sum(coalesce(length("before"), 0) + coalesce(length("after"), 0) + 250)';
  return Number(rows.prepare(`SELECT ${sum} / count(*) FROM "Change"`).pluck().get());
}

describe('retention', () => {
  it('should end cursors that are older, keep newer ones, and hold up no writer', async () => {
    const kept = await startApp({ CHANGE_RETENTION_BYTES: '1000000000' });
    const rows = new Sqlite(kept.databasePath);
    const log = (): number => Number(rows.prepare('SELECT count(*) FROM "Change"').pluck().get());
    try {
      const origin = await endOfLog(kept);
      const fill = (count: number): unknown =>
        rows.exec(`
          WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
          INSERT INTO "Todo" ("title") SELECT 'todo ' || i FROM n;
        `);
      fill(4000);
      const old = await endOfLog(kept);
      const live = await follow(old, kept, null);
      fill(500);
      const recent = await endOfLog(kept);
      fill(500);
      for (let i = 0; i < 1000; i += 1) {
        await live.event();
      }
      expect(log()).toBe(5000);

      // About what a thousand changes of these have, and a little more.
      const retention = { ageS: DAY_S, bytes: 1100 * bytesPerChange(rows) };
      const sweeping = sweep(kept.app.services.database, retention);
      let meanwhile = 0;
      for (let written = 0; written < 100; written += 1) {
        await kept.anonymous.gql('mutation { createTodo(input: { title: "meanwhile" }) { __typename } }');
        meanwhile += log() < 5000 && log() > 1500 ? 1 : 0;
      }
      await sweeping;
      // What was written after it had looked for the last time.
      await sweep(kept.app.services.database, retention);
      // Between its transactions writers get in.
      expect(meanwhile).toBeGreaterThan(0);
      expect(log()).toBeGreaterThanOrEqual(1000);
      expect(log()).toBeLessThanOrEqual(1200);

      expect(await refusal(origin, kept, null)).toBe('RESYNC_REQUIRED');
      expect(await refusal(old, kept, null)).toBe('RESYNC_REQUIRED');
      const resumed = await follow(recent, kept, null);
      expect(await read(resumed, 500)).toEqual(Array.from({ length: 500 }, (_, i) => `CREATED todo ${i + 1}`));
      expect(await read(live, 100)).toEqual(Array(100).fill('CREATED meanwhile'));
    } finally {
      rows.close();
      await kept.close();
    }
  });

  it('should end cursors by their age, but never that of the newest change', async () => {
    const kept = await startApp();
    const rows = new Sqlite(kept.databasePath);
    try {
      rows.exec(`INSERT INTO "Todo" ("title") VALUES ('one'), ('two'), ('three')`);
      rows.exec(`UPDATE "Change" SET "at" = '2020-01-01T00:00:00.000+00:00'`);
      const end = await endOfLog(kept);
      await sweep(kept.app.services.database, { ageS: DAY_S, bytes: 1e9 });
      expect(rows.prepare('SELECT count(*) FROM "Change"').pluck().get()).toBe(1);
      const todos = await follow((await kept.anonymous.gql('{ cursor }')).cursor, kept, null);
      rows.exec(`INSERT INTO "Todo" ("title") VALUES ('four')`);
      expect(await read(todos, 1)).toEqual(['CREATED four']);
      expect(end).toMatch(/:\d+-/);
    } finally {
      rows.close();
      await kept.close();
    }
  });
});
