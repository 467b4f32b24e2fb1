import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { Person } from '../kit/person.ts';
import { createDatabase, type PostgresDatabase, runSql } from '../kit/postgres.ts';
import { describeWith } from '../kit/present.ts';
import { runCommand, type ServerProcess, startProcess } from '../kit/process.ts';
import { SocketClient } from '../kit/socket.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The `dist/main.js` of an earlier release, to be compared with the current build; by default, the current build is compared with a later one. */
const EARLIER_MAIN = process.env['TIDINGS_TEST_EARLIER_MAIN'];
const MIGRATION = '29990101000000_expand_todo_color';
const SECRET_KEY = '9f1c27b0e84d635a7210fbce4496d83b';
/** The number of todos that each writer creates in each part of the test. */
const WRITES = 15;
const DEADLINE_MS = 20_000;

/** Makes a later release: the current build with an additive migration, whose column its triggers log. */
function makeLaterRelease(): { main: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-later-'));
  for (const name of ['dist', 'prisma', 'public', 'package.json']) {
    cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const migration = join(folder, 'prisma/postgres/migrations', MIGRATION);
  mkdirSync(migration);
  writeFileSync(
    join(migration, 'migration.sql'),
    `ALTER TABLE "Todo" ADD COLUMN "color" TEXT NOT NULL DEFAULT 'none'; CREATE TABLE "Palette" ("id" SERIAL PRIMARY KEY);`,
  );
  const triggers = join(folder, 'dist/changes/postgres-triggers.js');
  const source = readFileSync(triggers, 'utf8');
  const changed = source.replace(
    'const members = columns.map(',
    `const members = (row === 'NEW' && columns.includes('completed') ? [...columns, 'color'] : columns).map(`,
  );
  expect(changed).not.toBe(source);
  writeFileSync(triggers, changed);
  return { main: join(folder, 'dist/main.js'), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A client that subscribes to all todos, and resumes on any node after the last event that it received. */
class Subscriber {
  readonly received: string[] = [];
  #cursor: string;
  #client: SocketClient | null = null;

  constructor(cursor: string) {
    this.#cursor = cursor;
  }

  async connect(node: ServerProcess): Promise<void> {
    this.close();
    const client = await SocketClient.open(node.url, null);
    const stream = client.start(
      'subscription ($after: String) { todoChanged(after: $after) { action cursor todo { title } } }',
      { after: this.#cursor },
    );
    stream.onResult = ({ data }) => {
      const { action, cursor, todo } = data.todoChanged;
      this.#cursor = cursor;
      this.received.push(`${action} ${todo.title}`);
    };
    this.#client = client;
  }

  close(): void {
    this.#client?.raw.terminate();
  }
}

/** A client that creates todos without a pause, and remembers those that were acknowledged. */
class Writer {
  readonly acknowledged: string[] = [];
  readonly #name: string;
  #isStopped = false;
  #running: Promise<void> = Promise.resolve();
  #count = 0;

  constructor(name: string) {
    this.#name = name;
  }

  start(node: ServerProcess): void {
    const visitor = new Person(node.url, null, '');
    this.#isStopped = false;
    this.#running = (async () => {
      while (!this.#isStopped) {
        this.#count += 1;
        const title = `${this.#name} ${this.#count}`;
        const query = 'mutation ($title: String!) { createTodo(input: { title: $title }) { __typename } }';
        // A node that is killed answers nothing; whether the todo exists is then open.
        const answer = await visitor.ask(query, { title }).catch(() => null);
        if (answer === null) {
          return;
        }
        expect(answer.errors).toBeUndefined();
        this.acknowledged.push(title);
      }
    })();
  }

  /** Waits until so many further todos were acknowledged. */
  async writes(count: number): Promise<void> {
    const target = this.acknowledged.length + count;
    await vi.waitFor(() => expect(this.acknowledged.length).toBeGreaterThanOrEqual(target), DEADLINE_MS);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }
}

describeWith('postgres', 'two releases on one PostgreSQL', () => {
  let database: PostgresDatabase;
  const later = EARLIER_MAIN === undefined ? makeLaterRelease() : null;
  const earlierEnv = (): Record<string, string> => ({
    DATABASE_URL: database.url,
    SECRET_KEY,
    ...(EARLIER_MAIN !== undefined && { TIDINGS_TEST_MAIN: EARLIER_MAIN }),
  });
  const laterEnv = (): Record<string, string> => ({
    DATABASE_URL: database.url,
    SECRET_KEY,
    ...(later && { TIDINGS_TEST_MAIN: later.main }),
  });
  const nodes: ServerProcess[] = [];
  const start = async (env: Record<string, string>): Promise<ServerProcess> => {
    const node = await startProcess(env);
    nodes.push(node);
    return node;
  };

  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop('SIGKILL')));
    later?.remove();
    await database.remove();
  });

  it('should lose nothing while the second one replaces the first one', { timeout: 90_000 }, async () => {
    const earlier = await start(earlierEnv());
    const { cursor } = await new Person(earlier.url, null, '').gql('{ cursor }');
    const subscribers = [new Subscriber(cursor), new Subscriber(cursor), new Subscriber(cursor)] as const;
    const [leaving, staying, returning] = subscribers;
    const writers = [new Writer('earlier'), new Writer('later')] as const;
    await Promise.all([leaving.connect(earlier), returning.connect(earlier)]);
    writers[0].start(earlier);
    await writers[0].writes(WRITES);

    // It migrates while the earlier release writes.
    const second = await start(laterEnv());
    await staying.connect(second);
    writers[1].start(second);
    await Promise.all(writers.map((writer) => writer.writes(WRITES)));

    await earlier.stop('SIGKILL');
    await Promise.all([leaving.connect(second), returning.connect(second)]);
    await writers[1].writes(WRITES);

    // The supervisor starts the earlier release again, before it is replaced.
    const again = await start(earlierEnv());
    await returning.connect(again);
    await writers[0].stop();
    writers[0].start(again);
    await Promise.all(writers.map((writer) => writer.writes(WRITES)));
    await Promise.all(writers.map((writer) => writer.stop()));

    const rows = await runSql(database.url, 'SELECT "title" FROM "Todo"');
    const written = rows.map(({ title }) => title);
    expect(written).toEqual(expect.arrayContaining(writers.flatMap(({ acknowledged }) => acknowledged)));
    for (const { received } of subscribers) {
      await vi.waitFor(() => expect(received.length).toBeGreaterThanOrEqual(written.length), DEADLINE_MS);
      expect([...received].sort()).toEqual(written.map((title) => `CREATED ${title}`).sort());
      expect(received).toEqual(staying.received);
    }
    for (const subscriber of subscribers) {
      subscriber.close();
    }
  });

  it.runIf(later)('should leave the triggers of the later one to it', async () => {
    const checks = [laterEnv(), earlierEnv()].map((env) => runCommand(['migrate', '--check'], env));
    expect(await Promise.all(checks)).toMatchObject([{ code: 0 }, { code: 0 }]);
    const [change] = await runSql(database.url, `SELECT "after" FROM "Change" ORDER BY "seq" DESC LIMIT 1`);
    expect(JSON.parse(String(change?.['after']))).toMatchObject({ color: 'none' });
  });
});
