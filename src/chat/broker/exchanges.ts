import { setTimeout as sleep } from 'node:timers/promises';
import { AMQPConnectionError, AMQPError, type Channel, type Connection } from 'rabbitmq-client';
import type { Database } from '../../database/client.ts';
import type { LeaseHandle } from '../../database/lease.ts';
import { isExchangeName } from './outgoing-messages.ts';
import { unlessAborted } from './unless-aborted.ts';

/** How many chats are checked at once. */
const BATCH = 200;
const MAX_BATCH_INTERVAL_MS = 10_000;
/** How often all chats are checked within the retention. */
const CHECKS_PER_RETENTION = 4;

/**
 * Declares the exchange of a chat, on a channel of its own: the broker closes the channel when another program declared the exchange with other options.
 * Returns whether the exchange has the options of the server.
 */
export async function declareExchange(connection: Connection, exchange: string, signal: AbortSignal): Promise<boolean> {
  return withChannel(connection, signal, async (channel) => {
    try {
      await channel.exchangeDeclare({ exchange, type: 'fanout', durable: false });
      return true;
    } catch (error) {
      if (hasCode(error, 'PRECONDITION_FAILED')) {
        return false;
      }
      throw error;
    }
  });
}

/** Returns a new channel. Waits while the broker is unavailable, until the signal is aborted. */
export async function acquireChannel(connection: Connection, signal: AbortSignal): Promise<Channel> {
  const opening = connection.acquire();
  try {
    return await unlessAborted(opening, signal);
  } catch (error) {
    opening.then((channel) => channel.close()).catch(() => undefined);
    throw error;
  }
}

export interface ExchangeRemovalOptions {
  readonly connection: Connection;
  readonly database: Database;
  readonly retentionMs: number;
  /** Called with the name of an exchange before it is removed and afterwards. */
  readonly onRemoval: (exchange: string) => void;
  readonly onFailure: (error: unknown) => void;
}

/**
 * Removes the exchanges of chats whose last message is older than the retention, unless a queue is bound to them, until the lease ends. The next message or
 * socket of the chat declares the exchange again. It goes through the chats by their keys, a batch at a time.
 */
export async function removeSilentExchanges(options: ExchangeRemovalOptions, { signal }: LeaseHandle): Promise<void> {
  const { connection, retentionMs, onFailure } = options;
  const roundMs = retentionMs / CHECKS_PER_RETENTION;
  let after = 0;
  let roundEndsAt = performance.now() + roundMs;
  const wait = async (ms: number): Promise<void> => {
    await sleep(Math.min(ms, 2 ** 31 - 1), undefined, { signal }).catch(() => undefined);
  };
  await wait(Math.min(roundMs, MAX_BATCH_INTERVAL_MS));
  while (!signal.aborted) {
    if (connection.ready) {
      after = await removeBatch(options, after, signal).catch((error: unknown) => {
        // The connection reports its own failures.
        if (!signal.aborted && !(error instanceof AMQPConnectionError)) {
          onFailure(error);
        }
        return after;
      });
    }
    await wait(Math.min(roundMs, MAX_BATCH_INTERVAL_MS));
    if (after === 0) {
      await wait(roundEndsAt - performance.now());
      roundEndsAt = performance.now() + roundMs;
    }
  }
}

/** Checks the chats after this one. Returns the last one, or 0 after the last of all. */
async function removeBatch(
  { connection, database, retentionMs, onRemoval }: ExchangeRemovalOptions,
  after: number,
  signal: AbortSignal,
): Promise<number> {
  const chats = await database.chatSession.findMany({
    where: { id: { gt: after } },
    orderBy: { id: 'asc' },
    take: BATCH,
    select: { id: true, uri: true, updatedAt: true },
  });
  const silentSince = Date.now() - retentionMs;
  for (const { id, uri, updatedAt } of chats) {
    if (signal.aborted) {
      return after;
    }
    if (isExchangeName(uri) && updatedAt.getTime() < silentSince && (await isSilent(database, id, silentSince))) {
      onRemoval(uri);
      await removeUnused(connection, uri, signal);
      // A message may have declared the exchange again just before it was removed.
      onRemoval(uri);
    }
  }
  return chats.length < BATCH ? 0 : (chats.at(-1)?.id ?? 0);
}

async function isSilent({ chatMessage }: Database, chatSessionId: number, since: number): Promise<boolean> {
  const last = await chatMessage.findFirst({
    where: { chatSessionId },
    orderBy: { id: 'desc' },
    select: { createdAt: true },
  });
  return (last?.createdAt.getTime() ?? 0) < since;
}

/** Removes an exchange of the server without bindings. One that another program declared with other options remains. */
async function removeUnused(connection: Connection, exchange: string, signal: AbortSignal): Promise<void> {
  if (!(await declareExchange(connection, exchange, signal))) {
    return;
  }
  await withChannel(connection, signal, async (channel) => {
    try {
      await channel.exchangeDelete({ exchange, ifUnused: true });
    } catch (error) {
      if (!hasCode(error, 'PRECONDITION_FAILED')) {
        throw error;
      }
    }
  });
}

async function withChannel<Result>(
  connection: Connection,
  signal: AbortSignal,
  work: (channel: Channel) => Promise<Result>,
): Promise<Result> {
  const channel = await acquireChannel(connection, signal);
  try {
    return await work(channel);
  } finally {
    await channel.close().catch(() => undefined);
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof AMQPError && error.code === code;
}
