import type { Context } from '../context.ts';
import { withIdempotencyKey } from '../identity/idempotency.ts';
import { limitAnonymousWrite } from '../identity/write-limits.ts';

/** The argument that makes a mutation idempotent. */
export const IDEMPOTENCY_KEY = {
  description:
    'A key of 1 to 255 characters that the client chooses, such as a random UUID, so that it can safely send the request again: for 24 hours, the same key with the same arguments changes nothing and returns the first result. With other arguments it fails with `IDEMPOTENCY_MISMATCH`. The key of a request that failed can be used again. Keys belong to a user or, without a credential, to an IP address.',
} as const;

interface IdempotentArguments {
  readonly idempotencyKey?: string | null | undefined;
}

/**
 * Returns the resolver of a mutation that is executed once for all calls with the same `idempotencyKey`. It fails as
 * {@link withIdempotencyKey} and {@link limitAnonymousWrite} do.
 */
export function idempotent<Arguments extends IdempotentArguments, Result>(
  mutation: string,
  write: (context: Context, args: Arguments) => Promise<Result>,
) {
  return idempotentAfter(mutation, (context) => limitAnonymousWrite(context), write);
}

/**
 * The same for a mutation whose result may change, or whose caller may lose the right to see it. A repetition does not return the stored result, whose fields
 * would be read without a check of the rights, but what `readAgain` returns for it. `readAgain` fails when the caller may no longer see the result.
 */
export function idempotentReadAgain<Arguments extends IdempotentArguments, Result extends object>(
  mutation: string,
  write: (context: Context, args: Arguments) => Promise<Result>,
  readAgain: (context: Context, stored: Result) => Promise<Result>,
) {
  return async (root: object, args: Arguments, context: Context): Promise<Result> => {
    let written: Result | undefined;
    const resolve = idempotent(mutation, async (inner, given: Arguments) => {
      written = await write(inner, given);
      return written;
    });
    const result = await resolve(root, args, context);
    return result === written ? result : readAgain(context, result);
  };
}

/** The same as {@link idempotent} for a mutation with slow work that writes nothing: `prepare` runs outside the transaction, `write` gets its result. */
export function idempotentAfter<Arguments extends IdempotentArguments, Result, Prepared>(
  mutation: string,
  prepare: (context: Context, args: Arguments) => Promise<Prepared>,
  write: (context: Context, args: Arguments, prepared: Prepared) => Promise<Result>,
) {
  return (_root: object, args: Arguments, context: Context): Promise<Result> => {
    const { idempotencyKey: key, ...request } = args;
    return withIdempotencyKey(
      context,
      { key, request: [mutation, request] },
      (inner, prepared: Prepared) => write(inner, args, prepared),
      () => prepare(context, args),
    );
  };
}
