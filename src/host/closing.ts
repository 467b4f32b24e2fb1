/** What has been opened so far, to be closed in the opposite order. */
export class Opened {
  readonly #steps: (() => Promise<unknown>)[] = [];

  /** Adds what closes something that was just opened. */
  add(close: () => Promise<unknown>): void {
    this.#steps.unshift(close);
  }

  /** Closes everything, whatever fails meanwhile. */
  close(): Promise<void> {
    return closeInOrder(this.#steps);
  }

  /** Opens something that consists of parts; when that fails, the parts that were opened are closed. */
  static async during<Result>(open: (opened: Opened) => Promise<Result>): Promise<Result> {
    const opened = new Opened();
    try {
      return await open(opened);
    } catch (error) {
      await opened.close().catch(() => undefined);
      throw error;
    }
  }
}

/** Takes every step, whatever becomes of the others, and reports all failures. */
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
