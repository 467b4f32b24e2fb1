/** Closes resources in the opposite order of their opening. */
export class CleanupStack {
  readonly #steps: (() => Promise<unknown>)[] = [];

  /** Adds the function that closes a resource which was just opened. */
  add(close: () => Promise<unknown>): void {
    this.#steps.unshift(close);
  }

  /** Closes all resources, also when closing some of them fails. */
  close(): Promise<void> {
    return closeInOrder(this.#steps);
  }
}

/** Opens a resource that consists of parts. When that fails, closes the parts that are already open. */
export async function closeOnFailure<Result>(open: (cleanup: CleanupStack) => Promise<Result>): Promise<Result> {
  const cleanup = new CleanupStack();
  try {
    return await open(cleanup);
  } catch (error) {
    await cleanup.close().catch(() => undefined);
    throw error;
  }
}

/**
 * Runs all steps one after the other, also after a failure.
 *
 * @throws {AggregateError} the failures of all steps
 */
export async function closeInOrder(steps: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) {
    throw new AggregateError(failures, 'Tidings did not close cleanly.');
  }
}
