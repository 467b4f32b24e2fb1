import { loadUser } from '../accounts/service.ts';
import type { Builder } from '../graphql/builder.ts';
import { AFTER, defineChange, follow, resumeAfter, SubscriptionSource } from '../graphql/subscriptions.ts';
import { setTyping } from './messages.ts';
import { loadChat } from './service.ts';
import type { TypingSignal } from './typing.ts';
import { watchChats, watchMessages, watchTyping } from './watch.ts';

/** Adds the live side of chats. */
export function defineChatSubscriptions(builder: Builder): void {
  const chatChange = defineChange(
    builder,
    'ChatSession',
    'chatSession',
    async (context, id) => (await loadChat(context, id)) ?? null,
  );
  const messageChange = defineChange(builder, 'ChatMessage', 'chatMessage');
  const typing = builder.objectRef<TypingSignal>('ChatTyping').implement({
    description: 'Who is typing in a chat at this moment.',
    fields: (t) => ({
      users: t.field({
        type: ['User'],
        description: 'All who are, the first to begin first; empty when the last one has stopped.',
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
        'The changes of the chats that the viewer takes part in. Members who join or leave are an UPDATED; joining oneself is a CREATED, and ceasing to take part a DELETED.',
      args: {
        uri: t.arg.string({
          description: 'Only of this chat; the stream ends when the viewer no longer takes part in it.',
        }),
        after: t.arg.string(AFTER),
      },
      subscribe: async (_root, { uri, after }, context) =>
        follow(context, after, await watchChats(context, uri, resumeAfter(context, after) !== null)),
      resolve: (event) => event,
    }),
    chatMessageChanged: t.field({
      type: messageChange,
      authScopes: { signedIn: true },
      description: 'What is said in a chat. The stream ends when the viewer no longer takes part in it.',
      args: { uri: t.arg.string({ required: true, description: 'The chat.' }), after: t.arg.string(AFTER) },
      subscribe: async (_root, { uri, after }, context) => follow(context, after, await watchMessages(context, uri)),
      resolve: (event) => event,
    }),
    chatTyping: t.field({
      type: typing,
      authScopes: { signedIn: true },
      description: 'Who is typing in a chat, at every change; not kept, so nothing of it can be caught up on.',
      args: { uri: t.arg.string({ required: true, description: 'The chat.' }) },
      subscribe: async (_root, { uri }, context) => new SubscriptionSource(await watchTyping(context, uri)),
      resolve: (event) => event,
    }),
  }));
  builder.mutationField('setTyping', (t) =>
    t.boolean({
      authScopes: { signedIn: true },
      description:
        'Tells a chat that the viewer is typing; that ends by itself after five seconds without another call. Always true.',
      args: { uri: t.arg.string({ required: true, description: 'The chat, in which the viewer takes part.' }) },
      resolve: async (_root, { uri }, context) => {
        await setTyping(context, uri);
        return true;
      },
    }),
  );
}
