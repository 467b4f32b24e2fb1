import type { AsyncMessage } from 'rabbitmq-client';
import { z } from 'zod';
import { isUniqueViolation } from '../../database/failures.ts';
import { joinTransaction } from '../../database/transactions.ts';
import { AppError, NotFoundError, ValidationError } from '../../errors.ts';
import type { ContextFactory } from '../../identity/credentials.ts';
import { usernameKey } from '../../identity/usernames.ts';
import { text, unwritableProblem } from '../../validation.ts';
import { newMessage, sendMessage } from '../messages.ts';
import { RejectedMessageError, readMessageBody, toRejectedFields } from './message-body.ts';

const MAX_URI = 255;
const MAX_USERNAME = 150;

/** The body of a message of another program. */
const inboundBody = z.object({
  uri: text(MAX_URI, { trim: false }),
  username: text(MAX_USERNAME),
  message: newMessage.shape.message,
});

/**
 * Stores a message of another program as a chat message, once: its `message_id` is stored in the same transaction, so that a repeated message changes
 * nothing.
 *
 * @throws {RejectedMessageError} when the message is invalid
 */
export async function storeInbound(contextOf: ContextFactory, message: AsyncMessage): Promise<void> {
  const id = readId(message.messageId);
  const { uri, username, message: text } = readMessageBody(inboundBody, message.body);
  const context = await contextOf({ authorization: undefined, requestId: id });
  try {
    await context.database.$transaction(async (transaction) => {
      await transaction.inboundMessage.create({ data: { id } });
      const author = await transaction.user.findUnique({ where: { usernameKey: usernameKey(username) } });
      if (!author?.isActive) {
        throw new RejectedMessageError('There is no such active user.');
      }
      const viewer = {
        ...context.viewer,
        kind: 'user',
        id: author.id,
        username: author.username,
        isStaff: author.isStaff,
        // The broker authenticates the author, for this one message.
        credential: { kind: 'session', id: null, expiresAt: new Date(), byCookie: false },
      } as const;
      await sendMessage({ ...context, database: joinTransaction(transaction), viewer }, uri, text);
    });
  } catch (error) {
    if (!(isUniqueViolation(error) && (await context.database.inboundMessage.findUnique({ where: { id } })))) {
      throw toRejection(error);
    }
  }
}

function readId(id: unknown): string {
  if (typeof id !== 'string' || id === '') {
    throw new RejectedMessageError('The message has no message_id.');
  }
  if (unwritableProblem(id) !== null) {
    throw new RejectedMessageError('The message_id contains characters that are not allowed.');
  }
  return id;
}

/** Returns an expected error as a rejection, and any other error unchanged. */
function toRejection(error: unknown): unknown {
  if (error instanceof ValidationError) {
    return toRejectedFields(error);
  }
  if (error instanceof NotFoundError) {
    return new RejectedMessageError('There is no such chat in which the user participates.');
  }
  return error instanceof AppError ? new RejectedMessageError(error.message) : error;
}
