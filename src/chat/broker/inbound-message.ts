import type { AsyncMessage } from 'rabbitmq-client';
import { z } from 'zod';
import type { ContextFactory } from '../../accounts/credentials.ts';
import { usernameKey } from '../../accounts/usernames.ts';
import { isUniqueViolation } from '../../database/failures.ts';
import type { Database } from '../../database/open.ts';
import { AppError, NotFoundError, ValidationError } from '../../errors.ts';
import { text, unwritableProblem, validate } from '../../validation.ts';
import { newMessage, sendMessage } from '../messages.ts';

const MAX_URI = 255;
const MAX_USERNAME = 150;

/** What another program puts on the queue. */
const inboundBody = z.object({
  uri: text(MAX_URI, { trim: false }),
  username: text(MAX_USERNAME),
  message: newMessage.shape.message,
});

/** The message can't become a chat message, however often it is tried; the sentence says why. */
export class RefusedError extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'RefusedError';
  }
}

/**
 * Makes a message of another program a chat message, once: its `message_id` is kept in the same transaction, so that one that comes again changes
 * nothing.
 *
 * @throws {RefusedError} when it breaks a rule
 */
export async function takeOver(contextOf: ContextFactory, message: AsyncMessage): Promise<void> {
  const id = readId(message.messageId);
  const { uri, username, message: said } = readBody(message.body);
  const context = await contextOf({ authorization: undefined, requestId: id });
  try {
    await context.database.$transaction(async (transaction) => {
      await transaction.inboundMessage.create({ data: { id } });
      const author = await transaction.user.findUnique({ where: { usernameKey: usernameKey(username) } });
      if (!author?.isActive) {
        throw new RefusedError('There is no such active user.');
      }
      const viewer = {
        ...context.viewer,
        kind: 'user',
        id: author.id,
        username: author.username,
        isStaff: author.isStaff,
        // The broker vouches for the author, for this one message.
        credential: { kind: 'session', id: null, expiresAt: new Date(), byCookie: false },
      } as const;
      await sendMessage({ ...context, database: transaction as Database, viewer }, uri, said);
    });
  } catch (error) {
    if (!(isUniqueViolation(error) && (await context.database.inboundMessage.findUnique({ where: { id } })))) {
      throw refusal(error);
    }
  }
}

function readId(id: unknown): string {
  if (typeof id !== 'string' || id === '') {
    throw new RefusedError('The message has no message_id.');
  }
  if (unwritableProblem(id) !== null) {
    throw new RefusedError('The message_id holds characters that are not allowed.');
  }
  return id;
}

function readBody(body: unknown): z.infer<typeof inboundBody> {
  const parsed = typeof body === 'string' || Buffer.isBuffer(body) ? parseJson(body) : body;
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new RefusedError('The body is not a JSON object.');
  }
  try {
    return validate(inboundBody, parsed);
  } catch (error) {
    throw refusal(error);
  }
}

function parseJson(body: string | Buffer): unknown {
  try {
    return JSON.parse(typeof body === 'string' ? body : new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new RefusedError('The body is not JSON.');
  }
}

/** An expected failure as a refusal; any other as it is. */
function refusal(error: unknown): unknown {
  if (error instanceof ValidationError) {
    return new RefusedError(error.fields.map(({ path, message }) => `${path}: ${message}`).join(' '));
  }
  if (error instanceof NotFoundError) {
    return new RefusedError('There is no such chat that the user takes part in.');
  }
  return error instanceof AppError ? new RefusedError(error.message) : error;
}
