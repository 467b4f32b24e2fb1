import type { JsonShape } from '../database/json-sql.ts';
import type { User } from '../generated/client/client.ts';

/** A user as the bodies of a chat show them to those who take part in it. */
export function participantBody({ id, username, email, firstName, lastName }: User) {
  return { id, username, email, first_name: firstName, last_name: lastName };
}

/** A message as histories and the chat socket show it. */
export function messageBody(user: User, message: string) {
  return { user: participantBody(user), message };
}

/** A message in a history, as {@link messageBody} shows it. */
export const LISTED_MESSAGE = {
  user: {
    relation: 'user',
    shape: { id: 'id', username: 'username', email: 'email', first_name: 'firstName', last_name: 'lastName' },
  },
  message: 'message',
} as const satisfies JsonShape;
