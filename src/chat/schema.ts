import type { Builder } from '../graphql/builder.ts';
import { defineFilter, timeRangeFields, toListFilter } from '../graphql/list-filters.ts';
import { selectsNodeField } from '../graphql/look-ahead.ts';
import { nodeOptions } from '../graphql/node.ts';
import { connectionComplexity, defineOrder, toConnection, toOrder } from '../graphql/relay-connection.ts';
import { loadUser, withUsers } from '../identity/named-users.ts';
import { CHAT_ORDERS, type ChatFilter, findChat, findChatById, listChats, listParticipants } from './service.ts';

/** The argument that identifies a chat. */
export const CHAT_URI = { required: true, description: 'The `uri` of the chat: 15 hexadecimal digits.' } as const;

const PARTICIPANTS_COST = { field: 1, multiplier: 20 };

/** Defines the type of chats and its queries. */
export function defineChats(builder: Builder): void {
  defineChatType(builder);
  defineChatQueries(builder);
}

function defineChatType(builder: Builder): void {
  const chat = builder.prismaObject('ChatSession', {
    fields: (t) => ({
      databaseId: t.exposeInt('id'),
      uri: t.exposeString('uri'),
      title: t.exposeString('title', { nullable: true }),
      createdAt: t.expose('createdAt', { type: 'DateTime' }),
      updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
      owner: t.field({
        type: 'User',
        nullable: true,
        description:
          'The user who created the chat, and who alone removes members, renews its `uri` and changes its title.',
        resolve: (chat, _args, context) => loadUser(context, chat.ownerId, chat),
      }),
      members: t.field({
        type: ['User'],
        complexity: PARTICIPANTS_COST,
        description:
          'All participants: the owner first, then the members in the order in which they joined; at most 1001 users.',
        resolve: async (chat, _args, context) => [...(await listParticipants(context, chat))],
      }),
    }),
  });
  builder.nodeRef(chat, nodeOptions(findChatById));
}

function defineChatQueries(builder: Builder): void {
  const filter = defineFilter<ChatFilter>(builder, 'ChatSession', 'chats', (t) => ({
    ownedByMe: t.boolean({
      description:
        'True for only the chats that the viewer owns, false for only those of which the viewer is a member.',
    }),
    ...timeRangeFields(t, 'created', 'chats created'),
    ...timeRangeFields(t, 'updated', 'chats whose `updatedAt` is'),
  }));
  const order = defineOrder(builder, 'ChatSession', CHAT_ORDERS, {
    lastMessage:
      'By the last message, the order of an inbox: with `DESC`, the chat with the newest message comes first, and chats without messages come last. A chat that receives a message during paging moves to the front, and is not on later pages.',
  });

  builder.queryFields((t) => ({
    chatSession: t.field({
      type: 'ChatSession',
      nullable: true,
      authScopes: { signedIn: true },
      description:
        'A chat by its `uri`; null when the viewer is neither its owner nor a member. To join it first, use `joinChat`. `UNAUTHENTICATED` without a credential.',
      args: { uri: t.arg.string(CHAT_URI) },
      resolve: (_root, { uri }, context) => findChat(context, uri),
    }),
    chatSessions: t.connection(
      {
        type: 'ChatSession',
        authScopes: { signedIn: true },
        description:
          'The chats of which the viewer is the owner or a member, page by page. `UNAUTHENTICATED` without a credential.',
        complexity: connectionComplexity,
        args: {
          filter: t.arg({ type: filter, description: 'Returns only the chats that meet these conditions.' }),
          orderBy: t.arg({ type: order, description: 'The sort order; by `id`, oldest first, when left out.' }),
        },
        resolve: (_root, { filter, orderBy, ...page }, context, info) => {
          const read = listChats(context, {
            filter: toListFilter(filter, 'ChatSession'),
            order: toOrder(orderBy),
            page,
          });
          return toConnection(
            selectsNodeField(info, 'owner') ? withUsers(context, read, ({ ownerId }) => ownerId) : read,
          );
        },
      },
      { name: 'ChatSessionConnection', description: 'A page of a list of chats.' },
      { name: 'ChatSessionEdge', description: 'A chat of a page, with its cursor.' },
    ),
  }));
}
