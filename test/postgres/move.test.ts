import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { migratePostgres } from '../../src/database/migrate-postgres.ts';
import { privateDatabase } from '../kit/app.ts';
import { numberOf } from '../kit/ids.ts';
import { Person } from '../kit/person.ts';
import { createDatabase, type PostgresDatabase, runSql } from '../kit/postgres.ts';
import { describeWith } from '../kit/present.ts';
import { runCommand, startProcess } from '../kit/process.ts';
import { SocketClient } from '../kit/socket.ts';

/** For four starts of the program on a busy machine. */
const TIMEOUT_MS = 90_000;
const SECRET_KEY = '9f1c27b0e84d635a7210fbce4496d83b';
const CHANGED = 'subscription ($after: String) { todoChanged(after: $after) { action cursor id todo { title } } }';
const MAKE = 'mutation ($title: String!) { createTodo(input: { title: $title }) { ... on Todo { id } } }';
const CHANGE_PASSWORD = `mutation {
  changePassword(input: { currentPassword: "a good long password", newPassword: "a good long password" }) { __typename }
}`;
const SIGN_UP = 'mutation { signUp(input: { username: "mover", password: "a good long password" }) { __typename } }';

describeWith('postgres', 'moving an installation to PostgreSQL', () => {
  const file = privateDatabase();
  let target: PostgresDatabase;
  beforeAll(async () => {
    target = await createDatabase();
  });
  afterAll(async () => {
    await target.remove();
    file.remove();
  });
  const sqlite = { DATABASE_URL: `file:${file.path}`, SECRET_KEY };

  it('should let a subscriber go on with its old cursor, credential and ids, and miss nothing', {
    timeout: TIMEOUT_MS,
  }, async () => {
    await runCommand(['seed', '3000'], sqlite);
    const old = await startProcess(sqlite);
    const visitor = new Person(old.url, null, '');
    await visitor.gql(SIGN_UP);
    await (await visitor.signIn('mover', 'a good long password')).gql(CHANGE_PASSWORD);
    const ann = await visitor.signIn('mover', 'a good long password');
    const beforeAnything = (await ann.gql('{ cursor }')).cursor;
    const client = await SocketClient.open(old.url, ann.authorization);
    const stream = client.start(CHANGED, { after: beforeAnything });
    await ann.gql(MAKE, { title: 'seen on SQLite' });
    const { cursor } = await stream.event();
    await ann.gql(MAKE, { title: 'missed on SQLite' });
    const gone = (await ann.gql(MAKE, { title: 'gone' })).createTodo.id;
    await ann.gql('mutation ($id: ID!) { deleteTodo(id: $id) { __typename } }', { id: gone });

    // The reader stays connected while everything is copied.
    const moved = await runCommand(['move', '--from', sqlite.DATABASE_URL, '--to', target.url], sqlite);
    expect(moved, moved.output).toMatchObject({ code: 0 });
    expect(moved.output).toMatch(/Todo: \d+ of \d+/);
    expect((await ann.ask(MAKE, { title: 'too late' })).errors?.[0]?.extensions?.['code']).toBe('INTERNAL');
    expect((await ann.gql('{ todos { totalCount } }')).todos.totalCount).toBeGreaterThan(0);
    await old.stop();

    const next = await startProcess({ DATABASE_URL: target.url, SECRET_KEY });
    expect(await runSql(target.url, 'SELECT "action" FROM "AuditEntry"')).toEqual([{ action: 'PASSWORD_CHANGED' }]);
    const same = new Person(next.url, ann.authorization, 'ann');
    const { id } = (await same.gql(MAKE, { title: 'made on PostgreSQL' })).createTodo;
    expect(numberOf(id)).toBeGreaterThan(numberOf(gone));
    for (const [after, expected] of [
      [cursor, ['missed on SQLite', 'gone', null, 'made on PostgreSQL']],
      [beforeAnything, ['seen on SQLite', 'missed on SQLite', 'gone', null, 'made on PostgreSQL']],
    ] as const) {
      const resumed = await SocketClient.open(next.url, ann.authorization);
      const events = resumed.start(CHANGED, { after });
      for (const title of expected) {
        expect((await events.event()).todo?.title ?? null).toBe(title);
      }
      await resumed.close();
    }
    await next.stop();
  });

  it('should refuse a target that is not empty, and leave it and the source as they are', async () => {
    const other = privateDatabase();
    const taken = await createDatabase();
    await migratePostgres(taken.url);
    await runSql(taken.url, `INSERT INTO "Todo" ("title") VALUES ('theirs')`);
    const refused = await runCommand(['move', '--from', `file:${other.path}`, '--to', taken.url], sqlite);
    expect(refused.code).toBe(1);
    expect(refused.output).toContain('The target is not empty');
    expect(await runSql(taken.url, 'SELECT "title" FROM "Todo"')).toEqual([{ title: 'theirs' }]);
    await taken.remove();
    const source = new Sqlite(other.path);
    expect(() => source.exec(`INSERT INTO "Todo" ("title") VALUES ('still mine')`)).not.toThrow();
    source.close();
    other.remove();
  });

  it('should explain how it is called', async () => {
    const { code, output } = await runCommand(['move', '--from', 'nowhere'], sqlite);
    expect(code).toBe(1);
    expect(output).toContain('npm run move -- --from file:');
  });
});
