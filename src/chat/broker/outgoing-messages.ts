import { z } from 'zod';
import type { Change } from '../../changes/change.ts';
import type { LogPosition } from '../../changes/cursor.ts';
import type { Services } from '../../context.ts';
import { byId } from '../../database/batch.ts';
import type { User } from '../../generated/client/client.ts';
import { messageBody } from '../bodies.ts';

/** A chat message on its way to the exchange of its chat. */
export interface OutgoingMessage {
  readonly position: LogPosition;
  /** The cursor of the change that inserted the message. A consumer recognises a repeated message by it. */
  readonly id: string;
  readonly exchange: string;
  readonly body: Buffer;
}

/** The longest name of an exchange that AMQP allows, in bytes. */
const MAX_EXCHANGE_BYTES = 255;
/** The default limit of RabbitMQ for a message (`max_message_size`), in bytes. */
const MAX_BODY_BYTES = 128 * 1024 * 1024;

/**
 * Returns the messages for the broker for changes that inserted chat messages, in their order. Messages whose author or the owner of the chat has deleted them
 * since are left out: their text is not published any more. The data of rows that are gone comes from the log. Messages that no broker
 * would accept, which only raw SQL can write, are left out and reported.
 */
export async function composeOutgoing(
  services: Services,
  inserts: readonly Change[],
  onFailure: (error: unknown) => void,
): Promise<OutgoingMessage[]> {
  if (inserts.length === 0) {
    return [];
  }
  const deleted = await findDeleted(services, inserts);
  const rows = inserts.flatMap((change) => {
    if (deleted.has(change.rowId)) {
      return [];
    }
    try {
      return { change, ...messageRow.parse(change.after) };
    } catch (error) {
      onFailure(error);
      return [];
    }
  });
  const users = byId(
    await services.database.user.findMany({ where: { id: { in: distinct(rows.map(({ userId }) => userId)) } } }),
  );
  const uris = await findUris(services, distinct(rows.map(({ chatSessionId }) => chatSessionId)));
  return rows.flatMap(({ change, chatSessionId, userId, message }) => {
    const exchange = uris.get(chatSessionId) ?? '';
    const body = Buffer.from(JSON.stringify(messageBody(users.get(userId) ?? formerUser(userId), message)));
    if (!isExchangeName(exchange) || body.length > MAX_BODY_BYTES) {
      onFailure(
        new Error(
          `Chat message ${change.rowId} was not published: the uri of its chat is no valid name of an exchange, or its text is too long for RabbitMQ.`,
        ),
      );
      return [];
    }
    return [{ position: { seq: change.seq, at: change.at }, id: change.cursor, exchange, body }];
  });
}

/** Returns the ids of the messages that were deleted and keep their place. */
async function findDeleted({ database }: Services, inserts: readonly Change[]): Promise<ReadonlySet<number>> {
  const found = await database.chatMessage.findMany({
    where: { id: { in: inserts.map(({ rowId }) => rowId) }, deletedAt: { not: null } },
    select: { id: true },
  });
  return new Set(found.map(({ id }) => id));
}

/** Returns whether a uri can name an exchange, which only uris that raw SQL wrote cannot. */
export function isExchangeName(uri: string): boolean {
  return uri !== '' && !uri.startsWith('amq.') && Buffer.byteLength(uri) <= MAX_EXCHANGE_BYTES;
}

const messageRow = z.object({ chatSessionId: z.number(), userId: z.number(), message: z.string() });
const chatRow = z.object({ uri: z.string() });

/** Returns the uris of chats by id. Those of deleted chats come from the change that deleted them. */
async function findUris({ database }: Services, ids: number[]): Promise<ReadonlyMap<number, string>> {
  const chats = await database.chatSession.findMany({ where: { id: { in: ids } }, select: { id: true, uri: true } });
  const uris = new Map(chats.map(({ id, uri }) => [id, uri]));
  const gone = ids.filter((id) => !uris.has(id));
  if (gone.length > 0) {
    const deletions = await database.change.findMany({
      where: { model: 'ChatSession', action: 'DELETE', rowId: { in: gone } },
      select: { rowId: true, before: true },
    });
    for (const { rowId, before } of deletions) {
      uris.set(rowId, chatRow.parse(JSON.parse(before ?? '{}')).uri);
    }
  }
  return uris;
}

/** Returns a body for the author of a message if both were deleted before it was published: only the id of the author is known. */
function formerUser(id: number): Parameters<typeof messageBody>[0] {
  return { id, username: '', email: '', firstName: '', lastName: '' } as User;
}

function distinct(ids: readonly number[]): number[] {
  return [...new Set(ids)];
}
