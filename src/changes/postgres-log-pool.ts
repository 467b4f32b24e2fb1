import pg from 'pg';
import { connectionOf } from '../database/postgres-connection.ts';

/** How much longer than the server's own time-out the client waits for a statement before it closes the connection, in milliseconds. */
const GRACE_MS = 5_000;

/** Prepared statements keep their plans, and a plan that was made while the log was short would scan all of it when it is long. */
const PLANNING = 'SET enable_seqscan = off; SET enable_bitmapscan = off';

export interface LogPoolOptions {
  readonly url: string;
  /** The time-out of a connection attempt and of a statement, in milliseconds. */
  readonly timeoutMs: number;
  /** The largest number of connections. */
  readonly max: number;
}

/** Returns a pool of connections that read the change log. */
export function createLogPool({ url, timeoutMs, max }: LogPoolOptions): pg.Pool {
  const pool = new pg.Pool({
    ...connectionOf(url),
    max,
    connectionTimeoutMillis: timeoutMs,
    statement_timeout: timeoutMs,
    query_timeout: timeoutMs + GRACE_MS,
    keepAlive: true,
    // Runs before the connection is handed out.
    onConnect: (client) => client.query(PLANNING),
  });
  // The query that needs a broken connection fails, and the pool opens another connection.
  pool.on('error', () => undefined);
  return pool;
}
