import Sqlite from 'better-sqlite3';
import pg from 'pg';
import { privateDatabase } from '../kit/app.ts';
import { numberOf } from '../kit/ids.ts';
import { Person } from '../kit/person.ts';
import { runSql } from '../kit/postgres.ts';
import { freePort, type ServerProcess, startProcess } from '../kit/process.ts';
import { startOwnServer } from '../postgres/server.ts';

const PASSWORD = 'a good long password';
const SECRET_KEY = '9f1c27b0e84d635a7210fbce4496d83b';
/** Users with an account; the last one is staff. */
export const NAMES = ['ann', 'ben', 'cleo', 'dora', 'eve', 'root'] as const;

/** Somebody who takes part: what an independent observer knows of their rights. */
export interface Actor {
  readonly name: string;
  /** Null for a caller without credentials. */
  readonly id: number | null;
  readonly isStaff: boolean;
  readonly authorization: string | null;
}

export interface Storage {
  readonly env: Readonly<Record<string, string>>;
  readonly sql: (statement: string) => Promise<readonly Record<string, unknown>[]>;
  /** Runs a statement in a transaction that is undone. */
  readonly sqlUndone: (statement: string) => Promise<void>;
  /** Runs a statement in a transaction that stays open for a while, where others can write meanwhile. */
  readonly sqlSlowly: (statement: string, restMs: number) => Promise<void>;
  /** Stops the database and starts it again, where it is a server. */
  readonly restart: ((mode: 'fast' | 'immediate') => Promise<void>) | null;
  readonly remove: () => Promise<void>;
}

export function sqliteStorage(): Storage {
  const { path, remove } = privateDatabase();
  const withFile = <Result>(work: (file: Sqlite.Database) => Result): Result => {
    const file = new Sqlite(path, { timeout: 10_000 });
    try {
      file.pragma('foreign_keys = ON');
      return work(file);
    } finally {
      file.close();
    }
  };
  return {
    env: { DATABASE_URL: `file:${path}` },
    sql: async (statement) =>
      withFile((file) => {
        const prepared = file.prepare<[], Record<string, unknown>>(statement);
        if (prepared.reader) {
          return prepared.all();
        }
        prepared.run();
        return [];
      }),
    sqlUndone: async (statement) => withFile((file) => void file.exec(`BEGIN IMMEDIATE; ${statement}; ROLLBACK`)),
    sqlSlowly: async (statement) => withFile((file) => void file.exec(statement)),
    restart: null,
    remove: async () => remove(),
  };
}

/** Two that wait for each other's rows, of which one is undone, and what a server does that stops: as happens to any program. */
const UNDONE: readonly (string | undefined)[] = ['40P01', '57P01', '57P02', '57P03'];

/** How the driver says that there is no connection, or none any more: while a statement runs, and before it is sent. */
const CUT = /^(Connection terminated|Client has encountered a connection error)|ECONNREFUSED|ECONNRESET|EPIPE/;

/** A PostgreSQL server of its own, which can be stopped. */
export async function postgresStorage(): Promise<Storage> {
  const server = await startOwnServer();
  const { url } = server;
  const tolerantly = async (statement: string): Promise<Record<string, unknown>[]> => {
    try {
      return await runSql(url, statement);
    } catch (error) {
      const isCut = error instanceof Error && CUT.test(error.message);
      if (isCut || (error instanceof pg.DatabaseError && UNDONE.includes(error.code))) {
        return [];
      }
      throw error;
    }
  };
  return {
    env: { DATABASE_URL: url },
    sql: tolerantly,
    sqlUndone: async (statement) => {
      await tolerantly(`BEGIN; ${statement}; ROLLBACK`);
    },
    sqlSlowly: async (statement, restMs) => {
      await tolerantly(`BEGIN; ${statement}; SELECT pg_sleep(${restMs / 1000}); COMMIT`);
    },
    restart: server.restart,
    remove: server.remove,
  };
}

/** Servers as processes, on one database, with people who have accounts there. */
export class World {
  readonly actors: readonly Actor[];
  readonly urls: readonly string[];
  readonly sql: Storage['sql'];
  readonly sqlUndone: Storage['sqlUndone'];
  readonly sqlSlowly: Storage['sqlSlowly'];
  readonly restartDatabase: Storage['restart'];
  readonly #storage: Storage;
  readonly #ports: readonly number[];
  readonly #nodes: (ServerProcess | null)[];

  private constructor(storage: Storage, ports: readonly number[], nodes: ServerProcess[], actors: readonly Actor[]) {
    this.#storage = storage;
    this.#ports = ports;
    this.#nodes = nodes;
    this.actors = actors;
    this.urls = nodes.map(({ url }) => url);
    this.sql = storage.sql;
    this.sqlUndone = storage.sqlUndone;
    this.sqlSlowly = storage.sqlSlowly;
    this.restartDatabase = storage.restart;
  }

  /** Starts as many servers on a storage, which it removes in the end. */
  static async create(nodes: number, storage: Storage): Promise<World> {
    const ports = await Promise.all(Array.from({ length: nodes }, freePort));
    const running = await Promise.all(ports.map((port) => World.#start(storage, port)));
    const visitor = new Person(running[0]?.url ?? '', null, '');
    for (const name of NAMES) {
      const input = { username: name, password: PASSWORD };
      await visitor.gql('mutation ($input: SignUpInput!) { signUp(input: $input) { __typename } }', { input });
    }
    await storage.sql(`UPDATE "User" SET "isStaff" = true WHERE "username" = 'root'`);
    const actors: Actor[] = [{ name: 'anonymous', id: null, isStaff: false, authorization: null }];
    for (const name of NAMES) {
      const { authorization } = await visitor.signIn(name, PASSWORD);
      const { viewer } = await visitor.with(authorization).gql('{ viewer { id isStaff } }');
      actors.push({ name, id: numberOf(viewer.id), isStaff: viewer.isStaff, authorization });
    }
    return new World(storage, ports, running, actors);
  }

  static #start({ env }: Storage, port: number): Promise<ServerProcess> {
    return startProcess({ ...env, SECRET_KEY, PORT: String(port), USER_MAX_SOCKETS: '1000' });
  }

  /** The actor as a caller of one of the servers. */
  caller({ authorization, name }: Actor, node = 0): Person {
    return new Person(this.urls[node % this.urls.length] ?? '', authorization, name);
  }

  /** Stops a server, kindly or not, and starts it again. */
  async restart(node: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const index = node % this.#nodes.length;
    const running = this.#nodes[index];
    this.#nodes[index] = null;
    await running?.stop(signal);
    this.#nodes[index] = await World.#start(this.#storage, this.#ports[index] ?? 0);
  }

  async close(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node?.stop('SIGKILL')));
    await this.#storage.remove();
  }
}
