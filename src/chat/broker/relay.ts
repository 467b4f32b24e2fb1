import { setTimeout as sleep } from 'node:timers/promises';
import { decodeCursor, ORIGIN, type Position } from '../../changes/cursor.ts';
import type { Change } from '../../changes/log.ts';
import type { Services } from '../../context.ts';
import { type Hold, LeaseLostError } from '../../database/lease.ts';
import { AppError } from '../../errors.ts';
import type { Outbox } from './outbox.ts';
import { composeOutgoing } from './outgoing.ts';
import { Progress } from './progress.ts';

/** How often the position follows the log when nobody says anything: it must not fall behind what the log keeps. */
const IDLE_INTERVAL_MS = 5_000;
const STORE_DELAY_MS = 100;
const RETRY_MIN_MS = 250;
const RETRY_MAX_MS = 10_000;

const MODEL = 'ChatMessage';

/** Publishes every chat message that was committed, out of the log and in its order, as long as this process holds the lease for it. */
export class Relay {
  readonly #services: Services;
  readonly #outbox: Outbox;
  readonly #onFailure: (error: unknown) => void;
  #progress: Progress | null = null;
  #running: Promise<void> | null = null;
  /** After which change no more is published. */
  #end = Number.POSITIVE_INFINITY;
  #rung = false;
  #wake: () => void = () => undefined;

  constructor(services: Services, outbox: Outbox, onFailure: (error: unknown) => void) {
    this.#services = services;
    this.#outbox = outbox;
    this.#onFailure = onFailure;
  }

  /** Publishes until the hold ends. */
  run(hold: Hold): Promise<void> {
    this.#running = this.#run(hold).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Publishes what is committed by now, if it is this process that publishes, and then no more. */
  async finish(): Promise<void> {
    const { feed } = this.#services;
    await feed.catchUp();
    this.#end = this.#running ? decodeCursor(feed.cursor).seq : 0;
    this.#ring();
    await this.#running;
  }

  async #run(hold: Hold): Promise<void> {
    const ring = (): void => this.#ring();
    const ignore = this.#services.feed.listen([{ model: MODEL }], ring);
    hold.signal.addEventListener('abort', ring);
    let pauseMs = RETRY_MIN_MS;
    try {
      while (!hold.signal.aborted && !this.#isFinished()) {
        try {
          this.#progress ??= await Progress.restore(this.#services, hold);
          await this.#step(this.#progress, hold);
          pauseMs = RETRY_MIN_MS;
        } catch (error) {
          if (error instanceof LeaseLostError) {
            throw error;
          }
          this.#tell(error, hold);
          await sleep(pauseMs, undefined, { signal: hold.signal }).catch(() => undefined);
          pauseMs = Math.min(pauseMs * 2, RETRY_MAX_MS);
        }
      }
      await this.#progress?.store().catch((error) => this.#tell(error, hold));
    } finally {
      this.#progress = null;
      ignore();
      hold.signal.removeEventListener('abort', ring);
    }
  }

  /** Publishes what comes next in the log, or waits for something to come. */
  async #step(progress: Progress, hold: Hold): Promise<void> {
    this.#rung = false;
    const { changes, upTo } = await this.#read(progress);
    const inserts = changes.filter(({ action }) => action === 'INSERT');
    const messages = await composeOutgoing(this.#services, inserts, this.#onFailure);
    if (messages.length > 0) {
      const { confirmed, failure } = await this.#outbox.send(messages, hold);
      if (failure !== null) {
        const last = messages[confirmed - 1];
        await progress.advance(last?.position ?? progress.position);
        throw failure;
      }
    }
    await progress.advance(upTo);
    if (changes.length === 0 && !this.#isFinished()) {
      await this.#idle(progress.isStored ? IDLE_INTERVAL_MS : STORE_DELAY_MS, hold);
    }
  }

  async #read(progress: Progress): Promise<{ changes: readonly Change[]; upTo: Position }> {
    try {
      return await this.#services.feed.replay(progress.position, [MODEL]);
    } catch (error) {
      if (error instanceof AppError && error.code === 'RESYNC_REQUIRED') {
        await this.#skip(progress);
        this.#ring();
        return { changes: [], upTo: progress.position };
      }
      throw error;
    }
  }

  /** Goes to the oldest change that is there: what lay between was removed before it could be published. */
  async #skip(progress: Progress): Promise<void> {
    const oldest = await this.#services.database.change.findFirst({
      orderBy: { seq: 'asc' },
      select: { seq: true, at: true },
    });
    const { seq } = progress.position;
    const target = oldest ? { seq: Number(oldest.seq), at: oldest.at.getTime() } : ORIGIN;
    this.#onFailure(
      new Error(
        `CHAT MESSAGES MAY BE MISSING in RabbitMQ: the change log was kept too short a time. They were published up to change ${seq}, and go on after change ${target.seq}.`,
      ),
    );
    await progress.jump(target);
  }

  async #idle(ms: number, { signal }: Hold): Promise<void> {
    if (this.#rung || signal.aborted) {
      return;
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #ring(): void {
    this.#rung = true;
    this.#wake();
  }

  #isFinished(): boolean {
    return Number.isFinite(this.#end) && (this.#progress?.position.seq ?? this.#end) >= this.#end;
  }

  /** Passes a failure on, unless it only says that the hold has ended. */
  #tell(error: unknown, { signal }: Hold): void {
    if (!signal.aborted) {
      this.#onFailure(error);
    }
  }
}
