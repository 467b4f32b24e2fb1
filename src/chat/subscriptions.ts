import type { ChangeEvent } from '../changes/filter.ts';
import type { Context } from '../context.ts';
import type { ChatMessage } from '../generated/client/client.ts';
import type { Builder } from '../graphql/builder.ts';
import { AFTER, defineChange, resumeCursor, SubscriptionSource, subscribeToChanges } from '../graphql/subscriptions.ts';
import { loadUser } from '../identity/named-users.ts';
import { loadMessage, setTyping } from './messages.ts';
import { chatScope } from './scopes.ts';
import { loadChat } from './service.ts';
import type { TypingSignal } from './typing.ts';
import { watchChats } from './watch.ts';
import { watchMessages } from './watch-messages.ts';
import { watchTyping } from './watch-typing.ts';

/** Defines the subscriptions to chats, messages and typing, and the mutation that signals typing. */
export function defineChatSubscriptions(builder: Builder): void {
  const chatChange = defineChange(
    builder,
    'ChatSession',
    'chatSession',
    async (context, { id }) => (await loadChat(context, id)) ?? null,
  );
  const messageChange = defineChange(builder, 'ChatMessage', 'chatMessage', loadMessageOfEvent);
  const typing = builder.objectRef<TypingSignal>('ChatTyping').implement({
    description: 'An event of `chatTyping`: the users who are typing in a chat at this moment.',
    fields: (t) => ({
      users: t.field({
        type: ['User'],
        description:
          'All users who are typing, in the order in which they began; empty when the last one has stopped. The viewer is included.',
        resolve: async ({ userIds }, _args, context) => {
          const users = await Promise.all(userIds.map((id) => loadUser(context, id)));
          return users.flatMap((user) => user ?? []);
        },
      }),
    }),
  });

  builder.subscriptionFields((t) => ({
    chatSessionChanged: t.field({
      type: chatChange,
      authScopes: { signedIn: true },
      description:
        'Sends an event for each change of the chats of which the viewer is the owner or a member. The chat is CREATED when the viewer creates or joins it, UPDATED when other users join or leave, or its title or `uri` changes, and DELETED when the viewer is no longer a participant. `UNAUTHENTICATED` without a credential, `NOT_FOUND` for the `uri` of a chat in which the viewer does not take part.',
      args: {
        uri: t.arg.string({
          description:
            'Sends only the changes of the chat with this `uri`. The subscription completes when the viewer is no longer a participant.',
        }),
        after: t.arg.string(AFTER),
      },
      subscribe: async (_root, { uri, after }, context) =>
        subscribeToChanges(context, after, await watchChats(context, uri, resumeCursor(context, after) !== null)),
      resolve: (event) => event,
    }),
    chatMessageChanged: t.field({
      type: messageChange,
      authScopes: { signedIn: true },
      description:
        'Sends an event for each change of the messages of a chat: a message is CREATED when it is sent, and UPDATED when its text is edited, when it is deleted, which leaves it in its place with `deletedAt`, and when a reaction is added or removed. After a deletion, earlier events with the text are no longer delivered, also to subscriptions that resume. The subscription completes when the viewer is no longer a participant. `UNAUTHENTICATED` without a credential, `NOT_FOUND` when the viewer is not a participant.',
      args: {
        uri: t.arg.string({ required: true, description: 'The `uri` of the chat: 15 hexadecimal digits.' }),
        after: t.arg.string(AFTER),
      },
      subscribe: async (_root, { uri, after }, context) =>
        subscribeToChanges(context, after, await watchMessages(context, uri)),
      resolve: (event) => event,
    }),
    chatTyping: t.field({
      type: typing,
      authScopes: { signedIn: true },
      description:
        'Sends the users who are typing in a chat whenever one begins or stops, starting with the current ones if there are any. The events are not stored and have no cursor; after a reconnection only the current state is sent. The subscription completes when the viewer is no longer a participant. `UNAUTHENTICATED` without a credential, `NOT_FOUND` when the viewer is not a participant.',
      args: { uri: t.arg.string({ required: true, description: 'The `uri` of the chat: 15 hexadecimal digits.' }) },
      subscribe: async (_root, { uri }, context) => new SubscriptionSource(await watchTyping(context, uri)),
      resolve: (event) => event,
    }),
  }));
  builder.mutationField('setTyping', (t) =>
    t.boolean({
      authScopes: { signedIn: true },
      description:
        'Shows the other participants of a chat, by `chatTyping`, that the viewer is typing. The signal ends after five seconds, or with a message of the viewer: call it every few seconds while the user types. Always returns true; `NOT_FOUND` when the viewer is not a participant.',
      args: { uri: t.arg.string({ required: true, description: 'The `uri` of the chat: 15 hexadecimal digits.' }) },
      resolve: async (_root, { uri }, context) => {
        await setTyping(context, uri);
        return true;
      },
    }),
  );
}

/** Returns the present state of the message of an event that reports a reaction; null when the message is no longer in the chat of the reaction. */
async function loadMessageOfEvent(context: Context, { id, scope }: ChangeEvent): Promise<ChatMessage | null> {
  const message = await loadMessage(context, id);
  return message && chatScope(message.chatSessionId) === scope ? message : null;
}
