import { setTimeout as sleep } from 'node:timers/promises';
import { AMQPError, type AsyncMessage, type Connection, ConsumerStatus, type Publisher } from 'rabbitmq-client';
import type { ContextFactory } from '../../accounts/credentials.ts';
import { type Database, isReady } from '../../database/open.ts';
import { closeInOrder } from '../../host/closing.ts';
import { RefusedError, takeOver } from './inbound-message.ts';

const INBOUND_QUEUE = 'tidings.chat.inbound';
const REJECTED_QUEUE = 'tidings.chat.rejected';

/** How many messages a process may have at hand; they are taken over one after the other, in their order. */
const PREFETCH = 50;
const RETRY_MS = 1_000;
/** How often a message is tried that fails although the database can be read, before it is rejected. */
const MAX_ATTEMPTS = 30;
/** A reason that is longer would not fit a frame. */
const MAX_REASON = 500;

export interface InboundOptions {
  readonly contextOf: ContextFactory;
  readonly database: Database;
  readonly onFailure: (error: unknown) => void;
}

/**
 * Takes messages of other programs over into chats, in their order, as long as it is not stopped. One process at a time consumes; when it is gone, another one
 * does within seconds. Messages that break a rule go to a queue of their own. After an unexpected failure the message is tried again at its
 * place: as long as the database is away, and otherwise for half a minute, after which it is rejected with the reason.
 */
export function consumeInbound(
  connection: Connection,
  { contextOf, database, onFailure }: InboundOptions,
): () => Promise<void> {
  const stopping = new AbortController();
  const rejects = connection.createPublisher({ confirm: true });

  const handle = async (message: AsyncMessage): Promise<ConsumerStatus> => {
    for (let attempts = 0; !stopping.signal.aborted; ) {
      try {
        await settle(message);
        return ConsumerStatus.ACK;
      } catch (error) {
        onFailure(error);
        attempts += (await isReady(database)) ? 1 : 0;
        if (attempts >= MAX_ATTEMPTS) {
          const reason = `The message failed ${attempts} times without an error of its own; the log of the server tells more.`;
          await reject(connection, rejects, message, reason);
          return ConsumerStatus.ACK;
        }
        await sleep(RETRY_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    }
    return ConsumerStatus.REQUEUE;
  };
  const settle = async (message: AsyncMessage): Promise<void> => {
    try {
      await takeOver(contextOf, message);
    } catch (error) {
      if (!(error instanceof RefusedError)) {
        throw error;
      }
      await reject(connection, rejects, message, error.message);
    }
  };

  const consumer = connection.createConsumer(
    {
      queue: INBOUND_QUEUE,
      queueOptions: { durable: true },
      qos: { prefetchCount: PREFETCH },
      concurrency: 1,
      // Several consumers would take messages over side by side, out of their order.
      exclusive: true,
    },
    handle,
  );
  consumer.on('error', (error) => {
    const isTaken = error instanceof AMQPError && error.code === 'ACCESS_REFUSED';
    if (!stopping.signal.aborted && !isTaken) {
      onFailure(error);
    }
  });
  return () => {
    stopping.abort();
    return closeInOrder([() => consumer.close(), () => rejects.close()]);
  };
}

async function reject(
  connection: Connection,
  rejects: Publisher,
  { body, contentType, messageId }: AsyncMessage,
  reason: string,
): Promise<void> {
  // Each time, since a message to a queue that somebody deleted would be confirmed and lost.
  await connection.queueDeclare({ queue: REJECTED_QUEUE, durable: true });
  await rejects.send(
    {
      exchange: '',
      routingKey: REJECTED_QUEUE,
      durable: true,
      ...(messageId !== undefined && { messageId }),
      ...(contentType !== undefined && { contentType }),
      headers: { 'x-reason': reason.slice(0, MAX_REASON) },
    },
    bytesOf(body),
  );
}

/** The body as it came; the client has read it already when its content type said what it was. */
function bytesOf(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) {
    return body;
  }
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}
