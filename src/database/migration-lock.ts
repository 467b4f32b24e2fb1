import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { StartError } from '../errors.ts';
import type { MigrationReport } from './migrations.ts';
import { connectionOf } from './postgres-connection.ts';

/** The `application_name` of migrations, by which operators find them in `pg_stat_activity`. */
const APPLICATION = 'tidings_migration';
/** The advisory lock that serialises the migrations of processes that start together; an arbitrary number. */
const START_LOCK = 0x7469_6469;
/** How long a schema change waits for a lock, in milliseconds: writers queue behind it during that time. */
const LOCK_TIMEOUT_MS = 2_000;
/** The pauses between two attempts, in which the writers that queued continue; each is twice as long as the one before. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 8_000;
/** The default of the total wait for locks, and of the time-out of a connection attempt, in milliseconds. */
const LOCK_WAIT_MS = 120_000;
const CONNECTION_TIMEOUT_MS = 15_000;
/** A process that stalls within a migration holds locks that stop all writers, so the server ends its transaction after this time. */
const STALL_TIMEOUT_MS = 10_000;
/** How long an attempt takes before the transactions that block it are looked for, and how often they are, in milliseconds. */
const LOOK_INTERVAL_MS = 400;

/** Ends a running statement soon after the process that sent it was killed; where the server's system cannot do so, the statement continues to its end. */
const END_WITH_CLIENT = `
  DO $$ BEGIN
    PERFORM set_config('client_connection_check_interval', '1000', true);
  EXCEPTION WHEN OTHERS THEN NULL;
  END $$`;

const POOLER_WARNING = 'a pooler answers in place of PostgreSQL; set DATABASE_DIRECT_URL to the server itself';

const LOCK_NOT_AVAILABLE = '55P03';
const DEADLOCK_DETECTED = '40P01';

export interface MigrationServer {
  readonly url: string;
  /** The time-out of a connection attempt, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** How long to wait for other transactions in all, in milliseconds. */
  readonly lockWaitMs?: number | undefined;
  readonly report?: MigrationReport | undefined;
}

/** A session that a schema change waits for. */
interface Blocker {
  readonly pid: number;
  readonly application: string;
  readonly state: string;
  /** The age of its transaction and of its last statement, in seconds; null when the role may not see them. */
  readonly transactionS: number | null;
  readonly statementS: number | null;
}

/**
 * Runs a change of the database schema in a transaction, in one process at a time. When it cannot get a lock in time, it rolls back, so that the writers
 * that queue behind it continue, and retries after a pause.
 *
 * @throws {StartError} naming the transactions that blocked it when it got no lock within `lockWaitMs`
 */
export async function runExclusively<Result>(
  server: MigrationServer,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const { lockWaitMs = LOCK_WAIT_MS, report = () => undefined } = server;
  const deadline = performance.now() + lockWaitMs;
  let delay = FIRST_PAUSE_MS;
  for (;;) {
    const seen = new BlockerWatch(server, (blockers) =>
      report('warn', 'the migration waits for other transactions', { blockers }),
    );
    try {
      return await runOnce(server, deadline, seen, work);
    } catch (error) {
      if (!isLockConflict(error)) {
        throw error;
      }
      if (performance.now() + delay > deadline) {
        throw new StartError(
          `The tables could not be changed within ${Math.round(lockWaitMs / 1000)} seconds (MIGRATION_LOCK_TIMEOUT_S), since other transactions use them: ${describe(seen.blockers)}. Wait for them or end them, with pg_terminate_backend(pid), and start again.`,
          { cause: error },
        );
      }
      report('warn', 'the migration got no lock; it is tried again, and writers continue meanwhile', {
        retryMs: delay,
      });
    } finally {
      await seen.stop();
    }
    await pause(delay);
    delay = Math.min(2 * delay, LONGEST_PAUSE_MS);
  }
}

function isLockConflict(error: unknown): boolean {
  return error instanceof pg.DatabaseError && [LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED].includes(error.code ?? '');
}

