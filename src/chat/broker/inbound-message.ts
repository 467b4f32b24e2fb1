import type { AsyncMessage } from 'rabbitmq-client';
import { z } from 'zod';
import type { Database } from '../../database/client.ts';
import { isUniqueViolation } from '../../database/failures.ts';
import { AppError, NotFoundError, ValidationError } from '../../errors.ts';
import type { ContextFactory } from '../../identity/credentials.ts';
import { usernameKey } from '../../identity/usernames.ts';
import { text, unwritableProblem, validate } from '../../validation.ts';
import { newMessage, sendMessage } from '../messages.ts';

const MAX_URI = 255;
const MAX_USERNAME = 150;

/** The body of a message of another program. */
const inboundBody = z.object({
  uri: text(MAX_URI, { trim: false }),
  username: text(MAX_USERNAME),
  message: newMessage.shape.message,
});

/** The message of another program is invalid, so that trying again is useless. The sentence is the reason that its sender receives. */
export class RejectedMessageError extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'RejectedMessageError';
  }
}

/**
 * Stores a message of another program as a chat message, once: its `message_id` is stored in the same transaction, so that a repeated message changes
 * nothing.
 *
 * @throws {RejectedMessageError} when the message is invalid
 */
export async function storeInbound(contextOf: ContextFactory, message: AsyncMessage): Promise<void> {
  const id = readId(message.messageId);
  const { uri, username, message: text } = readBody(message.body);
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
      await sendMessage({ ...context, database: transaction as Database, viewer }, uri, text);
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

function readBody(body: unknown): z.infer<typeof inboundBody> {
  const parsed = typeof body === 'string' || Buffer.isBuffer(body) ? parseJson(body) : body;
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new RejectedMessageError('The body is not a JSON object.');
  }
  try {
    return validate(inboundBody, parsed);
  } catch (error) {
    throw toRejection(error);
  }
}

function parseJson(body: string | Buffer): unknown {
  try {
    return JSON.parse(typeof body === 'string' ? body : new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new RejectedMessageError('The body is not JSON.');
  }
}

/** Returns an expected error as a rejection, and any other error unchanged. */
function toRejection(error: unknown): unknown {
  if (error instanceof ValidationError) {
    return new RejectedMessageError(error.fields.map(({ path, message }) => `${path}: ${message}`).join(' '));
  }
  if (error instanceof NotFoundError) {
    return new RejectedMessageError('There is no such chat in which the user participates.');
  }
  return error instanceof AppError ? new RejectedMessageError(error.message) : error;
}
