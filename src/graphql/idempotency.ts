import { limitAnonymousWrite } from '../accounts/write-limits.ts';
import type { Context } from '../context.ts';
import { once } from '../database/idempotency.ts';

/** The argument that makes a mutation repeatable. */
export const IDEMPOTENCY_KEY = {
  description:
    'Any text of 1 to 255 characters, a random one best: the same key with the same arguments makes nothing more, and gives the first answer again, for a day. Every user has keys of their own, and without a credential every IP address.',
} as const;

interface Repeatable {
  readonly idempotencyKey?: string | null | undefined;
}

/**
 * Carries out a mutation that writes something once for all calls with the same `idempotencyKey`; see {@link once} and {@link limitAnonymousWrite} for its
 * failures.
 */
export function repeatable<Arguments extends Repeatable, Made>(
  mutation: string,
  make: (context: Context, args: Arguments) => Promise<Made>,
) {
  return repeatableAfter(mutation, (context) => limitAnonymousWrite(context), make);
}

/** The same for a mutation of which a part takes long and writes nothing: `prepare`, whose result `make` is given. */
export function repeatableAfter<Arguments extends Repeatable, Made, Prepared>(
  mutation: string,
  prepare: (context: Context, args: Arguments) => Promise<Prepared>,
  make: (context: Context, args: Arguments, prepared: Prepared) => Promise<Made>,
) {
  return (_root: object, args: Arguments, context: Context): Promise<Made> => {
    const { idempotencyKey: key, ...request } = args;
    return once(
      context,
      { key, request: [mutation, request] },
      (inner, prepared: Prepared) => make(inner, args, prepared),
      () => prepare(context, args),
    );
  };
}
