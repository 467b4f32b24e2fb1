import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import { afterEach, describe, expect, it } from 'vitest';
import { privateDatabase, startApp } from './kit/app.ts';
import { Person } from './kit/person.ts';
import { ON_POSTGRES } from './kit/postgres.ts';
import { type ServerProcess, startProcess } from './kit/process.ts';

const CREATE = 'mutation ($title: String!) { createTodo(input: { title: $title }) { ... on Todo { id } } }';
const WRITERS = 8;

const database = privateDatabase();
const running: ServerProcess[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop('SIGKILL')));
});

async function start(path: string): Promise<{ server: ServerProcess; anyone: Person }> {
  const server = await startProcess({ DATABASE_URL: `file:${path}` });
  running.push(server);
  return { server, anyone: new Person(server.url, null, '') };
}

/** Reads something straight out of the file. */
function readFile<Row>(path: string, sql: string): Row[] {
  const file = new Sqlite(path, { readonly: true });
  try {
    return file.prepare<[], Row>(sql).all();
  } finally {
    file.close();
  }
}

/** Writes from several sides until the server is gone; gives the titles of the acknowledged ones. */
async function writeUntilItDies(anyone: Person, round: number): Promise<string[]> {
  const acknowledged: string[] = [];
  const write = async (writer: number): Promise<void> => {
    for (let count = 0; ; count += 1) {
      const title = `${round}-${writer}-${count}`;
      const answer = await anyone.ask(CREATE, { title }).catch(() => null);
      if (!answer) {
        return;
      }
      if (answer.data?.createTodo?.id) {
        acknowledged.push(title);
      }
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
  return acknowledged;
}

describe('a server that is killed while it writes', () => {
  it('should have kept every acknowledged write, and a sound database', { timeout: 120_000 }, async () => {
    const acknowledged: string[] = [];
    for (let round = 0; round < 3; round += 1) {
      const { server, anyone } = await start(database.path);
      const writing = writeUntilItDies(anyone, round);
      await pause(400);
      await server.stop('SIGKILL');
      acknowledged.push(...(await writing));
    }
    const { anyone } = await start(database.path);
    expect((await anyone.gql('{ todos { totalCount } }')).todos.totalCount).toBeGreaterThanOrEqual(acknowledged.length);
    const kept = new Set(
      readFile<{ title: string }>(database.path, 'SELECT "title" FROM "Todo"').map(({ title }) => title),
    );
    expect(acknowledged.length).toBeGreaterThan(0);
    expect(acknowledged.filter((title) => !kept.has(title))).toEqual([]);
    expect(readFile(database.path, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
  });
});

describe('two servers on one file', () => {
  it('should both start at once where there is no file yet, and see each other’s writes', async () => {
    const path = `${database.folder}/new/tidings.db`;
    const [left, right] = await Promise.all([start(path), start(path)]);
    await left.anyone.gql(CREATE, { title: 'left' });
    await right.anyone.gql(CREATE, { title: 'right' });
    for (const { anyone } of [left, right]) {
      const { todos } = await anyone.gql('{ todos { nodes { title } } }');
      expect(todos.nodes).toEqual([{ title: 'left' }, { title: 'right' }]);
    }
    const applied = readFile<{ name: string }>(path, 'SELECT "migration_name" AS "name" FROM "_prisma_migrations"');
    expect(new Set(applied.map(({ name }) => name)).size).toBe(applied.length);
    expect(existsSync(`${path}.secret`)).toBe(true);
  });

  it('should lose nothing of what both write at the same time', async () => {
    const path = `${database.folder}/shared.db`;
    const [left, right] = [await start(path), await start(path)];
    const titles = ['left', 'right'].flatMap((side) => Array.from({ length: 100 }, (_, index) => `${side}-${index}`));
    await Promise.all(
      titles.map(async (title, index) => {
        const { anyone } = index % 2 === 0 ? left : right;
        const { createTodo } = await anyone.gql(CREATE, { title });
        expect(createTodo.id).toBeDefined();
      }),
    );
    const kept = readFile<{ title: string }>(path, 'SELECT "title" FROM "Todo"').map(({ title }) => title);
    expect(kept.sort()).toEqual(titles.sort());
  });
});

describe('a transaction that fails', () => {
  it('should take nothing of other requests along', async () => {
    const app = await startApp();
    const ann = await app.signUp('ann');
    await app.signUp('ben');
    const { uri } = (await ann.gql('mutation { createChatSession { uri } }')).createChatSession;
    const add =
      'mutation ($uri: String!, $names: [String!]!) { addChatMembers(uri: $uri, usernames: $names) { __typename } }';
    const failing = Array.from({ length: 30 }, () => ann.gql(add, { uri, names: ['ben', 'nobody'] }));
    const bulk = 'mutation ($ids: [ID!]!) { updateTodos(ids: $ids, input: { completed: true }) { __typename } }';
    const writing = Array.from({ length: 60 }, async (_, index) => {
      const { createTodo } = await ann.gql(CREATE, { title: `kept ${index}` });
      await ann.gql(bulk, { ids: [createTodo.id, '999999'] });
      return createTodo.id;
    });
    const answers = await Promise.all(failing);
    const ids = await Promise.all(writing);
    expect(answers.map((answer) => answer.addChatMembers.__typename)).toEqual(answers.map(() => 'ValidationError'));
    const { todos } = await ann.gql('{ todos(first: 100) { nodes { id } } }');
    expect(todos.nodes.map(({ id }: { id: string }) => id).sort()).toEqual(ids.sort());
    await app.close();
  });
});

describe.skipIf(ON_POSTGRES)('writes that come at once', () => {
  it('should fail one by one', async () => {
    const app = await startApp();
    try {
      await app.sql(
        `CREATE TRIGGER "refusal" BEFORE INSERT ON "Todo" WHEN NEW."title" LIKE 'refused%' BEGIN SELECT RAISE(ABORT, 'refused'); END`,
      );
      const titles = Array.from({ length: 300 }, (_, index) =>
        index % 3 === 0 ? `refused ${index}` : `kept ${index}`,
      );
      const answers = await Promise.all(titles.map((title) => app.anonymous.ask(CREATE, { title })));

      const outcomes = answers.map(({ data, errors }) =>
        data?.createTodo?.id ? 'kept' : errors?.[0]?.extensions?.['code'],
      );
      expect(outcomes).toEqual(titles.map((title) => (title.startsWith('kept') ? 'kept' : 'INTERNAL')));
      const rows = await app.sql('SELECT "title" FROM "Todo" ORDER BY "title"');
      expect(rows.map(({ title }) => title)).toEqual(titles.filter((title) => title.startsWith('kept')).sort());
    } finally {
      await app.close();
    }
  });
});
