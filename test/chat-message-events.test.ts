import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { numberOf } from './kit/ids.ts';
import type { Person } from './kit/person.ts';
import { type Operation, RawSocket, SocketClient } from './kit/socket.ts';
import { endOfLog } from './live/streams.ts';

const FIELDS = `id message editedAt deletedAt replyTo { message } mentions { username }
  reactions { emoji count viewerReacted users { username } }`;
const MESSAGES = `subscription ($uri: String!, $after: String) {
  chatMessageChanged(uri: $uri, after: $after) { action cursor id chatMessage { ${FIELDS} } }
}`;
const CHATS = `subscription ($uri: String!, $after: String) {
  chatSessionChanged(uri: $uri, after: $after) { action chatSession { title } }
}`;

let app: TestApp;
let ann: Person;
let ben: Person;
let uri: string;
let start: string;
const clients: SocketClient[] = [];

beforeAll(async () => {
  app = await startApp();
  [ann, ben] = [await app.signUp('ann'), await app.signUp('ben')];
});
afterAll(() => app.close());
beforeEach(async () => {
  ({ uri } = (await ann.gql('mutation { createChatSession { uri } }')).createChatSession);
  await write(ben, `joinChat(uri: "${uri}")`);
  start = await endOfLog(app);
});
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

async function write(person: Person, mutation: string): Promise<void> {
  const { it } = await person.gql(`mutation { it: ${mutation} { __typename } }`);
  expect(it.__typename).not.toContain('Error');
}
async function say(person: Person, message: string): Promise<string> {
  const { it } = await person.gql(
    `mutation { it: sendMessage(uri: "${uri}", message: "${message}") { ... on ChatMessage { id } } }`,
  );
  return it.id;
}
const remove = (person: Person, id: string) => write(person, `deleteMessage(id: "${id}")`);
const edit = (person: Person, id: string, message: string) =>
  write(person, `updateMessage(id: "${id}", message: "${message}")`);
const react = (person: Person, id: string, emoji: string) =>
  write(person, `addReaction(messageId: "${id}", emoji: "${emoji}")`);

async function follow({ authorization }: Person, query = MESSAGES, after = start): Promise<Operation> {
  const client = await SocketClient.open(app.url, authorization);
  clients.push(client);
  return client.start(query, { uri, after });
}

const UPDATED = { action: 'UPDATED', cursor: expect.any(String) };

