import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';
import { type Operation, SocketClient } from './kit/socket.ts';
import { endOfLog } from './live/streams.ts';

const INBOX = `subscription ($after: String) { inboxChanged(after: $after) {
  type: __typename action chatSessionId chatSession { uri }
  ... on InboxMessageChange { message { message } }
  ... on InboxMemberChange { user { username } }
  ... on InboxReadChange { readMark { user { username } } }
} }`;

interface Chat {
  readonly id: string;
  readonly uri: string;
}

let app: TestApp;
let ann: Person;
let ben: Person;
let cat: Person;
const clients: SocketClient[] = [];

beforeAll(async () => {
  app = await startApp();
  [ann, ben, cat] = [await app.signUp('ann'), await app.signUp('ben'), await app.signUp('cat')];
});
afterAll(() => app.close());
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

async function follow({ authorization }: Person, after?: string, query = INBOX): Promise<Operation> {
  const client = await SocketClient.open(app.url, authorization);
  clients.push(client);
  return client.start(query, { after: after ?? (await endOfLog(app)) });
}

const open = async (person: Person): Promise<Chat> =>
  (await person.gql('mutation { chat: createChatSession { id uri } }')).chat;

async function write(person: Person, mutation: string): Promise<void> {
  const { done } = await person.gql(`mutation { done: ${mutation} { __typename } }`);
  expect(done.__typename).not.toContain('Error');
}

const join = (person: Person, { uri }: Chat) => write(person, `joinChat(uri: "${uri}")`);
const leave = (person: Person, { uri }: Chat) => write(person, `leaveChat(uri: "${uri}")`);
const say = (person: Person, { uri }: Chat, message: string) =>
  write(person, `sendMessage(uri: "${uri}", message: "${message}")`);

async function readAll(person: Person, { uri }: Chat): Promise<void> {
  const { chatSession } = await person.gql(`{ chatSession(uri: "${uri}") { lastMessage { id } } }`);
  await write(person, `markRead(uri: "${uri}", upTo: "${chatSession.lastMessage.id}")`);
}

const sessionOf = async ({ uri }: Chat) =>
  (await app.sql('SELECT "id" FROM "ChatSession" WHERE "uri" = ?', uri))[0]?.['id'];

const event = (type: string, action: string, { id, uri }: Chat, rest = {}) => ({
  type: `Inbox${type}Change`,
  action,
  chatSessionId: id,
  chatSession: { uri },
  ...rest,
});
const message = (chat: Chat, text: string) => event('Message', 'CREATED', chat, { message: { message: text } });
const gone = (chat: Chat) => ({ ...event('Chat', 'DELETED', chat), chatSession: null });

/** The next events of a subscription, as many as are expected. */
async function expectEvents(operation: Operation, ...expected: readonly object[]): Promise<void> {
  const events: unknown[] = [];
  for (const _each of expected) {
    events.push(await operation.event());
  }
  expect(events).toEqual(expected);
}

