import { decodeLogCursor, type LogPosition } from '../../changes/cursor.ts';
import type { Services } from '../../context.ts';
import { isUniqueViolation } from '../../database/failures.ts';
import type { LeaseHandle } from '../../database/lease.ts';

/** How often the position is stored under load, in milliseconds. After a crash, the messages that were confirmed since are published again. */
const STORE_INTERVAL_MS = 100;

/** The name of the lease and of the stored log position of the process that publishes chat messages. */
export const RELAY_NAME = 'amqp:chat';

/** Stores the current end of the log as the position from which to publish, unless a position is stored. */
export async function ensureStart({ database, feed }: Services): Promise<void> {
  if (await database.logPosition.findUnique({ where: { name: RELAY_NAME } })) {
    return;
  }
  const head = await feed.refresh();
  try {
    await database.logPosition.create({ data: { name: RELAY_NAME, cursor: feed.encodePosition(head) } });
  } catch (error) {
    if (!isUniqueViolation(error)) {
      throw error;
    }
  }
}

/** The position up to which the log is published. Only the process that holds the lease stores it. */
export class Progress {
  readonly #feed: Services['feed'];
  readonly #lease: LeaseHandle;
  #position: LogPosition;
  #stored: LogPosition;
  #storedAt = 0;

  private constructor(feed: Services['feed'], lease: LeaseHandle, position: LogPosition) {
    this.#feed = feed;
    this.#lease = lease;
    this.#position = position;
    this.#stored = position;
  }

  /** Returns the progress of the last holder of the lease. */
  static async restore(services: Services, lease: LeaseHandle): Promise<Progress> {
    const { database, feed } = services;
    await ensureStart(services);
    const { cursor } = await database.logPosition.findUniqueOrThrow({ where: { name: RELAY_NAME } });
    // The feed of this process may be behind that of the last holder.
    await feed.refresh();
    // The epoch of the cursor is not compared: it changes with settings of access, which do not matter here, and another log is recognised by the position.
    return new Progress(feed, lease, decodeLogCursor(cursor));
  }

  get position(): LogPosition {
    return this.#position;
  }

  get isStored(): boolean {
    return this.#stored.seq === this.#position.seq && this.#stored.at === this.#position.at;
  }

  /** Records that everything up to this position is published, and stores the position if that is due. */
  async advance(position: LogPosition): Promise<void> {
    if (position.seq > this.#position.seq) {
      this.#position = position;
    }
    if (performance.now() - this.#storedAt >= STORE_INTERVAL_MS) {
      await this.store();
    }
  }

  /** Sets the position, also to an earlier one. It is stored after the next publication. */
  jump(position: LogPosition): void {
    this.#position = position;
  }

  async store(): Promise<void> {
    if (this.isStored) {
      return;
    }
    const position = this.#position;
    const cursor = this.#feed.encodePosition(position);
    await this.#lease.fencedWrite(async ({ logPosition }) => {
      await logPosition.update({ where: { name: RELAY_NAME }, data: { cursor } });
    });
    this.#stored = position;
    this.#storedAt = performance.now();
  }
}
