import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from 'rabbitmq-client';
import type { ContextFactory } from '../../accounts/credentials.ts';
import type { Services } from '../../context.ts';
import { repeat } from '../../database/housekeeping.ts';
import { workUnderLease } from '../../database/lease.ts';
import { closeInOrder } from '../../host/closing.ts';
import { consumeInbound } from './inbound.ts';
import { forgetOldInbound } from './inbound-retention.ts';
import { Outbox } from './outbox.ts';
import { ensureStart, RELAY } from './progress.ts';
import { Relay } from './relay.ts';

/** After how many seconds without a sign of life either side takes the other for gone. */
const HEARTBEAT_S = 5;
const RECONNECT_MIN_MS = 250;
const RECONNECT_MAX_MS = 4_000;
/** Work for the broker waits as long as it is away. */
const FOR_EVER_MS = 2 ** 31 - 1;
const FORGET_INTERVAL_MS = 10 * 60 * 1000;
/** How long each step of the end may take. */
const CLOSE_PATIENCE_MS = 2_000;

export interface BrokerOptions {
  /** `amqp://` or `amqps://`, with the virtual host as its path. */
  readonly url: string;
  readonly services: Services;
  readonly contextOf: ContextFactory;
  /** Takes note of a failure; it is tried again. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * Connects chat with RabbitMQ: out, every message that was committed; in, those of other programs. It does not wait for the broker, which may
 * come and go. Gives what ends it, within seconds.
 */
export async function startBroker({
  url,
  services,
  contextOf,
  onFailure,
}: BrokerOptions): Promise<() => Promise<void>> {
  await ensureStart(services);
  let closing = false;
  const report = (error: unknown): void => {
    if (!closing) {
      onFailure(error);
    }
  };
  const connection = new Connection({
    url: withCredentials(url),
    connectionName: 'tidings',
    heartbeat: HEARTBEAT_S,
    retryLow: RECONNECT_MIN_MS,
    retryHigh: RECONNECT_MAX_MS,
    acquireTimeout: FOR_EVER_MS,
    noDelay: true,
  });
  connection.on('error', (error) => report(new Error('RabbitMQ is away; it is tried again.', { cause: error })));
  connection.on('connection.blocked', (reason) => report(new Error(`RabbitMQ takes no messages for now: ${reason}`)));

  const outbox = new Outbox(connection);
  const relay = new Relay(services, outbox, report);
  const stopConsuming = consumeInbound(connection, { contextOf, database: services.database, onFailure: report });
  const stopRelaying = workUnderLease({ database: services.database, name: RELAY, onFailure: report }, (lease) =>
    relay.run(lease),
  );
  const stopForgetting = repeat({
    intervalMs: FORGET_INTERVAL_MS,
    work: (stopping) => forgetOldInbound(services.database, stopping),
    onFailure: report,
  });

  return async () => {
    closing = true;
    // Without the broker there is nothing to wait for: what is not published yet will be, by another process or after the next start.
    const isUsable = connection.ready;
    const giveUp = (): void => connection.unsafeDestroy();
    if (!isUsable) {
      giveUp();
    }
    await closeInOrder([
      stopForgetting,
      () => within(CLOSE_PATIENCE_MS, stopConsuming(), giveUp),
      () => within(CLOSE_PATIENCE_MS, isUsable ? relay.finish() : Promise.resolve(), () => undefined),
      () => within(CLOSE_PATIENCE_MS, stopRelaying(), giveUp),
      () => within(CLOSE_PATIENCE_MS, outbox.close(), giveUp),
      () => within(CLOSE_PATIENCE_MS, isUsable ? connection.close() : Promise.resolve(), giveUp),
    ]).catch(isUsable ? onFailure : () => undefined);
    giveUp();
  };
}

/** Clients of RabbitMQ take a URL without a user as one of the user that it comes with. */
function withCredentials(url: string): string {
  const parsed = new URL(url);
  if (parsed.username === '') {
    parsed.username = 'guest';
    parsed.password = 'guest';
  }
  return parsed.href;
}

async function within(ms: number, work: Promise<unknown>, onTimeout: () => void): Promise<void> {
  const inTime = work.then(() => true);
  if (!(await Promise.race([inTime, sleep(ms, false, { ref: false })]))) {
    onTimeout();
  }
}