describe('the inbox', () => {
  let first: Chat;
  let second: Chat;
  beforeEach(async () => {
    [first, second] = [await open(ann), await open(ben)];
  });

  it('should receive everything of all chats of its viewer, and of no others', async () => {
    const bens = await follow(ben);
    await app.subscribed(1);
    await say(ann, first, 'not for ben');
    await app.delivered();
    await join(ben, first);
    await say(ann, first, 'hello');
    await say(ben, second, 'self');
    await join(cat, first);
    await readAll(cat, first);
    await leave(cat, first);
    await write(ann, `renewChatUri(uri: "${first.uri}")`);
    const { chatSessions } = await ann.gql('{ chatSessions(last: 1) { nodes { uri } } }');
    const renewed = { ...first, uri: chatSessions.nodes[0].uri };
    // The chat of an event is read when the event is executed, so its uri may be the new one already.
    const withoutChat = async () => {
      const { chatSession: _chat, ...rest } = await bens.event();
      return rest;
    };
    const bare = ({ chatSession: _chat, ...rest }: Record<string, unknown>) => rest;
    const cats = { username: 'cat' };
    for (const expected of [
      event('Chat', 'CREATED', first),
      message(first, 'hello'),
      message(second, 'self'),
      event('Member', 'CREATED', first, { user: cats }),
      event('Read', 'CREATED', first, { readMark: { user: cats } }),
      event('Member', 'DELETED', first, { user: cats }),
      event('Read', 'DELETED', first, { readMark: null }),
    ]) {
      expect(await withoutChat()).toEqual(bare(expected));
    }
    await expectEvents(bens, event('Chat', 'UPDATED', renewed));
    await leave(ben, renewed);
    await say(ann, renewed, 'not for ben either');
    await say(ben, second, 'done');
    expect(await withoutChat()).toEqual(bare(gone(first)));
    // The read mark of nobody else was left.
    await expectEvents(bens, message(second, 'done'));
  });

  it('should report edits, reactions and deletions, without the text of what was deleted since', async () => {
    const query = INBOX.replace('message { message }', 'message { message deletedAt reactions { emoji count } }');
    const before = await endOfLog(app);
    const { sendMessage } = await ben.gql(
      `mutation { sendMessage(uri: "${second.uri}", message: "secret") { ... on ChatMessage { id } } }`,
    );
    const { id } = sendMessage;
    const live = await follow(ben, before, query);
    expect((await live.event()).message).toEqual({ message: 'secret', deletedAt: null, reactions: [] });
    await write(ben, `addReaction(messageId: "${id}", emoji: "👍")`);
    expect(await live.event()).toMatchObject({
      action: 'UPDATED',
      message: { reactions: [{ emoji: '👍', count: 1 }] },
    });
    await write(ben, `updateMessage(id: "${id}", message: "changed")`);
    expect(await live.event()).toMatchObject({ action: 'UPDATED', message: { message: 'changed' } });
    await write(ben, `deleteMessage(id: "${id}")`);
    const deleted = { message: '', deletedAt: expect.any(String), reactions: [] };
    expect(await live.event()).toMatchObject({ action: 'UPDATED', message: deleted });
    const resumed = await follow(ben, before, query);
    expect(await resumed.event()).toMatchObject({ action: 'UPDATED', message: deleted });
    await app.delivered();
    expect(resumed.results.drain()).toEqual([]);
  });

  it('should be resumed without a gap, also in chats that were joined and left meanwhile', async () => {
    await join(ben, first);
    const third = await open(ann);
    await join(ben, third);
    const cursor = await endOfLog(app);
    await say(ann, first, 'one');
    await say(ann, third, 'lost with the right to it');
    await write(ann, `removeChatMember(uri: "${third.uri}", username: "ben")`);
    const fourth = await open(ann);
    await say(ann, fourth, 'zero');
    await join(ben, fourth);
    await say(ann, fourth, 'two');
    const resumed = await follow(ben, cursor);
    await expectEvents(resumed, message(first, 'one'), gone(third));
    // Ben may read what was said before he joined.
    await expectEvents(resumed, message(fourth, 'zero'), event('Chat', 'CREATED', fourth), message(fourth, 'two'));
    await say(ann, first, 'live');
    await expectEvents(resumed, message(first, 'live'));
  });

  it('should receive the writes of a database shell, and those of a whole chat only once it is there', async () => {
    await join(ben, first);
    const [anns, bens] = [await follow(ann), await follow(ben)];
    const [id, [user]] = [await sessionOf(first), await app.sql(`SELECT "id" FROM "User" WHERE "username" = 'ben'`)];
    await app.sql(
      `INSERT INTO "ChatMessage" ("chatSessionId", "userId", "message") VALUES (${id}, ${user?.['id']}, 'raw')`,
    );
    await app.sql(
      `INSERT INTO "ChatReadMark" ("chatSessionId", "userId", "messageId") VALUES (${id}, ${user?.['id']}, 7)`,
    );
    await app.sql(`UPDATE "ChatMessage" SET "message" = 'edited' WHERE "chatSessionId" = ${id}`);
    await app.sql(
      `UPDATE "ChatMessage" SET "chatSessionId" = ${await sessionOf(second)} WHERE "chatSessionId" = ${id}`,
    );
    const read = event('Read', 'CREATED', first, { readMark: { user: { username: 'ben' } } });
    const edited = event('Message', 'UPDATED', first, { message: { message: 'edited' } });
    await expectEvents(
      anns,
      message(first, 'raw'),
      read,
      edited,
      event('Message', 'DELETED', first, { message: null }),
    );
    await expectEvents(bens, message(first, 'raw'), read, edited, {
      ...edited,
      chatSessionId: second.id,
      chatSession: { uri: second.uri },
    });
    await app.sql(`DELETE FROM "ChatSession" WHERE "id" = ${id}`);
    await expectEvents(anns, gone(first));
    await expectEvents(bens, gone(first));
    await say(ben, second, 'the end');
    await expectEvents(bens, message(second, 'the end'));
    expect(anns.results.drain()).toEqual([]);
  });

  it('should be executed once for all its viewers, unless it selects what differs between them', async () => {
    await join(ben, first);
    await join(cat, first);
    for (const [selection, executions] of [
      ['', 1],
      [' ... on InboxMessageChange { mentionsViewer }', 2],
      [' chatSession { unreadCount }', 3],
    ] as const) {
      const query = `subscription ($after: String) { inboxChanged(after: $after) { __typename${selection} } }`;
      const operations = await Promise.all([ann, ben, cat].map((person) => follow(person, undefined, query)));
      await app.subscribed(3);
      const { results } = app.app.services.feed.loop;
      const before = results.rendered;
      await say(ann, first, 'hello @ben');
      await Promise.all(operations.map((operation) => operation.event()));
      expect(results.rendered - before).toBe(executions);
      await app.delivered();
      await Promise.all(clients.splice(0).map((client) => client.close()));
    }
  });

  it('should send edits and deletions, and no text that was deleted since', async () => {
    const query = `subscription ($after: String) { inboxChanged(after: $after) {
      action ... on InboxMessageChange { id mentionsViewer message { message deletedAt } }
    } }`;
    await join(ben, first);
    const before = await endOfLog(app);
    const bens = await follow(ben, before, query);
    await say(ann, first, 'secret');
    const { id, ...created } = await bens.event();
    const text = (message: string) => ({ message: { message, deletedAt: null }, mentionsViewer: false });
    expect(created).toEqual({ action: 'CREATED', ...text('secret') });
    await write(ann, `updateMessage(id: "${id}", message: "for @ben")`);
    expect(await bens.event()).toEqual({ action: 'UPDATED', id, ...text('for @ben'), mentionsViewer: true });
    await say(ann, first, 'public');
    await write(ann, `deleteMessage(id: "${id}")`);
    expect(await bens.event()).toMatchObject(text('public'));
    const deleted = {
      action: 'UPDATED',
      id,
      message: { message: '', deletedAt: expect.any(String) },
      mentionsViewer: false,
    };
    expect(await bens.event()).toEqual(deleted);
    const again = await follow(ben, before, query);
    expect(await again.event()).toMatchObject(text('public'));
    expect(await again.event()).toEqual(deleted);
  });

  it('should be for those who are signed in, and start over when their role changes', async () => {
    expect((await (await follow(app.anonymous)).ended)?.[0].extensions.code).toBe('UNAUTHENTICATED');
    const dan = await app.signUp('dan');
    const dans = await follow(dan);
    await app.subscribed(1);
    await app.sql(`UPDATE "User" SET "isStaff" = ? WHERE "username" = 'dan'`, true);
    expect((await dans.ended)?.[0].extensions.code).toBe('RESYNC_REQUIRED');
  });
});
