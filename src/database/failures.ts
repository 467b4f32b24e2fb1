import { NotFoundError } from '../errors.ts';
import { Prisma } from '../generated/client/client.ts';

/** The error codes of Prisma, SQLite and PostgreSQL for a second row with the same unique value. */
const UNIQUE_VIOLATIONS: ReadonlySet<unknown> = new Set(['P2002', 'SQLITE_CONSTRAINT_UNIQUE', '23505']);
const ROW_NOT_FOUND = 'P2025';

/** Returns whether a write failed because a row with the same unique value exists. */
export function isUniqueViolation(error: unknown): boolean {
  return UNIQUE_VIOLATIONS.has((error as { readonly code?: unknown } | null)?.code);
}

/** The error codes of Prisma, SQLite and PostgreSQL for a reference to a row that does not exist. */
const FOREIGN_KEY_VIOLATIONS: ReadonlySet<unknown> = new Set(['P2003', 'SQLITE_CONSTRAINT_FOREIGNKEY', '23503']);

/**
 * Returns the result of a write that refers to other rows.
 *
 * @throws the error that `missing` returns when one of those rows no longer exists
 */
export async function orMissingReference<Result>(write: PromiseLike<Result>, missing: () => Error): Promise<Result> {
  try {
    return await write;
  } catch (error) {
    throw FOREIGN_KEY_VIOLATIONS.has((error as { readonly code?: unknown } | null)?.code) ? missing() : error;
  }
}

/**
 * Returns the result of a write to one row.
 *
 * @throws {NotFoundError} when no row matched
 */
export async function orNotFound<Result>(write: PromiseLike<Result>): Promise<Result> {
  try {
    return await write;
  } catch (error) {
    if (error instanceof Prisma.PrismaClientKnownRequestError && error.code === ROW_NOT_FOUND) {
      throw new NotFoundError();
    }
    throw error;
  }
}
