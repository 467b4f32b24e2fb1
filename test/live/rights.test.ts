import Sqlite from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { numberOf } from '../kit/ids.ts';
import type { Person } from '../kit/person.ts';
import { firstTyping, type Operation, SocketClient } from '../kit/socket.ts';
import { EventStream, endOfLog } from './streams.ts';

const MESSAGES = `subscription ($uri: String!, $after: String) {
  chatMessageChanged(uri: $uri, after: $after) { action cursor id chatMessage { message } }
}`;
const CHATS = `subscription ($uri: String, $after: String) {
  chatSessionChanged(uri: $uri, after: $after) { action cursor id chatSession { uri members { username } } }
}`;
const TYPING = 'subscription ($uri: String!) { chatTyping(uri: $uri) { users { username } } }';
const PRESENCE = 'subscription ($uri: String!) { chatPresence(uri: $uri) { users { username } } }';
const INBOX = `subscription ($after: String) {
  inboxChanged(after: $after) { type: __typename action chatSession { uri } ... on InboxMessageChange { message { message } } }
}`;
const TODOS = 'subscription ($after: String) { todoChanged(after: $after) { action todo { title } } }';

const MOVED = 1200;

let app: TestApp;
let ann: Person;
let ben: Person;
let database: Sqlite.Database;
const clients: SocketClient[] = [];

beforeAll(async () => {
  app = await startApp({ METRICS_PORT: '0' });
  ann = await app.signUp('ann');
  ben = await app.signUp('ben');
  database = new Sqlite(app.databasePath);
});
afterAll(async () => {
  database.close();
  await app.close();
});
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

async function connect({ authorization }: Person): Promise<SocketClient> {
  const client = await SocketClient.open(app.url, authorization);
  clients.push(client);
  return client;
}

const idOf = ({ username }: Person): number =>
  database.prepare<[string], { id: number }>('SELECT "id" FROM "User" WHERE "username" = ?').get(username)?.id ?? 0;

async function write(person: Person, mutation: string): Promise<void> {
  const { done } = await person.gql(`mutation { done: ${mutation} { __typename } }`);
  expect(done.__typename).not.toContain('Error');
}

const say = (person: Person, uri: string, message: string) =>
  write(person, `sendMessage(uri: "${uri}", message: "${message}")`);

/** The code of the error that ends an operation, or that is all it has to give. */
async function codeOf({ ended, results }: Operation): Promise<unknown> {
  const errors = (await ended) ?? results.drain()[0]?.errors;
  expect(errors).toHaveLength(1);
  return errors[0].extensions?.code;
}

