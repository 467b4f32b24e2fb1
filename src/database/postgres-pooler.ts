import type { Config } from '../config/config.ts';
import { StartError } from '../errors.ts';
import { connect } from './migration-lock.ts';
import type { MigrationReport } from './migrations.ts';
import { explainConnectionFailure } from './postgres-connection.ts';

interface Answer {
  readonly identity: string | null;
  readonly statementTimeout: string;
}

/** The identity of a database among all databases, and the time-out that a session has by default. */
const PROBE = `SELECT current_setting('statement_timeout') AS "statementTimeout",
  (SELECT "epoch" FROM "ChangeEpoch" WHERE "id" = 1) AS "identity"`;

async function probe(url: string, timeoutMs: number): Promise<Answer | undefined> {
  const client = await connect(url, timeoutMs);
  try {
    const { rows } = await client.query<Answer>(PROBE);
    return rows[0];
  } finally {
    await client.end();
  }
}

/**
 * Checks that a pooler leads to the database that was migrated over the direct URL, and warns when statements have no time-out there.
 *
 * @throws {StartError} when it does not answer, or leads to another database
 */
export async function checkPooler(
  { url, timeoutMs }: Config['database'],
  directUrl: string,
  report: MigrationReport = () => undefined,
): Promise<void> {
  const direct = await probe(directUrl, timeoutMs);
  const pooled = await probe(url, timeoutMs).catch((error: unknown) => {
    throw new StartError(`The pooler of DATABASE_URL cannot be used: ${explainConnectionFailure(error)}.`, {
      cause: error,
    });
  });
  if (pooled?.identity !== direct?.identity) {
    throw new StartError(
      'DATABASE_URL and DATABASE_DIRECT_URL lead to two databases. Set both to the same one, DATABASE_URL through the pooler.',
    );
  }
  if (pooled?.statementTimeout === '0') {
    report(
      'warn',
      'statements through the pooler have no time-out outside of transactions; set one with ALTER ROLE … SET statement_timeout',
      {},
    );
  }
}
