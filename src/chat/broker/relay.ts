import { setTimeout as sleep } from 'node:timers/promises';
import type { Change } from '../../changes/change.ts';
import { LOG_START, type LogPosition } from '../../changes/cursor.ts';
import type { Services } from '../../context.ts';
import { type LeaseHandle, LeaseLostError } from '../../database/lease.ts';
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
  /** The oldest change that was left, which is to be published itself. */
  #skipsTo: LogPosition | null = null;
  #wake: () => void = () => undefined;

  constructor(services: Services, outbox: Outbox, onFailure: (error: unknown) => void) {
    this.#services = services;
    this.#outbox = outbox;
    this.#onFailure = onFailure;
  }

  /** Publishes until the lease ends. */
  run(lease: LeaseHandle): Promise<void> {
    this.#running = this.#run(lease).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Publishes what is committed by now, if it is this process that publishes, and then no more. */
  async finish(): Promise<void> {
    const { feed } = this.#services;
    const head = await feed.refresh();
    this.#end = this.#running ? head.seq : 0;
    this.#ring();
    await this.#running;
  }

  async #run(lease: LeaseHandle): Promise<void> {
    const ring = (): void => this.#ring();
    const ignore = this.#services.feed.onModel(MODEL, ring);
    lease.signal.addEventListener('abort', ring);
    let pauseMs = RETRY_MIN_MS;
    try {
      while (!lease.signal.aborted && !this.#isFinished()) {
        try {
          this.#progress ??= await Progress.restore(this.#services, lease);
          await this.#step(this.#progress, lease);
          pauseMs = RETRY_MIN_MS;
        } catch (error) {
          if (error instanceof LeaseLostError) {
            throw error;
          }
          this.#tell(error, lease);
          await sleep(pauseMs, undefined, { signal: lease.signal }).catch(() => undefined);
          pauseMs = Math.min(pauseMs * 2, RETRY_MAX_MS);
        }
      }
      await this.#progress?.store().catch((error) => this.#tell(error, lease));
    } finally {
      this.#progress = null;
      ignore();
      lease.signal.removeEventListener('abort', ring);
    }
  }

  /** Publishes what comes next in the log, or waits for something to come. */
  async #step(progress: Progress, lease: LeaseHandle): Promise<void> {
    this.#rung = false;
    const { changes, upTo } = await this.#read(progress);
    const inserts = changes.filter(({ action }) => action === 'INSERT');
    const messages = await composeOutgoing(this.#services, inserts, this.#onFailure);
    if (messages.length > 0) {
      const { confirmed, failure } = await this.#outbox.send(messages, lease);
      if (failure !== null) {
        const last = messages[confirmed - 1];
        await progress.advance(last?.position ?? progress.position);
        throw failure;
      }
    }
    await progress.advance(upTo);
    if (changes.length === 0 && !this.#isFinished()) {
      await this.#idle(progress.isStored ? IDLE_INTERVAL_MS : STORE_DELAY_MS, lease);
    }
  }

  async #read(progress: Progress): Promise<{ changes: readonly Change[]; upTo: LogPosition }> {
    try {
      return await this.#services.feed.read([MODEL], progress.position, this.#skipsTo === progress.position);
    } catch (error) {
      if (error instanceof AppError && error.code === 'RESYNC_REQUIRED') {
        await this.#skip(progress);
        return this.#services.feed.read([MODEL], progress.position, true);
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
    const target = oldest ? { seq: Number(oldest.seq), at: oldest.at.getTime() } : LOG_START;
    this.#onFailure(
      new Error(
        `CHAT MESSAGES MAY BE MISSING in RabbitMQ: the change log was kept too short a time. They were published up to change ${seq}, and go on with change ${target.seq}.`,
      ),
    );
    this.#skipsTo = target;
    progress.jump(target);
  }

  async #idle(ms: number, { signal }: LeaseHandle): Promise<void> {
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

  /** Passes a failure on, unless it only says that the lease has ended. */
  #tell(error: unknown, { signal }: LeaseHandle): void {
    if (!signal.aborted) {
      this.#onFailure(error);
    }
  }
}