describe('a chat that somebody is removed from', () => {
  let uri: string;
  let chatId: string;
  let bens: SocketClient;
  /** Where the log ended before anything was said. */
  let before: string;

  beforeEach(async () => {
    const { createChatSession } = await ann.gql('mutation { createChatSession { id uri } }');
    ({ uri, id: chatId } = createChatSession);
    await write(ben, `joinChat(uri: "${uri}")`);
    bens = await connect(ben);
    before = await endOfLog(app);
  });

  const remove = () => write(ann, `removeChatMember(uri: "${uri}", username: "ben")`);
  const takeBack = () => write(ann, `addChatMembers(uri: "${uri}", usernames: ["ben"])`);
  const LEAVINGS: readonly [how: string, leave: () => unknown][] = [
    ['the owner removes them', remove],
    ['they leave', () => write(ben, `leaveChat(uri: "${uri}")`)],
    [
      'a shell deletes their row',
      () =>
        database.exec(
          `DELETE FROM "ChatMember" WHERE "chatSessionId" = ${numberOf(chatId)} AND "userId" = ${idOf(ben)}`,
        ),
    ],
    [
      'a shell gives their row to somebody else',
      () => {
        const other = Number(database.prepare('SELECT max("id") AS "id" FROM "User"').pluck().get()) + 1;
        database.exec(`
          INSERT INTO "User" ("id", "username", "usernameKey", "passwordHash") VALUES (${other}, 'u${other}', 'u${other}', '');
          UPDATE "ChatMember" SET "userId" = ${other} WHERE "chatSessionId" = ${numberOf(chatId)};
        `);
      },
    ],
  ];

  it.each(LEAVINGS)('should send them that and end its streams when %s', async (_how, leave) => {
    const messages = bens.start(MESSAGES, { uri, after: before });
    const chats = bens.start(CHATS, { after: before });
    const thisChat = bens.start(CHATS, { uri, after: before });
    const inbox = bens.start(INBOX, { after: before });
    const presence = bens.start(PRESENCE, { uri });
    expect(await presence.event()).toEqual({ users: [{ username: 'ben' }] });
    const typing = bens.start(TYPING, { uri });
    await say(ann, uri, 'welcome');
    expect(await inbox.event()).toMatchObject({ type: 'InboxMessageChange', message: { message: 'welcome' } });
    expect(await messages.event()).toMatchObject({ action: 'CREATED', chatMessage: { message: 'welcome' } });
    const signal = () => ann.gql('mutation ($uri: String!) { setTyping(uri: $uri) }', { uri });
    expect(await firstTyping(typing, signal)).toEqual({ users: [{ username: 'ann' }] });
    await leave();
    const gone = { action: 'DELETED', cursor: expect.any(String), id: chatId, chatSession: null };
    expect(await chats.event()).toEqual(gone);
    expect(await thisChat.event()).toEqual(gone);
    expect(await inbox.event()).toEqual({ type: 'InboxChatChange', action: 'DELETED', chatSession: null });
    const endings = [messages, thisChat, typing, presence].map(({ ended }) => ended);
    expect(await Promise.all(endings)).toEqual([null, null, null, null]);

    await say(ann, uri, 'between us');
    await ann.gql('mutation ($uri: String!) { setTyping(uri: $uri) }', { uri });
    await ben.gql('mutation { createChatSession { uri } }');
    // Of all the chats, only that new one is news.
    expect(await chats.event()).toMatchObject({ action: 'CREATED', chatSession: { members: [{ username: 'ben' }] } });
    expect(await inbox.event()).toMatchObject({ type: 'InboxChatChange', action: 'CREATED' });
    for (const operation of [messages, chats, thisChat, typing, inbox]) {
      expect(operation.results.drain()).toEqual([]);
    }
  });

  it('should send others that they have left', async () => {
    const anns = await connect(ann);
    const chats = anns.start(CHATS, { uri, after: before });
    await remove();
    expect(await chats.event()).toMatchObject({
      action: 'UPDATED',
      id: chatId,
      chatSession: { members: [{ username: 'ann' }] },
    });
    await takeBack();
    expect((await chats.event()).chatSession.members).toEqual([{ username: 'ann' }, { username: 'ben' }]);
  });

  it('should say nothing of it when they resume from where they still took part', async () => {
    await say(ann, uri, 'while ben was here');
    await remove();
    await say(ann, uri, 'between us');
    expect(await codeOf(bens.start(MESSAGES, { uri, after: before }))).toBe('NOT_FOUND');
    expect(await codeOf(bens.start(TYPING, { uri }))).toBe('NOT_FOUND');
    expect(await codeOf(bens.start(PRESENCE, { uri }))).toBe('NOT_FOUND');
    const inbox = bens.start(INBOX, { after: before });
    expect(await inbox.event()).toEqual({ type: 'InboxChatChange', action: 'DELETED', chatSession: null });
    await app.delivered();
    expect(inbox.results.drain()).toEqual([]);
    const thisChat = bens.start(CHATS, { uri, after: before });
    expect(await thisChat.event()).toMatchObject({ action: 'DELETED', id: chatId, chatSession: null });
    expect(await thisChat.ended).toBeNull();
    expect(thisChat.results.drain()).toEqual([]);

    const { cursor } = await ann.gql('{ cursor }');
    const stream = await EventStream.open(app.url, {
      query: MESSAGES,
      variables: { uri },
      authorization: ben.authorization,
      headers: { 'last-event-id': cursor },
    });
    expect(await stream.result()).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
    expect(await stream.frames.next()).toMatchObject({ event: 'complete' });
  });

  it('should say nothing of what was written together with the removal', async () => {
    const messages = bens.start(MESSAGES, { uri, after: before });
    await say(ann, uri, 'first');
    await messages.event();
    const insert = (text: string): string =>
      `INSERT INTO "ChatMessage" ("chatSessionId", "userId", "message") VALUES (${numberOf(chatId)}, ${idOf(ann)}, '${text}')`;
    const removal = `DELETE FROM "ChatMember" WHERE "chatSessionId" = ${numberOf(chatId)}`;
    database.exec(`BEGIN; ${insert('a')}; ${insert('b')}; ${removal}; ${insert('c')}; COMMIT`);
    expect(await messages.ended).toBeNull();
    expect(messages.results.drain()).toEqual([]);
  });

  it('should send them everything when they resume after they came back', async () => {
    await say(ann, uri, 'one');
    await remove();
    await say(ann, uri, 'two');
    await takeBack();
    await say(ann, uri, 'three');
    const messages = bens.start(MESSAGES, { uri, after: before });
    for (const message of ['one', 'two', 'three']) {
      expect((await messages.event()).chatMessage.message).toBe(message);
    }
    const chats = bens.start(CHATS, { uri, after: before });
    expect(await chats.event()).toMatchObject({ action: 'DELETED', id: chatId });
    expect(await chats.event()).toMatchObject({ action: 'CREATED', id: chatId });
    await say(ann, uri, 'four');
    expect((await messages.event()).chatMessage.message).toBe('four');
  });

  it('should end for everybody when it is deleted', async () => {
    const anns = await connect(ann);
    const operations = [anns, bens].map((client) => ({
      messages: client.start(MESSAGES, { uri, after: before }),
      chats: client.start(CHATS, { uri, after: before }),
    }));
    await say(ben, uri, 'here');
    for (const { messages } of operations) {
      await messages.event();
    }
    database.exec(`PRAGMA foreign_keys = ON; DELETE FROM "ChatSession" WHERE "id" = ${numberOf(chatId)}`);
    for (const { messages, chats } of operations) {
      expect(await Promise.all([messages.ended, chats.ended])).toEqual([null, null]);
      expect(chats.results.drain().at(-1)?.data.chatSessionChanged).toMatchObject({ action: 'DELETED', id: chatId });
    }
  });
});

