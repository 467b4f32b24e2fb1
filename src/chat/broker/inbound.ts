import { setTimeout as sleep } from 'node:timers/promises';
import { AMQPError, type AsyncMessage, type Connection, ConsumerStatus, type Publisher } from 'rabbitmq-client';
import type { Database } from '../../database/client.ts';
import { isReady } from '../../database/open.ts';
import { closeInOrder } from '../../host/closing.ts';
import type { ContextFactory } from '../../identity/credentials.ts';
import type { Telemetry, TracedWork } from '../../telemetry.ts';
import { storeInbound } from './inbound-message.ts';
import { RejectedMessageError } from './message-body.ts';

const INBOUND_QUEUE = 'tidings.chat.inbound';
const REJECTED_QUEUE = 'tidings.chat.rejected';

/** How many messages the broker sends in advance. They are stored one after the other, in their order. */
const PREFETCH = 50;
const RETRY_MS = 1_000;
/** How often storing a message may fail while the database is available, before the message is rejected. */
const MAX_ATTEMPTS = 30;
/** The longest reason that is sent, in characters: headers have to fit one AMQP frame. */
const MAX_REASON = 500;

export interface InboundOptions {
  readonly contextOf: ContextFactory;
  readonly database: Database;
  readonly telemetry: Telemetry;
  readonly onFailure: (error: unknown) => void;
}

/** Returns the traced work of storing a message. It continues the trace of the program that sent the message. */
function traceOf({ headers, messageId }: AsyncMessage): TracedWork {
  const traceParent = headers?.['traceparent'];
  return {
    name: 'receive chat message',
    kind: 'consumer',
    attributes: {
      'messaging.system': 'rabbitmq',
      'messaging.destination.name': INBOUND_QUEUE,
      ...(messageId !== undefined && { 'messaging.message.id': messageId }),
    },
    traceParent: typeof traceParent === 'string' ? traceParent : null,
  };
}

/**
 * Stores the messages of other programs in their chats, in order, until it is stopped. One process consumes at a time; another one takes over within seconds
 * after it stops. Invalid messages go to the queue of rejected messages. After an unexpected failure the same message is tried again: while the
 * database is unavailable, and otherwise for half a minute, after which it is rejected.
 */
export function consumeInbound(
  connection: Connection,
  { contextOf, database, telemetry, onFailure }: InboundOptions,
): () => Promise<void> {
  const stopping = new AbortController();
  const rejects = connection.createPublisher({ confirm: true });

  const handle = async (message: AsyncMessage): Promise<ConsumerStatus> => {
    for (let attempts = 0; !stopping.signal.aborted; ) {
      try {
        await storeOrReject(message);
        return ConsumerStatus.ACK;
      } catch (error) {
        onFailure(error);
        attempts += (await isReady(database)) ? 1 : 0;
        if (attempts >= MAX_ATTEMPTS) {
          const reason = `Storing the message failed ${attempts} times for an unexpected error, which is in the log of the server.`;
          await reject(connection, rejects, message, reason);
          return ConsumerStatus.ACK;
        }
        await sleep(RETRY_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    }
    return ConsumerStatus.REQUEUE;
  };
  const storeOrReject = async (message: AsyncMessage): Promise<void> => {
    try {
      await telemetry.trace(traceOf(message), () => storeInbound(contextOf, message));
    } catch (error) {
      if (!(error instanceof RejectedMessageError)) {
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
      // Several consumers would store messages out of order.
      exclusive: true,
    },
    handle,
  );
  consumer.on('error', (error) => {
    const hasOtherConsumer = error instanceof AMQPError && error.code === 'ACCESS_REFUSED';
    if (!stopping.signal.aborted && !hasOtherConsumer) {
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
  // Declared each time, since a message to a queue that was deleted would be confirmed and lost.
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

/** Returns the body as it was received. The client library has parsed it where the content type is JSON or text. */
function bytesOf(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) {
    return body;
  }
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}
