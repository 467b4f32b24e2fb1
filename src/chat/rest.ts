import { z } from 'zod';
import { permit, signedIn } from '../accounts/policy.ts';
import { viewerRow } from '../accounts/service.ts';
import { usernameKey } from '../accounts/usernames.ts';
import type { Context } from '../context.ts';
import { NotFoundError } from '../errors.ts';
import type { ChatSession, User } from '../generated/client/client.ts';
import { DJANGO } from '../rest/dialect.ts';
import { textField } from '../rest/fields.ts';
import { cursorOf, limitOf, nextLink } from '../rest/paging.ts';
import { type Operation, operation, type Resource } from '../rest/resource.ts';
import { text } from '../validation.ts';
import { LISTED_MESSAGE, participantBody } from './bodies.ts';
import { addChatMember, joinChat } from './members.ts';
import { findMessageIds, messagesAsJson, newMessage, sendMessage } from './messages.ts';
import { createChat, heldChat, listParticipants } from './service.ts';

const MAX_USERNAME = 150;

const shared = { tag: 'Chat', dialect: DJANGO, access: 'signedIn', challenge: 'Token' } as const;
const ANSWERS = {
  401: 'No credential, or one that is refused.',
  403: 'The caller holds the uri, but does not take part in the chat.',
  404: 'There is no such chat, or the caller was removed from it.',
};

const opening: Operation = {
  summary: 'Opens a chat; a body is not looked at',
  answers: { 200: 'The uri of the chat: 15 hexadecimal digits, its invitation.', 401: ANSWERS[401] },
  handle: async ({ context }) => {
    const { uri } = await createChat(context);
    return { status: 200, body: { status: 'SUCCESS', uri, message: 'New chat session created' } };
  },
};

const joining = operation({
  summary: 'Makes a user a member: oneself with the uri alone, others as one who takes part',
  body: z.object({ username: textField(text(MAX_USERNAME)) }),
  guard: ({ context, params }) => heldChat(context, params['uri'] ?? ''),
  answers: {
    200: 'Everybody who takes part, the owner first.',
    400: 'There is no such active user, or only people who share a chat with the user can add them.',
    ...ANSWERS,
  },
  handle: async ({ context, params, body }) => {
    const { chat, takesPart } = await heldChat(context, params['uri'] ?? '');
    const user = await addedUser(context, chat, takesPart, body.username);
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

async function addedUser(context: Context, chat: ChatSession, takesPart: boolean, username: string): Promise<User> {
  const viewer = signedIn(context.viewer);
  if (usernameKey(username) === usernameKey(viewer.username)) {
    await joinChat(context, chat.uri);
    return viewerRow(context);
  }
  permit(takesPart);
  return addChatMember(context, chat.uri, username);
}

async function joinedChat(context: Context, uri: string): Promise<ChatSession> {
  const { chat, takesPart } = await heldChat(context, uri);
  permit(takesPart);
  return chat;
}

const history: Operation = {
  summary: 'Reads what was said, oldest first',
  query: {
    limit: 'How many, 1 to 1000; the next page is in the `Link` header. All of it without.',
    cursor: 'Where the page starts, out of a `Link` header.',
  },
  answers: { 200: 'The messages.', ...ANSWERS },
  handle: async ({ context, params, url }) => {
    const { id, uri } = await joinedChat(context, params['uri'] ?? '');
    const limit = limitOf(url);
    const start = { chatId: id, afterId: cursorOf(url) ?? 0 };
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

const speaking = operation({
  summary: 'Says something',
  body: z.object({ message: textField(newMessage.shape.message) }),
  guard: ({ context, params }) => joinedChat(context, params['uri'] ?? ''),
  answers: { 200: 'What was said, and by whom.', 400: 'A message that is empty or too long.', ...ANSWERS },
  handle: async ({ context, params, body }) => {
    const uri = params['uri'] ?? '';
    const { message } = await sendMessage(context, uri, body.message);
    return {
      status: 200,
      body: { status: 'SUCCESS', uri, message, user: participantBody(await viewerRow(context)) },
    };
  },
});

/** The chat app's paths. */
export const CHAT_RESOURCES: readonly Resource[] = [
  {
    ...shared,
    path: '/api/chats',
    name: 'Chat Session',
    description: 'Manage chat sessions.',
    methods: {
      POST: opening,
      PATCH: {
        summary: 'Nothing to be joined without a uri',
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
    methods: { GET: history, POST: speaking },
  },
];
