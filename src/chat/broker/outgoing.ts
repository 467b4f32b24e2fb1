import { z } from 'zod';
import type { Change } from '../../changes/change.ts';
import type { LogPosition } from '../../changes/cursor.ts';
import type { Services } from '../../context.ts';
import { byId } from '../../database/batch.ts';
import type { User } from '../../generated/client/client.ts';
import { messageBody } from '../bodies.ts';

/** A chat message on its way to the exchange of its chat. */
export interface Outgoing {
  readonly position: LogPosition;
  /** The cursor of the change that wrote the message: by it a reader knows a message that comes twice. */
  readonly id: string;
  readonly exchange: string;
  readonly body: Buffer;
}

/** What AMQP allows the name of an exchange to be, in bytes. */
const MAX_EXCHANGE_BYTES = 255;
/** What RabbitMQ takes as one message unless it is told otherwise, in bytes. */
const MAX_BODY_BYTES = 128 * 1024 * 1024;

/**
 * Makes messages for the broker out of changes that inserted chat messages, in their order. Rows that are gone by now are told from the log. What
 * no broker would take (only raw SQL can write it) is left out and reported.
 */
export async function composeOutgoing(
  services: Services,
  inserts: readonly Change[],
  onFailure: (error: unknown) => void,
): Promise<Outgoing[]> {
  if (inserts.length === 0) {
    return [];
  }
  const rows = inserts.flatMap((change) => {
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
    const nameable =
      exchange !== '' && !exchange.startsWith('amq.') && Buffer.byteLength(exchange) <= MAX_EXCHANGE_BYTES;
    if (!nameable || body.length > MAX_BODY_BYTES) {
      onFailure(
        new Error(`RabbitMQ can't carry chat message ${change.rowId}: its chat's uri or its text does not fit.`),
      );
      return [];
    }
    return [{ position: { seq: change.seq, at: change.at }, id: change.cursor, exchange, body }];
  });
}

const messageRow = z.object({ chatSessionId: z.number(), userId: z.number(), message: z.string() });
const chatRow = z.object({ uri: z.string() });

/** The uris of chats by id, those of deleted chats out of the log of their deletion. */
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

/** Somebody whose message was deleted, and then they themselves, before it was published: all that is left is their id. */
function formerUser(id: number): Parameters<typeof messageBody>[0] {
  return { id, username: '', email: '', firstName: '', lastName: '' } as User;
}

function distinct(ids: readonly number[]): number[] {
  return [...new Set(ids)];
}
