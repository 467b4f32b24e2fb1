import { Prisma } from '../generated/client/client.ts';
import { isUniqueViolation } from './failures.ts';
import type { Database } from './open.ts';

/** The client of a running transaction. */
export type Transaction = Parameters<Parameters<Database['$transaction']>[0]>[0];

const WRITE_CONFLICT = 'P2034';
const MAX_ATTEMPTS = 5;

/**
 * Runs a transaction, and runs it anew when another one stood in its way: by a deadlock, or by a row that both make. On SQLite, where one
 * transaction writes at a time, that does not happen.
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

function isWriteConflict(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === WRITE_CONFLICT;
}

/**
 * Keeps other transactions from doing the same to these rows, and from changing or deleting them, until this one is over. They may insert rows that refer to
 * them meanwhile. On SQLite they can't run at the same time anyway.
 */
export async function lockRows(
  transaction: Transaction,
  model: Prisma.ModelName,
  ids: readonly number[],
): Promise<void> {
  if ('$isPostgres' in transaction) {
    // In the order of ids: of two transactions that lock some of the same rows, only one waits for the other.
    await transaction.$queryRaw`SELECT "id" FROM ${Prisma.raw(`"${model}"`)} WHERE "id" = ANY(${ids}) ORDER BY "id" FOR NO KEY UPDATE`;
  }
}
