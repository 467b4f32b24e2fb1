import { loadUser, withUsers } from '../accounts/service.ts';
import { ConflictError, NotFoundError, ValidationError } from '../errors.ts';
import type { Builder } from '../graphql/builder.ts';
import { defineOrder, orderOf, pageCost, toConnection } from '../graphql/connection.ts';
import { IDEMPOTENCY_KEY, repeatable } from '../graphql/idempotency.ts';
import { LONG_TEXT } from '../graphql/long-texts.ts';
import { asksOfNodes } from '../graphql/look-ahead.ts';
import { nodeOptions } from '../graphql/node.ts';
import { addChatMembers, joinChat, leaveChat, removeChatMember } from './members.ts';
import { findMessage, listMessages, MESSAGE_ORDERS, sendMessage } from './messages.ts';
import {
  CHAT_ORDERS,
  createChat,
  findChat,
  findChatById,
  listChats,
  listParticipants,
  loadChat,
  renewChatUri,
} from './service.ts';

/** Adds chats, their members and their messages: the types, their reads and their writes. */
export function defineChat(builder: Builder): void {
  defineMessages(builder);
  defineSessions(builder);
}

function defineMessages(builder: Builder): void {
  const message = builder.prismaObject('ChatMessage', {
    fields: (t) => ({
      id: t.exposeID('id'),
      message: t.exposeString('message', { extensions: LONG_TEXT }),
      createdAt: t.expose('createdAt', { type: 'DateTime' }),
      user: t.field({
        type: 'User',
        nullable: true,
        description: 'Who said it.',
        resolve: (message, _args, context) => loadUser(context, message.userId, message),
      }),
      chatSession: t.field({
        type: 'ChatSession',
        nullable: true,
        description: 'The chat in which it was said; null once that is deleted.',
        resolve: ({ chatSessionId }, _args, context) => loadChat(context, chatSessionId),
      }),
    }),
  });
  builder.nodeRef(message, nodeOptions(findMessage));

  const order = defineOrder(builder, 'ChatMessage', MESSAGE_ORDERS);
  builder.prismaObjectField('ChatSession', 'messages', (t) =>
    t.connection(
      {
        type: message,
        description: 'What was said in this chat.',
        complexity: pageCost,
        args: { orderBy: t.arg({ type: order, description: 'In which order; oldest first when left out.' }) },
        resolve: (chat, { orderBy, ...page }, context, info) => {
          const read = listMessages(context, chat, orderOf(orderBy), page);
          return toConnection(asksOfNodes(info, 'user') ? withUsers(context, read, ({ userId }) => userId) : read);
        },
      },
      { name: 'ChatMessageConnection', description: 'A page of chat messages.' },
      { name: 'ChatMessageEdge', description: 'A message at its place in a chat.' },
    ),
  );

  builder.mutationField('sendMessage', (t) =>
    t.field({
      type: message,
      authScopes: { signedIn: true },
      description: 'Says something in a chat that the viewer takes part in.',
      errors: { types: [ValidationError, NotFoundError] },
      args: {
        uri: t.arg.string({ required: true, description: 'The chat.' }),
        message: t.arg.string({ required: true, description: '1 to 2000 characters, spaces and line breaks kept.' }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: repeatable('sendMessage', (context, { uri, message }) => sendMessage(context, uri, message)),
    }),
  );
}

const PARTICIPANTS_COST = { field: 1, multiplier: 20 };

function defineSessions(builder: Builder): void {
  const chat = builder.prismaObject('ChatSession', {
    fields: (t) => ({
      id: t.exposeID('id'),
      uri: t.exposeString('uri'),
      createdAt: t.expose('createdAt', { type: 'DateTime' }),
      updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
      owner: t.field({
        type: 'User',
        nullable: true,
        description: 'Who opened the chat.',
        resolve: (chat, _args, context) => loadUser(context, chat.ownerId, chat),
      }),
      members: t.field({
        type: ['User'],
        complexity: PARTICIPANTS_COST,
        description: 'Who takes part: the owner first, then the members in the order of joining; at most 1001.',
        resolve: async (chat, _args, context) => [...(await listParticipants(context, chat))],
      }),
    }),
  });
  builder.nodeRef(chat, nodeOptions(findChatById));

  const filter = builder.inputType('ChatSessionFilter', {
    description: 'Narrows a list of chats.',
    fields: (t) => ({
      ownedByMe: t.boolean({ description: 'Only those that the viewer opened, or only those of others.' }),
    }),
  });
  const order = defineOrder(builder, 'ChatSession', CHAT_ORDERS);
  const uri = { required: true, description: 'The uri of the chat: 15 hexadecimal digits.' } as const;

  builder.queryFields((t) => ({
    chatSession: t.field({
      type: chat,
      nullable: true,
      authScopes: { signedIn: true },
      description: 'One chat; null when the viewer takes part in none of that uri.',
      args: { uri: t.arg.string(uri) },
      resolve: (_root, { uri }, context) => findChat(context, uri),
    }),
    chatSessions: t.connection(
      {
        type: chat,
        authScopes: { signedIn: true },
        description: 'The chats that the viewer takes part in.',
        complexity: pageCost,
        args: {
          filter: t.arg({ type: filter, description: 'Which of them.' }),
          orderBy: t.arg({ type: order, description: 'In which order; by id when left out.' }),
        },
        resolve: (_root, { filter, orderBy, ...page }, context, info) => {
          const read = listChats(context, filter, orderOf(orderBy), page);
          return toConnection(asksOfNodes(info, 'owner') ? withUsers(context, read, ({ ownerId }) => ownerId) : read);
        },
      },
      { name: 'ChatSessionConnection', description: 'A page of chats.' },
      { name: 'ChatSessionEdge', description: 'A chat at its place in a list.' },
    ),
  }));

  const left = builder.objectRef<{ uri: string }>('LeftChat').implement({
    description: 'A chat that the viewer no longer takes part in.',
    fields: (t) => ({ uri: t.exposeString('uri', { description: 'Its uri, with which one may join again.' }) }),
  });

  builder.mutationFields((t) => ({
    createChatSession: t.field({
      type: chat,
      authScopes: { signedIn: true },
      description: 'Opens a chat that the viewer owns. Whoever is given its uri may join.',
      args: { idempotencyKey: t.arg.string(IDEMPOTENCY_KEY) },
      resolve: repeatable('createChatSession', (context) => createChat(context)),
    }),
    renewChatUri: t.field({
      type: chat,
      authScopes: { signedIn: true },
      description:
        'Gives a chat of the viewer a new random uri; the old one is dead at once, wherever a uri is asked for. Everybody who takes part stays: `chatSessionChanged` sends them an UPDATED with the new uri, and open subscriptions and sockets of the old one go on. To subscribe again they need the new one, which `chatSessions` lists.',
      errors: { types: [NotFoundError] },
      args: {
        uri: t.arg.string({ required: true, description: 'The present uri of the chat.' }),
        idempotencyKey: t.arg.string(IDEMPOTENCY_KEY),
      },
      resolve: repeatable('renewChatUri', (context, { uri }) => renewChatUri(context, uri)),
    }),
    joinChat: t.field({
      type: chat,
      authScopes: { signedIn: true },
      description:
        'Makes the viewer a member of a chat; doing it again changes nothing. A chat that its owner removed the viewer from is not found.',
      errors: { types: [NotFoundError, ConflictError] },
      args: { uri: t.arg.string(uri) },
      resolve: (_root, { uri }, context) => joinChat(context, uri),
    }),
    addChatMembers: t.field({
      type: chat,
      authScopes: { signedIn: true },
      description:
        'Makes other users members, all of them or none; the owner and the members of the chat may, as far as `addableBy` of the users lets them. Users who were removed may join again then.',
      errors: { types: [ValidationError, NotFoundError, ConflictError] },
      args: {
        uri: t.arg.string(uri),
        usernames: t.arg.stringList({ required: true, description: 'Who; at most 100.' }),
      },
      resolve: (_root, { uri, usernames }, context) => addChatMembers(context, uri, usernames),
    }),
    removeChatMember: t.field({
      type: chat,
      authScopes: { signedIn: true },
      description:
        'Takes a user out of a chat; its owner may. The user cannot join again until the owner or a member adds them. Members may take out themselves, which is leaving.',
      errors: { types: [NotFoundError, ConflictError] },
      args: {
        uri: t.arg.string(uri),
        username: t.arg.string({
          required: true,
          description: 'Who; a user who is no member cannot join from then on.',
        }),
      },
      resolve: (_root, { uri, username }, context) => removeChatMember(context, uri, username),
    }),
    leaveChat: t.field({
      type: left,
      authScopes: { signedIn: true },
      description: 'Ends the viewer’s membership, until they join again; the owner of a chat cannot leave it.',
      errors: { types: [NotFoundError, ConflictError] },
      args: { uri: t.arg.string(uri) },
      resolve: (_root, { uri }, context) => leaveChat(context, uri),
    }),
  }));
}
