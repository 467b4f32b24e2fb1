import type { Context } from '../context.ts';
import type { ChatMessage } from '../generated/client/client.ts';
import type { Builder } from '../graphql/builder.ts';
import { encodeNodeId } from '../graphql/node-ids.ts';
import { AFTER, CURSOR, changeAction, subscribeToChanges } from '../graphql/subscriptions.ts';
import { loadUser } from '../identity/named-users.ts';
import { isViewer } from '../viewer.ts';
import { listMentioned } from './mentions.ts';
import { loadMessage } from './messages.ts';
import { loadChat } from './service.ts';
import { type InboxEvent, type InboxKind, watchInbox } from './watch-inbox.ts';

const TYPES: Readonly<Record<InboxKind, string>> = {
  CHAT: 'InboxChatChange',
  MEMBER: 'InboxMemberChange',
  MESSAGE: 'InboxMessageChange',
  READ: 'InboxReadChange',
};

/** Defines the events of all chats of the viewer, and the subscription that sends them. */
export function defineInbox(builder: Builder): void {
  const change = builder.interfaceRef<InboxEvent>('InboxChange').implement({
    description:
      'An event of `inboxChanged`: one committed change in a chat of the viewer. Select its type by fragments: `... on InboxMessageChange { message { id message } }`. An event can be delivered twice; when a client applies it as an insert, replacement or deletion by `id`, the repetition changes nothing.',
    resolveType: ({ kind }) => TYPES[kind],
    fields: (t) => ({
      action: t.expose('action', {
        type: changeAction(builder),
        description: 'The effect of the change on the object that the type of the event names.',
      }),
      cursor: t.exposeString('cursor', CURSOR),
      chatSessionId: t.id({
        description: 'The `id` of the chat, also when `chatSession` is null.',
        resolve: ({ id }) => encodeNodeId('ChatSession', id),
      }),
      chatSession: t.field({
        type: 'ChatSession',
        nullable: true,
        description:
          'The chat as it is now, such as to update its `lastMessage` and `unreadCount` in a list; null when the viewer no longer takes part or the chat was deleted.',
        resolve: ({ id, row }, _args, context) => (row === null ? null : loadChat(context, id)),
      }),
    }),
  });

  builder.objectRef<InboxEvent>(TYPES.CHAT).implement({
    description:
      'A chat is CREATED when the viewer creates it, joins it or is added to it: load its messages then. It is UPDATED when a field of it changes, such as its `uri`, and DELETED when the viewer is no longer a participant: then no further event of the chat follows.',
    interfaces: [change],
  });
  builder.objectRef<InboxEvent>(TYPES.MEMBER).implement({
    description:
      'Another user joined a chat of the viewer or was added to it (CREATED), or left it or was removed (DELETED).',
    interfaces: [change],
    fields: (t) => ({
      userId: t.id({
        description: 'The `id` of the user who joined or left.',
        resolve: ({ image }) => encodeNodeId('User', image['userId'] as number),
      }),
      user: t.field({
        type: 'User',
        nullable: true,
        description: 'The user who joined or left; null when the account was deleted.',
        resolve: ({ image }, _args, context) => loadUser(context, image['userId'] as number),
      }),
    }),
  });
  builder.objectRef<InboxEvent>(TYPES.MESSAGE).implement({
    description:
      'A message of a chat of the viewer: it is CREATED when it is sent, and UPDATED when it is edited, when it is deleted, which leaves it in its place with `deletedAt`, and when a reaction is added or removed.',
    interfaces: [change],
    fields: (t) => ({
      id: t.id({
        description: 'The `id` of the message, also when `message` is null.',
        resolve: ({ rowId }) => encodeNodeId('ChatMessage', rowId),
      }),
      message: t.field({
        type: 'ChatMessage',
        nullable: true,
        description:
          'The message after the change or, after a change of its reactions, as it is now; null when `action` is `DELETED`. The text of a message that was deleted since is not sent any more.',
        resolve: (event, _args, context) => (event.action === 'DELETED' ? null : messageOf(context, event)),
      }),
      mentionsViewer: t.boolean({
        description:
          'Whether the message mentions the viewer, for a notification. It makes the server execute the event once more for those who are mentioned, and not for each viewer.',
        resolve: async (event, _args, context) => {
          const message = event.action === 'DELETED' ? null : await messageOf(context, event);
          const mentioned = message ? await listMentioned(context, message) : [];
          // Each comparison is recorded, so that all who are not mentioned share a result.
          return mentioned.map(({ id }) => isViewer(context.viewer, id)).includes(true);
        },
      }),
    }),
  });
  builder.objectRef<InboxEvent>(TYPES.READ).implement({
    description:
      'A participant of a chat, who may be the viewer on another device, has read on: CREATED for their first mark in the chat, UPDATED afterwards, DELETED when they leave.',
    interfaces: [change],
    fields: (t) => ({
      userId: t.id({
        description: 'The `id` of the user whose mark it is.',
        resolve: ({ image }) => encodeNodeId('User', image['userId'] as number),
      }),
      readMark: t.field({
        type: 'ChatReadMark',
        nullable: true,
        description: 'The mark after the change; null when `action` is `DELETED`.',
        resolve: ({ action, image }) => (action === 'DELETED' ? null : image) as never,
      }),
    }),
  });

  builder.subscriptionField('inboxChanged', (t) =>
    t.field({
      type: change,
      authScopes: { signedIn: true },
      description:
        'Sends an event for everything that happens in all chats of which the viewer is the owner or a member: messages, members who join and leave, read marks, changes of the chats, and chats that the viewer enters or leaves. One subscription serves a whole list of chats; the events of a chat begin when the viewer enters it and end when the viewer leaves it. Events that do not depend on the viewer are executed once for all of them, so that a large chat costs little: select `unreadCount` and `viewerReadMark` by queries rather than here. `UNAUTHENTICATED` without a credential.',
      args: { after: t.arg.string(AFTER) },
      subscribe: async (_root, { after }, context) => subscribeToChanges(context, after, await watchInbox(context)),
      resolve: (event) => event as InboxEvent,
    }),
  );
}

/** Returns the message of an event that is no deletion. */
function messageOf(context: Context, event: InboxEvent): ChatMessage | Promise<ChatMessage | null> {
  // The image of a row in the log has the columns of its model.
  return event.isReaction ? loadMessageOfInbox(context, event) : (event.image as unknown as ChatMessage);
}

async function loadMessageOfInbox(context: Context, { id, rowId }: InboxEvent): Promise<ChatMessage | null> {
  const message = await loadMessage(context, rowId);
  return message?.chatSessionId === id ? message : null;
}