async function runOnce<Result>(
  { url, timeoutMs = CONNECTION_TIMEOUT_MS, report = () => undefined }: MigrationServer,
  deadline: number,
  seen: BlockerWatch,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = await connect(url, timeoutMs);
  try {
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS "pid"');
    const pid = rows[0]?.pid ?? 0;
    if (pid !== processOf(client)) {
      report('warn', POOLER_WARNING, {});
    }
    seen.start(pid);
    await client.query('BEGIN');
    await client.query(`SET LOCAL idle_in_transaction_session_timeout = ${STALL_TIMEOUT_MS}`);
    await client.query(END_WITH_CLIENT);
    const remainingMs = (): number => Math.max(1, Math.round(deadline - performance.now()));
    // Only other processes that start queue behind this lock, and no writers.
    await client.query(`SET LOCAL lock_timeout = ${remainingMs()}`);
    await lockStart(client);
    await client.query(`SET LOCAL lock_timeout = ${Math.min(LOCK_TIMEOUT_MS, remainingMs())}`);
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } finally {
    await client.end();
  }
}

/** Waits until no other process migrates the database or starts to use it, and excludes them until the end of the transaction. */
export async function lockStart(client: pg.Client): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock($1)', [START_LOCK]);
}

/** Returns the process that the server named at the start of the session. A pooler names one that PostgreSQL does not have. */
function processOf(client: pg.Client & { readonly processID?: unknown }): unknown {
  return client.processID;
}

/** Returns a connection of its own; its owner ends it. */
export async function connect(url: string, timeoutMs = CONNECTION_TIMEOUT_MS): Promise<pg.Client> {
  const client = new pg.Client({
    ...connectionOf(url),
    application_name: APPLICATION,
    connectionTimeoutMillis: timeoutMs,
  });
  // The pending query of a broken connection fails as well.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

const BLOCKERS = `
  SELECT pid, application_name AS "application", coalesce(state, 'unknown') AS "state",
    round(extract(epoch FROM clock_timestamp() - xact_start))::integer AS "transactionS",
    round(extract(epoch FROM clock_timestamp() - query_start))::integer AS "statementS"
  FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids($1)) ORDER BY xact_start LIMIT 5`;

/** Looks over a second connection for the sessions that block the first one. After a lock time-out, the server no longer knows them. */
class BlockerWatch {
  readonly #server: MigrationServer;
  readonly #onFound: (blockers: readonly Blocker[]) => void;
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;
  blockers: readonly Blocker[] = [];

  /** `onFound` is called once, with the first sessions that are found. */
  constructor(server: MigrationServer, onFound: (blockers: readonly Blocker[]) => void) {
    this.#server = server;
    this.#onFound = onFound;
  }

  start(pid: number): void {
    // Without a connection the migration goes on; only its report lacks the sessions.
    this.#running = this.#look(pid).catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #look(pid: number): Promise<void> {
    const { signal } = this.#stopping;
    await pause(LOOK_INTERVAL_MS, undefined, { signal });
    const client = await connect(this.#server.url, this.#server.timeoutMs);
    try {
      while (!signal.aborted) {
        const { rows } = await client.query<Blocker>(BLOCKERS, [pid]);
        if (rows.length > 0) {
          const isFirst = this.blockers.length === 0;
          this.blockers = rows;
          if (isFirst) {
            this.#onFound(this.blockers);
          }
        }
        await pause(LOOK_INTERVAL_MS, undefined, { signal });
      }
    } finally {
      await client.end();
    }
  }
}

function describe(blockers: readonly Blocker[]): string {
  const sentences = blockers.map(({ pid, application, state, transactionS, statementS }) => {
    const ages =
      transactionS === null || statementS === null
        ? 'of another role'
        : `transaction open for ${transactionS} s, last statement begun ${statementS} s ago`;
    return `process ${pid} (${application || 'no application name'}, ${state}, ${ages})`;
  });
  return sentences.join('; ') || 'none was seen';
}
