import { Prisma } from '../generated/client/client.ts';
import type { Database, Transaction } from './client.ts';
import { isUniqueViolation } from './failures.ts';

const WRITE_CONFLICT = 'P2034';
const MAX_ATTEMPTS = 5;

/**
 * Runs a transaction, and retries it after a conflict with another one: a deadlock, or a row that both insert. On SQLite, where one transaction writes at a
 * time, such conflicts do not occur.
 */
export async function inTransaction<Result>(
  database: Database,
  work: (transaction: Transaction) => Promise<Result>,
): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await database.$transaction(work);
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || !(isWriteConflict(error) || isUniqueViolation(error))) {
        throw error;
      }
    }
  }
}

/** Returns a client for functions that begin a transaction of their own: their work becomes part of the running transaction. */
export function joinTransaction(transaction: Transaction): Database {
  const client: Database = new Proxy(transaction as Database, {
    get: (target, name, receiver) =>
      name === '$transaction'
        ? (work: (inner: Database) => Promise<unknown>) => work(client)
        : Reflect.get(target, name, receiver),
  });
  return client;
}

function isWriteConflict(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === WRITE_CONFLICT;
}

/** Returns whether a client is one of PostgreSQL. */
export function isPostgres(client: Database | Transaction): boolean {
  return '$isPostgres' in client;
}

/**
 * Locks rows until the end of the transaction: other transactions can neither lock, change nor delete them, but can insert rows that refer to them. On SQLite
 * other write transactions cannot run at the same time anyway.
 */
export async function lockRows(
  transaction: Transaction,
  model: Prisma.ModelName,
  ids: readonly number[],
): Promise<void> {
  if (isPostgres(transaction)) {
    // In the order of ids, so that two transactions that lock some of the same rows do not deadlock.
    await transaction.$queryRaw`SELECT "id" FROM ${Prisma.raw(`"${model}"`)} WHERE "id" = ANY(${ids}) ORDER BY "id" FOR NO KEY UPDATE`;
  }
}