describe('a message', () => {
  it('should be UPDATED for all participants when it is edited, deleted or reacted to', async () => {
    const streams = [await follow(ann), await follow(ben)];
    const id = await say(ann, 'one');
    await edit(ann, id, 'two, @ben');
    await react(ben, id, '👍');
    await write(ben, `removeReaction(messageId: "${id}", emoji: "👍")`);
    await react(ann, id, '👍');
    await remove(ann, id);
    for (const [index, stream] of streams.entries()) {
      expect(await stream.event()).toMatchObject({ action: 'CREATED', id, chatMessage: { message: 'one' } });
      const edited = { message: 'two, @ben', editedAt: expect.any(String), mentions: [{ username: 'ben' }] };
      // The events of reactions show the present state of the message, which may be a later one.
      const events = [await stream.event()];
      while (events.at(-1).chatMessage.deletedAt === null) {
        events.push(await stream.event());
      }
      expect(events[0]).toMatchObject({ ...UPDATED, id, chatMessage: { message: edited.message } });
      expect(events.at(-1)).toMatchObject({
        ...UPDATED,
        id,
        chatMessage: { message: '', mentions: [], reactions: [] },
      });
      expect(index).toBeLessThan(2);
    }
    await app.delivered();
    for (const stream of streams) {
      expect(stream.results.drain().every(({ data }) => data.chatMessageChanged.chatMessage.message === '')).toBe(true);
    }
  });

  it('should show each viewer whether they reacted', async () => {
    const id = await say(ann, 'hi');
    start = await endOfLog(app);
    const [anns, bens] = [await follow(ann), await follow(ben)];
    await react(ben, id, '🎉');
    const reactions = (viewerReacted: boolean) => [
      { emoji: '🎉', count: 1, viewerReacted, users: [{ username: 'ben' }] },
    ];
    expect(await anns.event()).toMatchObject({
      ...UPDATED,
      id,
      chatMessage: { message: 'hi', reactions: reactions(false) },
    });
    expect(await bens.event()).toMatchObject({
      ...UPDATED,
      id,
      chatMessage: { message: 'hi', reactions: reactions(true) },
    });
  });

  it('should be UPDATED by what a database shell does to its reactions', async () => {
    const id = await say(ann, 'hi');
    const other = await say(ann, 'other');
    const [key, otherKey] = [numberOf(id), numberOf(other)];
    start = await endOfLog(app);
    const stream = await follow(ann);
    await app.sql(
      `INSERT INTO "ChatReaction" ("messageId", "chatSessionId", "userId", "emoji")
       SELECT "id", "chatSessionId", "userId", '👍' FROM "ChatMessage" WHERE "id" = ${key}`,
    );
    expect(await stream.event()).toMatchObject({ ...UPDATED, id, chatMessage: { reactions: [{ emoji: '👍' }] } });
    await app.sql(`UPDATE "ChatReaction" SET "emoji" = '🎉' WHERE "messageId" = ${key}`);
    expect(await stream.event()).toMatchObject({ ...UPDATED, id, chatMessage: { reactions: [{ emoji: '🎉' }] } });
    await app.sql(`UPDATE "ChatReaction" SET "messageId" = ${otherKey} WHERE "messageId" = ${key}`);
    expect(await stream.event()).toMatchObject({ ...UPDATED, id, chatMessage: { reactions: [] } });
    expect(await stream.event()).toMatchObject({
      ...UPDATED,
      id: other,
      chatMessage: { reactions: [{ emoji: '🎉' }] },
    });
    // The reactions go with the message; the first event that is sent says that it is gone.
    await app.sql(`DELETE FROM "ChatMessage" WHERE "id" = ${otherKey}`);
    expect(await stream.event()).toMatchObject({ action: 'DELETED', id: other, chatMessage: null });
    await app.delivered();
    const rest = stream.results.drain().map(({ data }) => data.chatMessageChanged.action);
    expect(rest.every((action) => action === 'DELETED')).toBe(true);
  });

  it('should not be shown in a chat by a reaction that a shell attributes to that chat', async () => {
    const secret = await say(ann, 'secret');
    const { createChatSession } = await ben.gql('mutation { createChatSession { uri } }');
    ({ uri } = createChatSession);
    start = await endOfLog(app);
    const stream = await follow(ben);
    await app.sql(
      `INSERT INTO "ChatReaction" ("messageId", "chatSessionId", "userId", "emoji")
       SELECT ${numberOf(secret)}, max("ChatSession"."id"), max("ChatSession"."ownerId"), '👍' FROM "ChatSession"`,
    );
    expect(await stream.event()).toMatchObject({ action: 'DELETED', id: secret, chatMessage: null });
  });

  it('should be replayed without the text that was deleted', async () => {
    const id = await say(ann, 'regrets');
    await edit(ann, id, 'more regrets');
    const kept = await say(ben, 'fine');
    await react(ben, id, '👍');
    await remove(ann, id);
    const last = await say(ben, 'last');
    const stream = await follow(ben);
    const events = [];
    for (let event = await stream.event(); event.id !== last; event = await stream.event()) {
      events.push([event.action, event.id, event.chatMessage.message]);
    }
    expect(events).toEqual([
      ['CREATED', kept, 'fine'],
      ['UPDATED', id, ''],
      ['UPDATED', id, ''],
    ]);
  });

  it('should receive nothing more after leaving, also of reactions', async () => {
    const id = await say(ann, 'hi');
    start = await endOfLog(app);
    const bens = await follow(ben);
    await react(ann, id, '👍');
    expect(await bens.event()).toMatchObject({ ...UPDATED, id });
    await write(ben, `leaveChat(uri: "${uri}")`);
    expect(await bens.ended).toBeNull();
    await react(ann, id, '🎉');
    await edit(ann, id, 'between us');
    const again = await follow(ben);
    expect(await again.ended).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
    expect([bens, again].map(({ results }) => results.drain())).toEqual([[], []]);
  });
});

describe('the title of a chat', () => {
  it('should reach its participants', async () => {
    const stream = await follow(ben, CHATS);
    await write(ann, `updateChat(uri: "${uri}", title: "Party")`);
    await write(ann, `updateChat(uri: "${uri}", title: null)`);
    expect(await stream.event()).toEqual({ action: 'UPDATED', chatSession: { title: 'Party' } });
    expect(await stream.event()).toEqual({ action: 'UPDATED', chatSession: { title: null } });
  });
});

describe('the chat socket', () => {
  it('should send neither edits, reactions nor deleted messages', async () => {
    const id = await say(ann, 'gone');
    await remove(ann, id);
    const socket = new RawSocket(`${app.url}/ws/chats/${uri}/?after=${encodeURIComponent(start)}`, {
      headers: { authorization: ben.authorization ?? '' },
    });
    await socket.opened;
    const last = await say(ann, 'here');
    await react(ben, last, '👍');
    await edit(ann, last, 'there');
    await say(ann, 'end');
    const texts = [];
    while (texts.at(-1) !== 'end') {
      texts.push(JSON.parse(await socket.frames.next()).message);
    }
    expect(texts).toEqual(['here', 'end']);
    socket.terminate();
  });
});
