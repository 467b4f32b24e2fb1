import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { numberOf } from '../kit/ids.ts';
import { SocketClient } from '../kit/socket.ts';
import { EventStream } from './streams.ts';

const WATCH = `subscription ($after: String) {
  todoChanged(after: $after) { action cursor id todo { id title completed } }
}`;
const PAGE = `query ($after: String) {
  cursor
  todos(first: 100, after: $after) { nodes { id title completed } pageInfo { hasNextPage endCursor } }
}`;
const WRITES = 3000;
const DEADLINE_MS = 20_000;

/** Writes todos as fast as it can: makes, changes and deletes them, alone and several at once. */
const WRITER = `
import { createRequire } from 'node:module';
const [root, path, writes] = process.argv.slice(1);
const Sqlite = createRequire(root)('better-sqlite3');
const database = new Sqlite(path, { timeout: 20000 });
const pick = '(SELECT "id" FROM "Todo" ORDER BY random() LIMIT 1)';
const statements = [
  'INSERT INTO "Todo" ("title") VALUES (hex(randomblob(8)))',
  'UPDATE "Todo" SET "title" = hex(randomblob(8)) WHERE "id" = ' + pick,
  'UPDATE "Todo" SET "completed" = NOT "completed" WHERE "id" IN ' + pick.replace('1)', '5)'),
  'DELETE FROM "Todo" WHERE "id" = ' + pick,
].map((sql) => database.prepare(sql));
const some = database.transaction((count) => {
  for (let i = 0; i < count; i += 1) statements[(i * 7) % 4].run();
});
for (let i = 0; i < Number(writes); i += 1) {
  const choice = i % 10;
  if (choice === 9) some(i % 20);
  else statements[[0, 1, 3, 1, 0, 1, 1, 3, 2][choice]].run();
}
database.prepare('INSERT INTO "Todo" ("title") VALUES (?)').run('the end');
database.close();
`;

interface Row {
  readonly id: string;
  readonly title: string;
  readonly completed: boolean;
}

interface Event {
  readonly action: 'CREATED' | 'UPDATED' | 'DELETED';
  readonly cursor: string;
  readonly id: string;
  readonly todo: Row | null;
}

/** Where events come from: the next one, and the end of the connection without a word. */
interface Source {
  readonly next: () => Promise<Event>;
  readonly cut: () => void;
}

let app: TestApp;
let database: Sqlite.Database;

beforeAll(async () => {
  // How fast a reader has to be is another matter.
  app = await startApp({ STREAM_MAX_EVENTS: '1000000', STREAM_MAX_BYTES: '1000000000' });
  database = new Sqlite(app.databasePath);
  database.exec(`
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)
    INSERT INTO "Todo" ("title") SELECT 'todo ' || i FROM n;
  `);
});
afterAll(async () => {
  database.close();
  await app.close();
});

const overSocket = async (after: string): Promise<Source> => {
  const client = await SocketClient.open(app.url, null);
  const events = client.start(WATCH, { after });
  return { next: () => events.event(DEADLINE_MS), cut: () => client.raw.terminate() };
};
const overStream = async (after: string): Promise<Source> => {
  const stream = await EventStream.open(app.url, { query: WATCH, variables: { after } });
  return { next: () => stream.event(DEADLINE_MS), cut: () => stream.response.destroy() };
};
const overResumedStream = async (lastEventId: string): Promise<Source> => {
  const stream = await EventStream.open(app.url, { query: WATCH, headers: { 'last-event-id': lastEventId } });
  return { next: () => stream.event(DEADLINE_MS), cut: () => stream.response.destroy() };
};
const TRANSPORTS = [
  { name: 'a socket', connect: overSocket },
  { name: 'an event stream', connect: overStream },
  { name: 'an event stream that resumes', connect: overResumedStream },
];

function startWriter(): Promise<unknown> {
  const root = fileURLToPath(new URL('../../package.json', import.meta.url));
  const args = ['--input-type=module', '-e', WRITER, root, app.databasePath, String(WRITES)];
  const writer = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  return once(writer, 'exit').then(([code]) => expect(code).toBe(0));
}

/** Reads all todos page by page, while they change; gives them with the cursor of the first page. */
async function readSnapshot(): Promise<{ cursor: string; rows: Map<string, Row> }> {
  const rows = new Map<string, Row>();
  let cursor: string | null = null;
  let after: string | null = null;
  do {
    const page = await app.anonymous.gql(PAGE, { after });
    cursor ??= page.cursor;
    for (const row of page.todos.nodes) {
      rows.set(row.id, row);
    }
    after = page.todos.pageInfo.hasNextPage ? page.todos.pageInfo.endCursor : null;
  } while (after !== null);
  return { cursor: cursor ?? '', rows };
}

function apply(rows: Map<string, Row>, { action, id, todo }: Event): void {
  if (action === 'DELETED' || todo === null) {
    rows.delete(id);
  } else {
    rows.set(id, todo);
  }
}

const seqOf = (cursor: string): number => Number(/:(\d+)-/.exec(cursor)?.[1]);
const byId = (rows: Iterable<Row>): Row[] => [...rows].toSorted((a, b) => numberOf(a.id) - numberOf(b.id));

/** The changes in the log after a cursor: every change of a todo is an event, since all of them are everybody's. */
const loggedAfter = (cursor: string): number[] =>
  database
    .prepare<[number], number>(`SELECT "seq" FROM "Change" WHERE "model" = 'Todo' AND "seq" > ? ORDER BY "seq"`)
    .pluck()
    .all(seqOf(cursor));

describe.each(TRANSPORTS)('a snapshot and $name', ({ connect }) => {
  it('should together be what there is, nothing missing and nothing twice', async () => {
    const writing = startWriter();
    // Somewhere in the middle.
    await app.anonymous.gql('{ cursor }');
    while (loggedAfter((await app.anonymous.gql('{ cursor }')).cursor).length === 0) {}
    const { cursor, rows } = await readSnapshot();
    let source = await connect(cursor);
    const seqs: number[] = [];
    let events = 0;
    for (let event: Event | null = null; event?.todo?.title !== 'the end'; events += 1) {
      event = await source.next();
      apply(rows, event);
      seqs.push(seqOf(event.cursor));
      if (events % 4000 === 3999) {
        source.cut();
        source = await connect(event.cursor);
      }
    }
    source.cut();
    await writing;
    expect(events).toBeGreaterThan(100);
    expect(seqs).toEqual(loggedAfter(cursor));
    expect(byId(rows.values())).toEqual(byId((await readSnapshot()).rows.values()));
    const fresh = database
      .prepare<[], { id: number; title: string }>('SELECT "id", "title" FROM "Todo" ORDER BY "id"')
      .all();
    expect(byId(rows.values()).map(({ id, title }) => ({ id: numberOf(id), title }))).toEqual(fresh);
    database.exec(`DELETE FROM "Todo" WHERE "title" = 'the end'`);
  });
});