describe('staff', () => {
  const setStaff = ({ username }: Person, isStaff: boolean): string =>
    `UPDATE "User" SET "isStaff" = ${isStaff} WHERE "username" = '${username}'`;
  const addTodo = (title: string): string =>
    `INSERT INTO "Todo" ("title", "ownerId") VALUES ('${title}', ${idOf(ann)})`;

  it.each([
    { name: 'cat', becomes: 'staff', was: false },
    { name: 'dan', becomes: 'anybody', was: true },
  ])('should make every stream of $name start over on becoming $becomes', async ({ name, was }) => {
    const person = await (was ? app.signUpStaff(name) : app.signUp(name));
    const client = await connect(person);
    const before = await endOfLog(app);
    const todos = client.start(TODOS, { after: before });
    const chats = client.start(CHATS, { after: before });
    const { createChatSession } = await person.gql('mutation { createChatSession { uri } }');
    const typing = client.start(TYPING, createChatSession);
    const { authorization } = person;
    const stream = await EventStream.open(app.url, { query: TODOS, variables: { after: before }, authorization });
    await write(person, 'createTodo(input: { title: "own" })');
    expect(await todos.event()).toMatchObject({ todo: { title: 'own' } });
    expect(await stream.event()).toMatchObject({ todo: { title: 'own' } });
    await firstTyping(typing, () => person.gql('mutation ($uri: String!) { setTyping(uri: $uri) }', createChatSession));

    database.exec(`BEGIN; ${addTodo('before')}; ${setStaff(person, !was)}; ${addTodo('after')}; COMMIT`);
    expect(await codeOf(todos)).toBe('RESYNC_REQUIRED');
    expect(await chats.event()).toMatchObject({ action: 'CREATED' });
    expect(await codeOf(chats)).toBe('RESYNC_REQUIRED');
    // Staff see the email addresses of those who type.
    expect(await codeOf(typing)).toBe('RESYNC_REQUIRED');
    expect(await stream.result()).toMatchObject({ errors: [{ extensions: { code: 'RESYNC_REQUIRED' } }] });
    expect(await stream.frames.next()).toMatchObject({ event: 'complete' });
    expect(todos.results.drain()).toEqual([]);

    expect(await codeOf(client.start(TODOS, { after: before }))).toBe('RESYNC_REQUIRED');
    const anew = client.start(TODOS, { after: await endOfLog(app) });
    database.exec(`${addTodo('ann’s')}; INSERT INTO "Todo" ("title") VALUES ('everybody’s')`);
    expect((await anew.event()).todo.title).toBe(was ? 'everybody’s' : 'ann’s');
  });

  it('should receive at once what they lost while they were not connected', async () => {
    const eve = await app.signUpStaff('eve');
    const before = await endOfLog(app);
    database.exec(`${addTodo('while staff')}; ${setStaff(eve, false)}; ${addTodo('no longer')}`);
    const client = await connect(eve);
    const todos = client.start(TODOS, { after: before });
    expect(await codeOf(todos)).toBe('RESYNC_REQUIRED');
    expect(todos.results.drain()).toEqual([]);
  });
});

