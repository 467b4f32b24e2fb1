import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { createApp } from '../src/app.ts';
import { parseConfig } from '../src/config/config.ts';
import { privateDatabase } from './kit/app.ts';
import { Person } from './kit/person.ts';
import { createDatabase, runSql } from './kit/postgres.ts';
import { describeWith } from './kit/present.ts';
import { type Finished, freePort, runCommand, type ServerProcess, startProcess } from './kit/process.ts';

const SECRET_KEY = randomBytes(32).toString('hex');
const CREATE = 'mutation { createTodo(input: { title: "tea" }) { ... on Todo { title } } }';
/** How long a start that fails may take on a loaded machine, in milliseconds; alone it takes about one second. */
const DEADLINE_MS = 20_000;
/** For tests that start several processes, one after the other, in milliseconds. */
const TIMEOUT_MS = 120_000;
/** A URL of a RabbitMQ that refuses connections; the start does not wait for it. */
const REFUSING_BROKER = 'amqp://127.0.0.1:1';

const database = privateDatabase();
afterAll(database.remove);
const path = (name: string): string => `${database.folder}/${name}`;

const running: ServerProcess[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop('SIGKILL')));
});

async function start(env: Record<string, string>): Promise<ServerProcess> {
  const server = await startProcess(env);
  running.push(server);
  return server;
}

/** Runs a start that fails to its end. Only fatal lines are logged: the reason is all that remains. */
const failToStart = (env: Record<string, string>): Promise<Finished> =>
  runCommand(['serve'], { HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'fatal', ...env });

/** Expects that a process can serve the database now, writes included. */
async function expectUsable(env: Record<string, string>): Promise<void> {
  const server = await start(env);
  expect(await new Person(server.url, null, '').gql(CREATE)).toEqual({ createTodo: { title: 'tea' } });
  expect(await server.stop()).toMatchObject({ code: 0 });
}

