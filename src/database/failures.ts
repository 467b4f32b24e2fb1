import { NotFoundError } from '../errors.ts';
import { Prisma } from '../generated/client/client.ts';

const UNIQUE_VIOLATION = 'P2002';
const ROW_NOT_FOUND = 'P2025';

/** Whether a write failed because a row with the same unique value exists. */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === UNIQUE_VIOLATION;
}

/**
 * The result of a write to one row.
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
