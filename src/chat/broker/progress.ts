import { decodeLogCursor, type LogPosition } from '../../changes/cursor.ts';
import type { Services } from '../../context.ts';
import { isUniqueViolation } from '../../database/failures.ts';
import type { LeaseHandle } from '../../database/lease.ts';

/** How often the position is stored while messages come in a row, in milliseconds; a crash sends again what was confirmed meanwhile. */
const STORE_INTERVAL_MS = 100;

/** The name of the lease, and of the position in the log, of the process that publishes chat. */
export const RELAY = 'amqp:chat';

/** Notes the present end of the log as the place to start from, unless there is a place already. */
export async function ensureStart({ database, feed }: Services): Promise<void> {
  if (await database.logPosition.findUnique({ where: { name: RELAY } })) {
    return;
  }
  const head = await feed.refresh();
  try {
    await database.logPosition.create({ data: { name: RELAY, cursor: feed.cursorOf(head) } });
  } catch (error) {
    if (!isUniqueViolation(error)) {
      throw error;
    }
  }
}

/** How far the log has been published; stored now and then, only by the process that holds the lease. */
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

  /** Goes on where the last holder of the lease stopped. */
  static async restore(services: Services, lease: LeaseHandle): Promise<Progress> {
    const { database, feed } = services;
    await ensureStart(services);
    const { cursor } = await database.logPosition.findUniqueOrThrow({ where: { name: RELAY } });
    // What the last holder had read may not have come here yet.
    await feed.refresh();
    // The epoch is not compared: it changes with settings that are about rights, and the position itself tells a foreign log.
    return new Progress(feed, lease, decodeLogCursor(cursor));
  }

  get position(): LogPosition {
    return this.#position;
  }

  get isStored(): boolean {
    return this.#stored.seq === this.#position.seq && this.#stored.at === this.#position.at;
  }

  /** Takes note that everything up to this position was published, and stores it when that is due. */
  async advance(position: LogPosition): Promise<void> {
    if (position.seq > this.#position.seq) {
      this.#position = position;
    }
    if (performance.now() - this.#storedAt >= STORE_INTERVAL_MS) {
      await this.store();
    }
  }

  /** Goes to a position whatever the present one is; it is stored when something was published there. */
  jump(position: LogPosition): void {
    this.#position = position;
  }

  async store(): Promise<void> {
    if (this.isStored) {
      return;
    }
    const position = this.#position;
    const cursor = this.#feed.cursorOf(position);
    await this.#lease.fencedWrite(async ({ logPosition }) => {
      await logPosition.update({ where: { name: RELAY }, data: { cursor } });
    });
    this.#stored = position;
    this.#storedAt = performance.now();
  }
}
