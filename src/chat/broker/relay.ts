import { setTimeout as sleep } from 'node:timers/promises';
import type { Change } from '../../changes/change.ts';
import { LOG_START, type LogPosition } from '../../changes/cursor.ts';
import type { Services } from '../../context.ts';
import { type LeaseHandle, LeaseLostError } from '../../database/lease.ts';
import { AppError } from '../../errors.ts';
import { composeOutgoing } from './outgoing-messages.ts';
import { Progress } from './progress.ts';
import type { ChatPublisher } from './publisher.ts';

/** How often the position advances while there are no messages, so that it stays within the retention of the log. */
const IDLE_INTERVAL_MS = 5_000;
const STORE_DELAY_MS = 100;
const RETRY_MIN_MS = 250;
const RETRY_MAX_MS = 10_000;

const MODEL = 'ChatMessage';
/** The largest backlog that the metrics report, in messages. */
const MAX_COUNTED = 10_000;

/** Publishes every committed chat message in the order of the log, while this process holds the lease. */
export class Relay {
  readonly #services: Services;
  readonly #publisher: ChatPublisher;
  readonly #onFailure: (error: unknown) => void;
  #progress: Progress | null = null;
  #running: Promise<void> | null = null;
  /** The `seq` of the last change to publish. */
  #end = Number.POSITIVE_INFINITY;
  /** Whether there may be more to do than the current step has read. */
  #isWoken = false;
  /** The position to which the relay skipped. The change at this position is published itself. */
  #skippedTo: LogPosition | null = null;
  #endIdle: () => void = () => undefined;

  constructor(services: Services, publisher: ChatPublisher, onFailure: (error: unknown) => void) {
    this.#services = services;
    this.#publisher = publisher;
    this.#onFailure = onFailure;
  }

  /** How many messages RabbitMQ has confirmed. */
  published = 0;

  /** Returns how many messages wait to be published, up to {@link MAX_COUNTED}; 0 in a process without the lease. */
  async countBacklog(): Promise<number> {
    if (!this.#progress) {
      return 0;
    }
    const { seq } = this.#progress.position;
    const where = { model: MODEL, action: 'INSERT', seq: { gt: BigInt(seq) } } as const;
    const waiting = await this.#services.database.change.findMany({ where, take: MAX_COUNTED, select: { seq: true } });
    return waiting.length;
  }

  /** Publishes until the lease ends. */
  run(lease: LeaseHandle): Promise<void> {
    this.#running = this.#run(lease).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Publishes the messages that are committed at the time of the call, if this process holds the lease, and then stops. */
  async finish(): Promise<void> {
    const { feed } = this.#services;
    const head = await feed.refresh();
    this.#end = this.#running ? head.seq : 0;
    this.#wake();
    await this.#running;
  }

  async #run(lease: LeaseHandle): Promise<void> {
    const wake = (): void => this.#wake();
    const stopListening = this.#services.feed.onModel(MODEL, wake);
    lease.signal.addEventListener('abort', wake);
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
          this.#report(error, lease);
          await sleep(pauseMs, undefined, { signal: lease.signal }).catch(() => undefined);
          pauseMs = Math.min(pauseMs * 2, RETRY_MAX_MS);
        }
      }
      await this.#progress?.store().catch((error) => this.#report(error, lease));
    } finally {
      this.#progress = null;
      stopListening();
      lease.signal.removeEventListener('abort', wake);
    }
  }

  /** Publishes the next messages of the log, or waits until there are some. */
  async #step(progress: Progress, lease: LeaseHandle): Promise<void> {
    this.#isWoken = false;
    const { changes, upTo } = await this.#read(progress);
    const inserts = changes.filter(({ action }) => action === 'INSERT');
    const messages = await composeOutgoing(this.#services, inserts, this.#onFailure);
    if (messages.length > 0) {
      const { confirmed, failure } = await this.#publisher.send(messages, lease);
      this.published += confirmed;
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
      return await this.#services.feed.read([MODEL], progress.position, this.#skippedTo === progress.position);
    } catch (error) {
      if (error instanceof AppError && error.code === 'RESYNC_REQUIRED') {
        await this.#skip(progress);
        return this.#services.feed.read([MODEL], progress.position, true);
      }
      throw error;
    }
  }

  /** Moves the position to the oldest change of the log. The changes before it were removed before they could be published. */
  async #skip(progress: Progress): Promise<void> {
    const oldest = await this.#services.database.change.findFirst({
      orderBy: { seq: 'asc' },
      select: { seq: true, at: true },
    });
    const { seq } = progress.position;
    const target = oldest ? { seq: Number(oldest.seq), at: oldest.at.getTime() } : LOG_START;
    this.#onFailure(
      new Error(
        `CHAT MESSAGES MAY BE MISSING in RabbitMQ: the change log no longer contains the changes after ${seq}, the last published one. Publishing continues with change ${target.seq}. Increase CHANGE_RETENTION_S.`,
      ),
    );
    this.#skippedTo = target;
    progress.jump(target);
  }

  async #idle(ms: number, { signal }: LeaseHandle): Promise<void> {
    if (this.#isWoken || signal.aborted) {
      return;
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #wake(): void {
    this.#isWoken = true;
    this.#endIdle();
  }

  #isFinished(): boolean {
    return Number.isFinite(this.#end) && (this.#progress?.position.seq ?? this.#end) >= this.#end;
  }

  /** Reports a failure, unless it is only the end of the lease. */
  #report(error: unknown, { signal }: LeaseHandle): void {
    if (!signal.aborted) {
      this.#onFailure(error);
    }
  }
}
