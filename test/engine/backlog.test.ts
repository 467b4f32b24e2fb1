import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { ON_POSTGRES } from '../kit/postgres.ts';
import { type Operation, SocketClient } from '../kit/socket.ts';

const TODOS = 'subscription ($after: String) { todoChanged(after: $after) { action cursor todo { title } } }';
const NOW = ON_POSTGRES ? 'now()' : `'2026-01-01T00:00:00.000+00:00'`;
const TIMEOUT_MS = 90_000;

let app: TestApp;
let ann: Person;
let ben: Person;
const clients: SocketClient[] = [];

beforeAll(async () => {
  app = await startApp({
    METRICS_PORT: '0',
    DELIVERY_MAX_BYTES: String(2 * 1024 * 1024),
    STREAM_MAX_EVENTS: '100000',
    STREAM_MAX_BYTES: '100000000',
  });
  ann = await app.signUp('ann');
  ben = await app.signUp('ben');
});
afterAll(() => app.close());
afterEach(() => {
  for (const client of clients.splice(0)) {
    client.raw.terminate();
  }
});

async function connect({ authorization }: Person): Promise<SocketClient> {
  const client = await SocketClient.open(app.url, authorization);
  clients.push(client);
  return client;
}

const idOf = async ({ username }: Person): Promise<number> =>
  Number((await app.sql('SELECT "id" FROM "User" WHERE "username" = ?', username))[0]?.['id']);

/** Writes so many todos of somebody in one statement. */
async function insertTodos(owner: number | null, count: number, description = ''): Promise<void> {
  const numbers = ON_POSTGRES
    ? `SELECT generate_series(1, ${count})`
    : `SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count}`;
  await app.sql(
    `WITH ${ON_POSTGRES ? '' : 'RECURSIVE'} n(i) AS (${numbers})
     INSERT INTO "Todo" ("title", "description", "ownerId", "updatedAt") SELECT 'todo ' || i, '${description}', ${owner ?? 'NULL'}, ${NOW} FROM n`,
  );
}

/** The end of the log, once the feed has come to it. */
async function endOfLog(): Promise<string> {
  const { feed } = app.app.services;
  const head = await feed.refresh();
  await expect.poll(() => feed.position.seq, { timeout: 30_000 }).toBeGreaterThanOrEqual(head.seq);
  return feed.encodePosition(head);
}

async function metric(name: string): Promise<number> {
  const text = await app.metrics();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

async function titles(stream: Operation, count: number): Promise<string[]> {
  const read: string[] = [];
  while (read.length < count) {
    read.push((await stream.event(30_000)).todo.title);
  }
  return read;
}

describe('a subscription that resumes', () => {
  it('should read the changes of its scopes and no others', { timeout: TIMEOUT_MS }, async () => {
    const after = await endOfLog();
    await insertTodos(await idOf(ben), 20_000);
    await insertTodos(await idOf(ann), 50);
    await insertTodos(await idOf(ben), 20_000);
    await endOfLog();
    const before = await metric('tidings_replay_batches_total');
    const stream = (await connect(ann)).start(TODOS, { after });
    expect(await titles(stream, 50)).toEqual(Array.from({ length: 50 }, (_, index) => `todo ${index + 1}`));
    expect((await metric('tidings_replay_batches_total')) - before).toBeLessThanOrEqual(2);
  });

  it('should share the reading and the results with the others that missed the same', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const after = await endOfLog();
    await insertTodos(null, 1000);
    await endOfLog();
    const executions = await metric('tidings_executions_total');
    const shared = await metric('tidings_replay_batches_shared_total');
    const streams = await Promise.all(
      Array.from({ length: 20 }, async () => (await connect(app.anonymous)).start(TODOS, { after })),
    );
    for (const stream of streams) {
      expect(await titles(stream, 1000)).toHaveLength(1000);
    }
    expect((await metric('tidings_executions_total')) - executions).toBeLessThan(2 * 1000);
    expect((await metric('tidings_replay_batches_shared_total')) - shared).toBeGreaterThan(20);
  });

  it('should leave others their turns', { timeout: TIMEOUT_MS }, async () => {
    const after = await endOfLog();
    await insertTodos(null, 20_000);
    await endOfLog();
    const live = (await connect(ann)).start('subscription { noteChanged { note { title } } }');
    const client = await connect(app.anonymous);
    const streams = Array.from({ length: 20 }, () => client.start(TODOS, { after }));
    await streams[0]?.event();
    // All of them have most of it before them still, and a query and a live event come between.
    await ann.gql('mutation { createNote(input: { title: "between", description: "", priority: 1 }) { __typename } }');
    expect((await live.event()).note.title).toBe('between');
    const received = streams.reduce((sum, { results }) => sum + results.drain().length, 0);
    expect(received).toBeLessThan(20 * 20_000);
  });
});

describe('readers that do not read', () => {
  it('should not make the process buffer more than it may, and get everything when they do', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const large = Array.from({ length: 20 }, (_, index) => `d${index}: description`).join(' ');
    const query = `subscription { todoChanged { todo { title ${large} } } }`;
    const id = await idOf(ann);
    const paused = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const client = await connect(ann);
        return { client, stream: client.start(query) };
      }),
    );
    await app.subscribed(paused.length);
    for (const { client } of paused) {
      client.raw.socket.pause();
    }
    let most = 0;
    for (let part = 0; part < 40; part += 1) {
      await insertTodos(id, 20, 'x'.repeat(2000));
      await endOfLog();
      most = Math.max(most, await metric('tidings_delivery_waiting_bytes'));
      // Each reads a little now and then, and so is not too slow.
      if (part % 10 === 9) {
        for (const { client } of paused) {
          client.raw.socket.resume();
        }
        await new Promise((resolve) => setTimeout(resolve, 300));
        for (const { client } of paused) {
          client.raw.socket.pause();
        }
      }
    }
    expect(most).toBeLessThan(4 * 1024 * 1024);
    for (const { client, stream } of paused) {
      client.raw.socket.resume();
      const expected = Array.from({ length: 800 }, (_, index) => `todo ${(index % 20) + 1}`);
      expect(await titles(stream, 800)).toEqual(expected);
    }
    await expect.poll(() => metric('tidings_delivery_waiting_bytes')).toBe(0);
  });
});

describe('a credential that ends behind a bulk write', () => {
  it('should close its socket before all of that is delivered', { timeout: TIMEOUT_MS }, async () => {
    const ROWS = 30_000;
    const cleo = await app.signUp(`cleo${Math.random().toString(36).slice(2)}`);
    await insertTodos(await idOf(cleo), ROWS);
    await endOfLog();
    const client = await connect(cleo);
    const stream = client.start('subscription { todoChanged { cursor } }');
    await app.subscribed(1);
    await app.sql(`UPDATE "Todo" SET "title" = 'all'`);
    await app.sql('DELETE FROM "Session" WHERE "userId" = ?', await idOf(cleo));
    expect(await client.closed).toMatchObject({ code: 4403 });
    expect(stream.results.drain().length).toBeLessThan(ROWS / 2);
  });
});
