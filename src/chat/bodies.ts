import type { JsonShape } from '../database/json-sql.ts';
import type { User } from '../generated/client/client.ts';

/** Returns a user as the participants of a chat see them. */
export function participantBody({ id, username, email, firstName, lastName }: User) {
  return { id, username, email, first_name: firstName, last_name: lastName };
}

/** Returns a message as the REST paths and the chat socket show it. */
export function messageBody(user: User, message: string) {
  return { user: participantBody(user), message };
}

/** The shape of a message in a list, the same as that of {@link messageBody}. */
export const LISTED_MESSAGE = {
  user: {
    relation: 'user',
    shape: { id: 'id', username: 'username', email: 'email', first_name: 'firstName', last_name: 'lastName' },
  },
  message: 'message',
} as const satisfies JsonShape;
