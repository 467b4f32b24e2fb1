import { useCallback, useState } from 'react';

/** An error that a mutation returned in place of an object. */
interface MutationError {
  readonly message: string;
  readonly fields?: readonly { readonly path: string; readonly message: string }[];
}

/** Throws the error of a mutation. */
export function expectSuccess(result: object | undefined): void {
  const { message, fields = [] } = (result ?? {}) as Partial<MutationError>;
  if (message !== undefined) {
    throw new Error([message, ...fields.map((field) => `${field.path}: ${field.message}`)].join('\n'));
  }
}

/** Returns the message for the user. */
function messageOf(error: unknown): string {
  // What `fetch` throws without a network, in the words of each browser.
  return error instanceof TypeError ? 'The server cannot be reached.' : (error as Error).message;
}

/** Runs a request, and shows the message of its failure. Returns whether it succeeded. */
export type Attempt = (work: () => Promise<void>) => Promise<boolean>;

/** Returns the message of the last failure, a function that reports a failure, and one that runs a request and reports its failure. */
export function useFailure() {
  const [message, setMessage] = useState<string | null>(null);
  const report = useCallback((error: unknown): void => setMessage(messageOf(error)), []);
  const attempt: Attempt = async (work) => {
    try {
      await work();
      setMessage(null);
      return true;
    } catch (error) {
      report(error);
      return false;
    }
  };
  return { message, report, attempt };
}
