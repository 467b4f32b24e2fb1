import { randomUUID } from 'node:crypto';
import type { Channel } from 'rabbitmq-client';

/**
 * The options of the queue. The broker drops the oldest messages beyond these limits, and messages that waited longer than this, which are too late for a
 * socket; and it removes the queue when it was not read for a minute.
 */
const QUEUE = {
  exclusive: true,
  arguments: {
    'x-max-length': 1_000,
    'x-max-length-bytes': 256 * 1024,
    'x-message-ttl': 10_000,
    'x-expires': 60_000,
  },
} as const;

/** A routing key that selects no message, since fanout exchanges are published to with any other one. */
const NO_MESSAGE = 'tidings.none';

/** The queue of one process for the messages that other programs publish to the exchanges of chats. */
export interface ExternalQueue {
  readonly name: string;
  readonly bind: (exchange: string) => Promise<void>;
  readonly unbind: (exchange: string) => Promise<void>;
}

/**
 * Declares the queue of this process. The server's own messages, recognised by their headers, do not enter it: they would crowd out the others, and a message
 * of which the broker says that it reached a queue counts as received by another program (`ChatPublisher`).
 *
 * The exchanges of chats are bound to a headers exchange that routes own messages to an exchange without a destination for them, and all others, by its
 * alternate exchange, to the queue. All of these exchanges are removed by the broker after the queue.
 */
export async function declareExternalQueue(channel: Channel): Promise<ExternalQueue> {
  const name = `tidings.chat.sockets.${randomUUID()}`;
  const [headers, own, others] = [`${name}.headers`, `${name}.own`, `${name}.others`];
  const temporary = { durable: false, autoDelete: true } as const;
  await channel.queueDeclare({ queue: name, ...QUEUE });
  await channel.exchangeDeclare({ exchange: others, type: 'fanout', ...temporary });
  await channel.queueBind({ queue: name, exchange: others, routingKey: '' });
  await channel.exchangeDeclare({ exchange: own, type: 'direct', ...temporary });
  await channel.queueBind({ queue: name, exchange: own, routingKey: NO_MESSAGE });
  await channel.exchangeDeclare({
    exchange: headers,
    type: 'headers',
    ...temporary,
    arguments: { 'alternate-exchange': others },
  });
  // Null stands for any value.
  const hasOwnHeaders = { 'x-match': 'all', message_id: null, timestamp: null };
  await channel.exchangeBind({ destination: own, source: headers, routingKey: '', arguments: hasOwnHeaders });
  return {
    name,
    bind: (exchange) => channel.exchangeBind({ destination: headers, source: exchange, routingKey: '' }),
    unbind: (exchange) => channel.exchangeUnbind({ destination: headers, source: exchange, routingKey: '' }),
  };
}
