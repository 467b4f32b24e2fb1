import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from 'rabbitmq-client';
import type { Services } from '../../context.ts';
import { runPeriodically } from '../../database/housekeeping.ts';
import { runUnderLease } from '../../database/lease.ts';
import { closeInOrder } from '../../host/closing.ts';
import type { ContextFactory } from '../../identity/credentials.ts';
import type { Telemetry } from '../../telemetry.ts';
import { socketRooms } from '../socket-rooms.ts';
import { ExchangeListener } from './exchange-listener.ts';
import { removeSilentExchanges } from './exchanges.ts';
import { consumeInbound } from './inbound.ts';
import { removeExpiredInbound } from './inbound-retention.ts';
import { ensureStart, RELAY_NAME } from './progress.ts';
import { ChatPublisher } from './publisher.ts';
import { Relay } from './relay.ts';

/** The heartbeat time-out of AMQP, in seconds. */
const HEARTBEAT_S = 5;
const RECONNECT_MIN_MS = 250;
const RECONNECT_MAX_MS = 4_000;
/** The longest delay of a timer: work waits as long as the broker is unavailable. In milliseconds. */
const UNLIMITED_MS = 2 ** 31 - 1;
const CLEANUP_INTERVAL_MS = 10 * 60 * 1000;
/** How long each step of closing may take, in milliseconds. */
const CLOSE_STEP_TIMEOUT_MS = 2_000;

export interface BrokerOptions {
  /** `amqp://` or `amqps://`, with the virtual host as its path. */
  readonly url: string;
  /** How long the exchange of a chat without messages is kept, in seconds. */
  readonly exchangeRetentionS: number;
  readonly services: Services;
  readonly contextOf: ContextFactory;
  /** Reports a failure; the work is tried again. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * Connects chat with RabbitMQ: it publishes every committed message, and consumes messages of other programs. It does not wait for the broker, which may be
 * unavailable at any time. Returns the function that closes it within seconds.
 */
export async function startBroker({
  url,
  exchangeRetentionS,
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
    acquireTimeout: UNLIMITED_MS,
    noDelay: true,
  });
  connection.on('error', (error) =>
    report(new Error('The connection to RabbitMQ failed; it is tried again.', { cause: error })),
  );
  connection.on('connection.blocked', (reason) =>
    report(new Error(`RabbitMQ blocks publishing: ${reason}. It continues when the broker has resources again.`)),
  );

  const publisher = new ChatPublisher(connection, services.telemetry);
  const relay = new Relay(services, publisher, report);
  const listener = new ExchangeListener(connection, socketRooms(services), report);
  listener.start();
  addGauges(services.telemetry, connection, relay, listener);
  const stopConsuming = consumeInbound(connection, {
    contextOf,
    database: services.database,
    telemetry: services.telemetry,
    onFailure: report,
  });
  const removal = {
    connection,
    database: services.database,
    retentionMs: exchangeRetentionS * 1000,
    // The process that publishes removes, so that it knows which exchanges it has to declare again.
    onRemoval: (exchange: string) => publisher.forget(exchange),
    onFailure: report,
  };
  const stopRelaying = runUnderLease(
    { database: services.database, name: RELAY_NAME, onFailure: report },
    async (lease) => {
      await Promise.all([relay.run(lease), removeSilentExchanges(removal, lease)]);
    },
  );
  const stopCleanup = runPeriodically({
    intervalMs: CLEANUP_INTERVAL_MS,
    work: (stopping) => removeExpiredInbound(services.database, stopping),
    onFailure: report,
  });

  return async () => {
    closing = true;
    // Without the broker there is nothing to wait for: another process or the next start publishes the remaining messages.
    const isUsable = connection.ready;
    const destroy = (): void => connection.unsafeDestroy();
    if (!isUsable) {
      destroy();
    }
    await closeInOrder([
      stopCleanup,
      () => within(CLOSE_STEP_TIMEOUT_MS, listener.close(), destroy),
      () => within(CLOSE_STEP_TIMEOUT_MS, stopConsuming(), destroy),
      () => within(CLOSE_STEP_TIMEOUT_MS, isUsable ? relay.finish() : Promise.resolve(), () => undefined),
      () => within(CLOSE_STEP_TIMEOUT_MS, stopRelaying(), destroy),
      () => within(CLOSE_STEP_TIMEOUT_MS, publisher.close(), destroy),
      () => within(CLOSE_STEP_TIMEOUT_MS, isUsable ? connection.close() : Promise.resolve(), destroy),
    ]).catch(isUsable ? onFailure : () => undefined);
    destroy();
  };
}

function addGauges(telemetry: Telemetry, connection: Connection, relay: Relay, listener: ExchangeListener): void {
  telemetry.addGauge({
    name: 'tidings_rabbitmq_external_messages_total',
    help: 'Messages that other programs published to the exchanges of chats with open chat sockets, by outcome.',
    label: 'outcome',
    isTotal: true,
    read: () => listener.counts,
  });
  telemetry.addGauge({
    name: 'tidings_rabbitmq_connected',
    help: 'The processes that are connected to RabbitMQ.',
    read: () => Number(connection.ready),
  });
  telemetry.addGauge({
    name: 'tidings_rabbitmq_backlog_messages',
    help: 'Chat messages that wait to be published to RabbitMQ, up to 10,000.',
    read: () => relay.countBacklog(),
  });
  telemetry.addGauge({
    name: 'tidings_rabbitmq_published_total',
    help: 'Chat messages that RabbitMQ has confirmed.',
    isTotal: true,
    read: () => relay.published,
  });
}

/** Adds the default user of RabbitMQ to a URL without a user, as its clients do. */
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
