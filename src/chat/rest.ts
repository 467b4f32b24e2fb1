import { z } from 'zod';
import type { Context } from '../context.ts';
import { AppError, NotFoundError } from '../errors.ts';
import type { ChatSession, User } from '../generated/client/client.ts';
import { requireUser } from '../identity/rights.ts';
import { usernameKey } from '../identity/usernames.ts';
import { viewerRow } from '../identity/viewer-row.ts';
import { DJANGO } from '../rest/dialect.ts';
import { textField } from '../rest/fields.ts';
import { afterIdOf, limitOf, nextLink } from '../rest/paging.ts';
import { type Operation, operation, type Resource } from '../rest/resource.ts';
import { text } from '../validation.ts';
import { LISTED_MESSAGE, participantBody } from './bodies.ts';
import { addChatMember, joinChat } from './members.ts';
import { findMessageIds, messagesAsJson, newMessage, sendMessage } from './messages.ts';
import { createChat, isParticipant, listParticipants, requireChat } from './service.ts';

const MAX_USERNAME = 150;

const shared = { tag: 'Chat', dialect: DJANGO, access: 'signedIn', challenge: 'Token' } as const;
const ANSWERS = {
  401: 'No credential, or a rejected one.',
  403: 'The caller has the uri, but does not participate in the chat.',
  404: 'There is no such chat, or the caller was removed from it.',
};

const creation: Operation = {
  summary: 'Creates a chat; a body is ignored',
  answers: { 200: 'The uri of the chat: 15 hexadecimal digits, its invitation.', 401: ANSWERS[401] },
  handle: async ({ context }) => {
    const { uri } = await createChat(context);
    return { status: 200, body: { status: 'SUCCESS', uri, message: 'New chat session created' } };
  },
};

const joining = operation({
  summary: 'Makes a user a member: the caller by the uri alone, another user as a participant',
  body: z.object({ username: textField(text(MAX_USERNAME)) }),
  guard: ({ context, params }) => requireChat(context, params['uri'] ?? '', { role: 'invited' }),
  answers: {
    200: 'All participants, the owner first.',
    400: 'There is no such active user, or the user can be added only by users with whom they share a chat.',
    ...ANSWERS,
  },
  handle: async ({ context, params, body }) => {
    const chat = await requireChat(context, params['uri'] ?? '', { role: 'invited' });
    const user = await addMember(context, chat, body.username);
    const members = await listParticipants(context, chat);
    return {
      status: 200,
      body: {
        status: 'SUCCESS',
        members: members.map(participantBody),
        message: `${user.username} joined the chat`,
        user: participantBody(user),
      },
    };
  },
});

async function addMember(context: Context, chat: ChatSession, username: string): Promise<User> {
  const viewer = requireUser(context.viewer);
  if (usernameKey(username) === usernameKey(viewer.username)) {
    await joinChat(context, chat.uri);
    return viewerRow(context);
  }
  await requireParticipation(context, chat);
  return addChatMember(context, chat.uri, username);
}

/**
 * Returns the chat with this uri, in which the viewer participates.
 *
 * @throws {NotFoundError} when there is no such chat, and when the viewer was removed from it
 * @throws {AppError} `FORBIDDEN` when the viewer only has the uri
 */
async function requireChatOfParticipant(context: Context, uri: string): Promise<ChatSession> {
  const chat = await requireChat(context, uri, { role: 'invited' });
  await requireParticipation(context, chat);
  return chat;
}

/**
 * Checks that the viewer, who was invited to the chat, participates in it.
 *
 * @throws {NotFoundError} when the viewer was removed from it after it was read
 * @throws {AppError} `FORBIDDEN` when the viewer only has the uri
 */
async function requireParticipation(context: Context, chat: ChatSession): Promise<void> {
  if (!(await isParticipant(context, chat))) {
    // The viewer may have been a member who was removed since. A removal is one transaction, so now it is visible as a whole.
    await requireChat(context, chat.uri, { role: 'invited' });
    throw new AppError('FORBIDDEN');
  }
}

const history: Operation = {
  summary: 'Lists the messages, oldest first',
  query: {
    limit: 'The number of messages, 1 to 1000; the `Link` header has the next page. Without it, all messages.',
    cursor: 'The start of the page, from a `Link` header.',
  },
  answers: { 200: 'The messages.', ...ANSWERS },
  handle: async ({ context, params, url }) => {
    const { id, uri } = await requireChatOfParticipant(context, params['uri'] ?? '');
    const limit = limitOf(url);
    const start = { chatId: id, afterId: afterIdOf(url) ?? 0 };
    const run = limit === null ? start : { ...start, take: limit };
    const ids = limit === null ? [] : await findMessageIds(context, { ...start, take: limit + 1 });
    return {
      status: 200,
      headers: limit === null ? {} : nextLink(url, ids[limit - 1], ids.length > limit),
      list: {
        head: { id, uri },
        name: 'messages',
        items: (layout) => messagesAsJson(context, run, LISTED_MESSAGE, layout),
      },
    };
  },
};

const sending = operation({
  summary: 'Sends a message',
  body: z.object({ message: textField(newMessage.shape.message) }),
  guard: ({ context, params }) => requireChatOfParticipant(context, params['uri'] ?? ''),
  answers: { 200: 'The message and its author.', 400: 'The message is empty or too long.', ...ANSWERS },
  handle: async ({ context, params, body }) => {
    const uri = params['uri'] ?? '';
    const { message } = await sendMessage(context, uri, body.message);
    return {
      status: 200,
      body: { status: 'SUCCESS', uri, message, user: participantBody(await viewerRow(context)) },
    };
  },
});

/** The documented paths of the chat application. */
export const CHAT_RESOURCES: readonly Resource[] = [
  {
    ...shared,
    path: '/api/chats',
    name: 'Chat Session',
    description: 'Manage chat sessions.',
    methods: {
      POST: creation,
      PATCH: {
        summary: 'Joins no chat, since the path has no uri',
        answers: { 404: 'Always.' },
        handle: async () => {
          throw new NotFoundError();
        },
      },
    },
  },
  {
    ...shared,
    path: '/api/chats/:uri',
    name: 'Chat Session',
    description: 'Manage chat sessions.',
    methods: { PATCH: joining },
  },
  {
    ...shared,
    path: '/api/chats/:uri/messages',
    name: 'Chat Session Message',
    description: 'Create and read messages of a chat session.',
    methods: { GET: history, POST: sending },
  },
];