describe('a row that left the viewer’s sight', () => {
  it('should not be shown to a reader who has been slow to ask for it', async () => {
    // The answer to each is so large that the kernel has no room for all that are read from the log at once.
    const large = Array.from({ length: 30 }, (_, i) => `d${i}: description`).join(' ');
    const query = `subscription ($after: String) { todoChanged(after: $after) { todo { title ${large} } } }`;
    const before = await endOfLog(app);
    database.exec(`
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${MOVED})
      INSERT INTO "Todo" ("title", "description", "ownerId") SELECT 'moved', printf('%.4000c', 'x'), ${idOf(ben)} FROM n;
    `);
    const sentBefore = app.app.services.feed.loop.delivered;
    const client = await connect(ben);
    const todos = client.start(query, { after: before });
    client.raw.socket.pause();
    // The server has written what the network takes, and waits for the reader with the rest.
    const { loop } = app.app.services.feed;
    let delivered = loop.delivered;
    const isHeldUp = () => {
      const [looked, now] = [delivered, loop.delivered];
      delivered = now;
      return now > sentBefore && now === looked && loop.results.waitingBytes > 0;
    };
    await expect.poll(isHeldUp, { interval: 200, timeout: 20_000 }).toBe(true);
    // Read in the same turn as the right is lost, so that nothing is written in between.
    const shownBefore = loop.delivered - sentBefore;
    database.exec(`UPDATE "Todo" SET "ownerId" = ${idOf(ann)} WHERE "title" = 'moved'`);
    expect(shownBefore).toBeLessThan(MOVED);
    database.exec(`INSERT INTO "Todo" ("title") VALUES ('last')`);
    await endOfLog(app);
    client.raw.socket.resume();
    let shown = 0;
    for (let title = ''; title !== 'last'; ) {
      title = (await todos.event()).todo?.title ?? '';
      shown += title === 'moved' ? 1 : 0;
    }
    expect(shown).toBeLessThanOrEqual(shownBefore);
  });

  it.each([
    ['lives on', `UPDATE "Todo" SET "title" = 'ann’s'`],
    ['was deleted since', 'DELETE FROM "Todo"'],
  ])('should not be shown as it was when they resume from before and it %s', async (_what, statement) => {
    const before = await endOfLog(app);
    const id = database
      .prepare('INSERT INTO "Todo" ("title", "ownerId") VALUES (?, ?)')
      .run('first', idOf(ben)).lastInsertRowid;
    database.exec(`UPDATE "Todo" SET "title" = 'second' WHERE "id" = ${id}`);
    database.exec(`UPDATE "Todo" SET "ownerId" = ${idOf(ann)} WHERE "id" = ${id}`);
    database.exec(`${statement} WHERE "id" = ${id}`);
    database.exec(`INSERT INTO "Todo" ("title") VALUES ('last')`);
    const todos = (await connect(ben)).start(TODOS, { after: before });
    expect(await todos.event()).toEqual({ action: 'DELETED', todo: null });
    expect(await todos.event()).toEqual({ action: 'CREATED', todo: { title: 'last' } });
  });
});
