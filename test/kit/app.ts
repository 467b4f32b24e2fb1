import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect, inject, vi } from 'vitest';
import { type App, createApp } from '../../src/app.ts';
import { parseConfig } from '../../src/config/config.ts';
import { signUp } from '../../src/users/sign-up.ts';
import { Person } from './person.ts';
import { createDatabase, ON_POSTGRES, runSql } from './postgres.ts';

const PASSWORD = 'a good long password';
/** How often a fact is looked for, and for how long on a busy machine, in milliseconds. */
const FACTS = { interval: 10, timeout: 20_000 };

// biome-ignore lint/suspicious/noExplicitAny: the tests look into rows of many tables, and a wrong column fails the test.
export type Row = Record<string, any>;

export interface TestApp {
  readonly url: string;
  readonly app: App;
  /** What Prometheus would read, of a server that was started with `METRICS_PORT`. */
  readonly metrics: () => Promise<string>;
  /** The value of one series of that; NaN when there is none. */
  readonly metric: (series: string) => Promise<number>;
  /** How many subscriptions to changes are open. */
  readonly subscriptions: () => number;
  /** Waits until so many are, and all of them are in force and have caught up. */
  readonly subscribed: (count: number) => Promise<void>;
  /** Waits until every change that was committed before was sent to all who receive it. */
  readonly delivered: () => Promise<void>;
  /** The file of the database; empty when that is PostgreSQL. */
  readonly databasePath: string;
  /** What another process is started with to serve the same database. */
  readonly databaseEnv: Readonly<Record<string, string>>;
  /** Runs one statement over a connection of its own, as a database shell does: `?` stands for a value, references are checked. */
  readonly sql: (statement: string, ...values: readonly unknown[]) => Promise<readonly Row[]>;
  /** A caller without credentials. */
  readonly anonymous: Person;
  /** Makes an account and signs it in. Names are unique per app: `ann`, `ben`. */
  readonly signUp: (username: string) => Promise<Person>;
  /** The same for staff. */
  readonly signUpStaff: (username: string) => Promise<Person>;
  /** The SQL statements that `work` causes. Nothing else may run meanwhile. */
  readonly statementsOf: (work: () => Promise<unknown>) => Promise<readonly string[]>;
  /** Counts the SQL statements that `work` causes. Nothing else may run meanwhile. */
  readonly countStatements: (work: () => Promise<unknown>) => Promise<number>;
  readonly close: () => Promise<void>;
}

/** A folder with a private, migrated database. */
export function privateDatabase(): { folder: string; path: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-test-'));
  const path = join(folder, 'tidings.db');
  copyFileSync(inject('templateDatabase'), path);
  return { folder, path, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** The same as what a server is started with. */
function privateFile() {
  const { path, remove } = privateDatabase();
  const sql = async (statement: string, ...values: readonly unknown[]): Promise<readonly Row[]> => {
    const file = new Sqlite(path, { timeout: 5000 });
    try {
      file.pragma('foreign_keys = ON');
      const prepared = file.prepare(statement);
      const fitting = values.map((value) => (typeof value === 'boolean' ? Number(value) : value));
      if (prepared.reader) {
        return prepared.all(...fitting) as Row[];
      }
      prepared.run(...fitting);
      return [];
    } finally {
      file.close();
    }
  };
  return { path, env: { DATABASE_URL: `file:${path}` }, sql, remove: async () => remove() };
}

async function copyOfTemplate() {
  const { url, remove } = await createDatabase(inject('templateName'));
  const sql = async (statement: string, ...values: readonly unknown[]): Promise<readonly Row[]> => {
    let count = 0;
    return runSql(
      url,
      statement.replace(/\?/g, () => `$${++count}`),
      values,
    );
  };
  return { path: '', env: { DATABASE_URL: url, SECRET_KEY: randomBytes(32).toString('hex') }, sql, remove };
}

/** Does something with the clock of this process set ahead, and so that of the servers in it. Timers are not concerned. */
export async function afterSeconds<Result>(seconds: number, work: () => Promise<Result>): Promise<Result> {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + seconds * 1000, shouldAdvanceTime: true });
  try {
    return await work();
  } finally {
    vi.useRealTimers();
  }
}

/** Starts the whole server in this process, on a free port and a private database. `env` sets what an operator could set. */
export async function startApp(env: Record<string, string> = {}): Promise<TestApp> {
  const database = ON_POSTGRES ? await copyOfTemplate() : privateFile();
  const statements: string[] = [];
  const app = await createApp(
    parseConfig({
      ...database.env,
      PORT: '0',
      HOST: '127.0.0.1',
      LOG_LEVEL: 'silent',
      // The server shares its event loop with the tests, which may keep it busy.
      MAX_EVENT_LOOP_DELAY_MS: '0',
      // Tests write and make accounts from one address, as often as they like.
      MAX_ANONYMOUS_WRITES: '100000000',
      MAX_SIGN_UPS: '100000000',
      ...env,
    }),
    { onStatement: (sql) => statements.push(sql) },
  );
  const url = await app.listen();
  const anonymous = new Person(url, null, '');

  const register = async (username: string, isStaff: boolean): Promise<Person> => {
    await signUp(app.services, { username, password: PASSWORD }, { isStaff });
    return anonymous.signIn(username, PASSWORD);
  };
  const statementsOf = async (work: () => Promise<unknown>): Promise<string[]> => {
    const before = statements.length;
    await work();
    // Retention looks at the log whenever it is time to.
    return statements.slice(before).filter((sql) => !/\bChange\b|page_count/.test(sql));
  };
  const close = async (): Promise<void> => {
    await app.close();
    await database.remove();
  };
  const metrics = async (): Promise<string> => (await fetch(app.metricsUrl() ?? '')).text();
  const { feed } = app.services;
  return {
    url,
    app,
    metrics,
    metric: async (series) => {
      const line = (await metrics()).split('\n').find((each) => each.startsWith(`${series} `));
      return Number(line?.slice(series.length + 1));
    },
    subscriptions: () => feed.counts.streams,
    subscribed: (count) => expect.poll(() => [feed.counts.streams, feed.counts.catchingUp], FACTS).toEqual([count, 0]),
    delivered: async () => {
      const { seq } = await feed.refresh();
      const left = () => [feed.position.seq >= seq, feed.counts.catchingUp, feed.loop.results.waitingBytes];
      await expect.poll(left, FACTS).toEqual([true, 0, 0]);
    },
    databasePath: database.path,
    databaseEnv: database.env,
    sql: database.sql,
    anonymous,
    signUp: (username) => register(username, false),
    signUpStaff: (username) => register(username, true),
    statementsOf,
    countStatements: async (work) => (await statementsOf(work)).length,
    close,
  };
}
