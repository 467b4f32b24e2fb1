import { z } from 'zod';
import { decodeLogCursor } from '../../changes/cursor.ts';
import { text } from '../../validation.ts';
import { newMessage } from '../messages.ts';
import { RejectedMessageError, readMessageBody } from './message-body.ts';

const MAX_NAME = 150;
const MAX_EMAIL = 254;
/** A body of the documented shape is smaller even when each of its characters is escaped. */
const MAX_BODY_BYTES = 64 * 1024;

const untrimmed = { trim: false } as const;
const blank = { blank: true, trim: false } as const;

/** The body of a message that another program publishes to the exchange of a chat: the frame of the chat socket. */
const exchangeBody = z.object({
  user: z.object({
    id: z.int(),
    username: text(MAX_NAME, untrimmed),
    email: text(MAX_EMAIL, blank),
    first_name: text(MAX_NAME, blank),
    last_name: text(MAX_NAME, blank),
  }),
  message: newMessage.shape.message,
});

/** Returns whether the server itself published a message, which has the cursor of its change in a header. */
export function isOwnMessage(headers: Readonly<Record<string, unknown>> | undefined): boolean {
  const id = headers?.['message_id'];
  try {
    return typeof id === 'string' && decodeLogCursor(id) !== null;
  } catch {
    return false;
  }
}

/**
 * Returns the frame for the chat sockets. It consists of the documented members only, whatever else the body has.
 *
 * @throws {RejectedMessageError} when the body does not have the documented shape
 */
export function frameOf(body: unknown): Buffer {
  if ((typeof body === 'string' || Buffer.isBuffer(body)) && body.length > MAX_BODY_BYTES) {
    throw new RejectedMessageError('The body is too large.');
  }
  const { user, message } = readMessageBody(exchangeBody, body);
  const { id, username, email, first_name, last_name } = user;
  return Buffer.from(JSON.stringify({ user: { id, username, email, first_name, last_name }, message }));
}