/** Listens on a free port as another program does: it accepts connections and never answers. */
async function listenSilently(): Promise<{ port: number; close: () => Promise<void> }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) {
        socket.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Cause {
  readonly env: () => Record<string, string>;
  /** What the operator has to read, to know what to change. */
  readonly named: () => readonly string[];
}

const CAUSES: Readonly<Record<string, Cause>> = {
  'a database that is a folder': {
    env: () => {
      mkdirSync(path('folder.db'));
      return { DATABASE_URL: `file:${path('folder.db')}` };
    },
    named: () => [path('folder.db')],
  },
  'a database that is another file': {
    env: () => {
      writeFileSync(path('other.db'), 'These are a few words, and no database at all. '.repeat(100));
      return { DATABASE_URL: `file:${path('other.db')}` };
    },
    named: () => [path('other.db'), 'not a database'],
  },
  'a database in a folder that cannot be made': {
    env: () => {
      writeFileSync(path('file'), '');
      return { DATABASE_URL: `file:${path('file/tidings.db')}` };
    },
    named: () => [path('file')],
  },
  'a database of a later version': {
    env: () => {
      const { path: file } = database;
      const later = new Sqlite(file);
      later.exec(
        `INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name") VALUES ('later', 'later', '29990101000000_later')`,
      );
      later.close();
      return { DATABASE_URL: `file:${file}` };
    },
    named: () => ['29990101000000_later', 'this version of Tidings does not know'],
  },
  'a signing secret that is too short': {
    env: () => {
      writeFileSync(path('short.db.secret'), 'short');
      return { DATABASE_URL: `file:${path('short.db')}` };
    },
    named: () => [path('short.db.secret'), 'Remove the file'],
  },
  'a PostgreSQL that refuses connections': {
    env: () => ({ DATABASE_URL: 'postgres://ann:hidden-word@127.0.0.1:1/tidings', SECRET_KEY }),
    named: () => ['127.0.0.1:1'],
  },
  'a host of PostgreSQL that is unknown': {
    env: () => ({ DATABASE_URL: 'postgres://ann:hidden-word@postgres.invalid/tidings', SECRET_KEY }),
    named: () => ['postgres.invalid'],
  },
};

/** A start that fails is run once; the tests look at how it ended. */
function describeFailure(name: string, { env, named }: Cause): void {
  describe(`a start with ${name}`, () => {
    let finished: Finished;
    beforeAll(async () => {
      finished = await failToStart(env());
    });

    it('should end with a failure', () => {
      expect(finished.code).toBeGreaterThan(0);
    });

    it('should say why in one message, without lines of code or passwords', () => {
      expectReason(finished, named());
    });
  });
}

function expectReason({ output }: Finished, named: readonly string[]): void {
  for (const word of named) {
    expect(output).toContain(word);
  }
  expect(output).not.toMatch(/^\s+at /m);
  expect(output).not.toContain('hidden-word');
  expect(output.trim().split('\n').length).toBeLessThanOrEqual(2);
}

for (const [name, cause] of Object.entries(CAUSES)) {
  describeFailure(name, cause);
}

describeWith('postgres', 'a start with a database that PostgreSQL does not have', (url) => {
  const missing = new URL(url);
  missing.pathname = '/tidings_test_missing';
  describeFailure('it', {
    env: () => ({ DATABASE_URL: missing.href, SECRET_KEY }),
    named: () => ['tidings_test_missing', 'does not exist'],
  });
});

describe('a start with a PostgreSQL that does not answer', { timeout: TIMEOUT_MS }, () => {
  it('should end with a failure after DATABASE_TIMEOUT_MS', async () => {
    const silent = await listenSilently();
    const DATABASE_URL = `postgres://postgres@127.0.0.1:${silent.port}/tidings`;
    const ending = failToStart({ DATABASE_URL, SECRET_KEY, DATABASE_TIMEOUT_MS: '500' });
    const inTime = await Promise.race([ending, sleep(DEADLINE_MS, null, { ref: false })]);
    // A process that waits still ends now.
    await silent.close();
    await ending;
    expect(inTime?.code).toBeGreaterThan(0);
  });
});

describe('a start on a port that is taken', { timeout: TIMEOUT_MS }, () => {
  it('should end with a failure that names the port', async () => {
    const other = await listenSilently();
    const finished = await failToStart({ PORT: String(other.port), DATABASE_URL: `file:${path('reason.db')}` });
    await other.close();
    expect(finished.code).toBeGreaterThan(0);
    expectReason(finished, [String(other.port)]);
  });

  it.each([
    ['one process', {}],
    ['several processes', { WEB_CONCURRENCY: '2' }],
    ['a broker that is tried again and again', { AMQP_URL: REFUSING_BROKER }],
  ])('should leave a database to the next start, of %s', async (name, env) => {
    const file = path(`next-${name.length}.db`);
    const DATABASE_URL = `file:${file}`;
    const other = await listenSilently();
    const { code } = await failToStart({ ...env, PORT: String(other.port), DATABASE_URL });
    await other.close();
    expect(code).toBeGreaterThan(0);
    if (!('WEB_CONCURRENCY' in env)) {
      // The last connection that is closed removes it; workers are ended wherever they are.
      expect(existsSync(`${file}-wal`)).toBe(false);
    }
    await expectUsable({ ...env, PORT: String(other.port), DATABASE_URL });
  });

  it('should not disturb the server that has it, nor their database', async () => {
    const PORT = String(await freePort());
    const env = { PORT, DATABASE_URL: `file:${path('shared.db')}` };
    const first = await start(env);
    const anyone = new Person(first.url, null, '');
    expect((await failToStart(env)).code).toBeGreaterThan(0);
    expect(await anyone.gql(CREATE)).toEqual({ createTodo: { title: 'tea' } });
    expect(await first.stop()).toMatchObject({ code: 0 });
  });
});

describeWith('postgres', 'a start over PostgreSQL on a port that is taken', () => {
  it('should leave no connection behind, and the database to the next start', async () => {
    const { url, remove } = await createDatabase(inject('templateName') || undefined);
    const other = await listenSilently();
    const env = { DATABASE_URL: url, SECRET_KEY, PORT: String(other.port) };
    const { code } = await failToStart(env);
    await other.close();
    expect(code).toBeGreaterThan(0);
    const connections = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`;
    expect(await runSql(url, connections)).toEqual([]);
    await expectUsable(env);
    await remove();
  });
});

describe('a start with a broker that refuses connections', () => {
  it('should close everything when its last step fails', async () => {
    const { path: file, remove } = privateDatabase();
    const shell = new Sqlite(file);
    shell.exec(`CREATE TRIGGER "refuse" BEFORE INSERT ON "LogPosition" BEGIN SELECT RAISE(ABORT, 'refused'); END`);
    shell.close();
    const { code } = await failToStart({ AMQP_URL: REFUSING_BROKER, DATABASE_URL: `file:${file}` });
    expect(code).toBeGreaterThan(0);
    expect(existsSync(`${file}-wal`)).toBe(false);
    remove();
  });

  it('should succeed: the broker may come later', async () => {
    await expectUsable({ AMQP_URL: REFUSING_BROKER, DATABASE_URL: `file:${path('broker.db')}` });
  });
});

describe('a start that is stopped', () => {
  it('should leave no listener, also when it was about to listen', async () => {
    const settings = { DATABASE_URL: `file:${path('stopped.db')}`, PORT: '0', HOST: '127.0.0.1', LOG_LEVEL: 'silent' };
    const app = await createApp(parseConfig(settings));
    const opening = app.listen();
    await app.close();
    await expect(fetch(`${await opening}/health`)).rejects.toThrow();
  });
});
