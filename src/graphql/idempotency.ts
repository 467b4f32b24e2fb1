import type { Context } from '../context.ts';
import { once } from '../database/idempotency.ts';

/** The argument that makes a mutation repeatable. */
export const IDEMPOTENCY_KEY = {
  description:
    'Any text of 1 to 255 characters, a random one best: the same key with the same arguments makes nothing more, and gives the first answer again, for a day.',
} as const;

/** Carries out a mutation once for all calls with the same `idempotencyKey`; see {@link once} for its failures. */
export function repeatable<Arguments extends { idempotencyKey?: string | null | undefined }, Made>(
  mutation: string,
  make: (context: Context, args: Arguments) => Promise<Made>,
) {
  return (_root: object, args: Arguments, context: Context): Promise<Made> => {
    const { idempotencyKey: key, ...request } = args;
    return once(context, { key, request: [mutation, request] }, (inner) => make(inner, args));
  };
}
