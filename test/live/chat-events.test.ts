import { setTimeout as sleep } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { numberOf } from '../kit/ids.ts';
import type { Person } from '../kit/person.ts';
import { type Operation, SocketClient } from '../kit/socket.ts';
import { endOfLog } from './streams.ts';

const CHATS = `subscription ($uri: String, $after: String) {
  chatSessionChanged(uri: $uri, after: $after) {
    action cursor id chatSession { id uri owner { username } members { username } }
  }
}`;
const MESSAGES = `subscription ($uri: String!, $after: String) {
  chatMessageChanged(uri: $uri, after: $after) {
    action cursor id chatMessage { id message user { username } chatSession { uri } }
  }
}`;
const TYPING = 'subscription ($uri: String!) { chatTyping(uri: $uri) { users { username } } }';
/** How long a sign of typing lasts, and what the machine may add to it. */
const TYPING_LIFE_MS = 5000;
const SLACK_MS = 4000;

interface Chat {
  readonly id: string;
  readonly uri: string;
}

let app: TestApp;
let ann: Person;
let ben: Person;
let cat: Person;
let database: Sqlite.Database;
let chat: Chat;
const clients: SocketClient[] = [];

beforeAll(async () => {
  app = await startApp();
  [ann, ben, cat] = [await app.signUp('ann'), await app.signUp('ben'), await app.signUp('cat')];
  database = new Sqlite(app.databasePath);
  database.pragma('foreign_keys = ON');
});
afterAll(async () => {
  database.close();
  await app.close();
});
beforeEach(async () => {
  chat = await open();
});
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

const open = async (): Promise<Chat> => (await ann.gql('mutation { createChatSession { id uri } }')).createChatSession;

async function connect({ authorization }: Person): Promise<SocketClient> {
  const client = await SocketClient.open(app.url, authorization);
  clients.push(client);
  return client;
}

async function write(person: Person, mutation: string): Promise<void> {
  const { done } = await person.gql(`mutation { done: ${mutation} { __typename } }`);
  expect(done.__typename).not.toContain('Error');
}

const join = (person: Person, { uri } = chat) => write(person, `joinChat(uri: "${uri}")`);
const leave = (person: Person, { uri } = chat) => write(person, `leaveChat(uri: "${uri}")`);
const say = (person: Person, message: string, { uri } = chat) =>
  write(person, `sendMessage(uri: "${uri}", message: ${JSON.stringify(message)})`);
const type = (person: Person, { uri } = chat) =>
  person.gql('mutation ($uri: String!) { setTyping(uri: $uri) }', { uri });

async function follow(person: Person, query: string, uri: string | null = null): Promise<Operation> {
  const after = await endOfLog(app);
  return (await connect(person)).start(query, { uri, after });
}

describe('the chats of somebody', () => {
  const cursor = expect.any(String);

  it('should be CREATED for whoever opens or joins one, UPDATED for those who are there, and DELETED for who leaves', async () => {
    const [anns, bens, cats] = [await follow(ann, CHATS), await follow(ben, CHATS), await follow(cat, CHATS)];
    const { id, uri } = await open();
    const seen = (...usernames: string[]) => ({
      id,
      uri,
      owner: { username: 'ann' },
      members: usernames.map((username) => ({ username })),
    });
    expect(await anns.event()).toEqual({ action: 'CREATED', cursor, id, chatSession: seen('ann') });
    await join(ben, { id, uri });
    expect(await anns.event()).toEqual({ action: 'UPDATED', cursor, id, chatSession: seen('ann', 'ben') });
    expect(await bens.event()).toEqual({ action: 'CREATED', cursor, id, chatSession: seen('ann', 'ben') });
    await write(ben, `addChatMembers(uri: "${uri}", usernames: ["cat"])`);
    for (const [operation, action] of [
      [anns, 'UPDATED'],
      [bens, 'UPDATED'],
      [cats, 'CREATED'],
    ] as const) {
      expect(await operation.event()).toEqual({ action, cursor, id, chatSession: seen('ann', 'ben', 'cat') });
    }
    await leave(ben, { id, uri });
    for (const operation of [anns, cats]) {
      expect(await operation.event()).toEqual({ action: 'UPDATED', cursor, id, chatSession: seen('ann', 'cat') });
    }
    expect(await bens.event()).toEqual({ action: 'DELETED', cursor, id, chatSession: null });
    expect([anns, bens, cats].map(({ results }) => results.drain())).toEqual([[], [], []]);
  });

  it('should be narrowed to one by its uri', async () => {
    const anns = await follow(ann, CHATS, chat.uri);
    await join(ben, await open());
    await join(ben);
    expect(await anns.event()).toMatchObject({ action: 'UPDATED', id: chat.id });
    database.exec(
      `UPDATE "ChatSession" SET "updatedAt" = '2030-01-01T00:00:00.000+00:00' WHERE "id" = ${numberOf(chat.id)}`,
    );
    expect(await anns.event()).toMatchObject({ action: 'UPDATED', id: chat.id });
    expect(anns.results.drain()).toEqual([]);
  });

  it('should not be found by those who know the uri but have not joined', async () => {
    const client = await connect(ben);
    for (const query of [CHATS, MESSAGES, TYPING]) {
      const { ended } = client.start(
        query.replace(', $after: String', '').replace(', after: $after', ''),
        chat as never,
      );
      expect(await ended).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
    }
  });

  it('should receive the joining again when they come back', async () => {
    const bens = await follow(ben, CHATS);
    await join(ben);
    await join(ben);
    await leave(ben);
    await join(ben);
    const actions = [await bens.event(), await bens.event(), await bens.event()].map(({ action }) => action);
    expect(actions).toEqual(['CREATED', 'DELETED', 'CREATED']);
  });

  it('should go over to another owner with the row', async () => {
    const [anns, bens] = [await follow(ann, CHATS), await follow(ben, CHATS)];
    const ids = database.prepare<[], { id: number }>(`SELECT "id" FROM "User" WHERE "username" = 'ben'`).get();
    database.prepare('UPDATE "ChatSession" SET "ownerId" = ? WHERE "id" = ?').run(ids?.id, numberOf(chat.id));
    expect(await anns.event()).toEqual({ action: 'DELETED', cursor, id: chat.id, chatSession: null });
    expect(await bens.event()).toMatchObject({
      action: 'CREATED',
      id: chat.id,
      chatSession: { owner: { username: 'ben' } },
    });
  });
});

describe('what is said in a chat', () => {
  it('should be CREATED, UPDATED and DELETED for all who take part, in order, and nobody else', async () => {
    await join(ben);
    const [anns, bens] = [await follow(ann, MESSAGES, chat.uri), await follow(ben, MESSAGES, chat.uri)];
    const elsewhere = await open();
    const others = await follow(ann, MESSAGES, elsewhere.uri);
    await say(ann, 'one\n two ');
    await say(ben, 'three');
    database.exec(`UPDATE "ChatMessage" SET "message" = 'four' WHERE "message" = 'three'`);
    database.exec(`DELETE FROM "ChatMessage" WHERE "message" = 'four'`);
    for (const operation of [anns, bens]) {
      const chatSession = { uri: chat.uri };
      const one = await operation.event();
      expect(one).toMatchObject({
        action: 'CREATED',
        chatMessage: { message: 'one\n two ', user: { username: 'ann' }, chatSession },
      });
      const three = await operation.event();
      expect(three).toMatchObject({ action: 'CREATED', chatMessage: { message: 'three', user: { username: 'ben' } } });
      const { id } = three;
      expect(await operation.event()).toMatchObject({ action: 'UPDATED', id, chatMessage: { message: 'four' } });
      expect(await operation.event()).toEqual({ action: 'DELETED', cursor: expect.any(String), id, chatMessage: null });
    }
    await say(ann, 'over here', elsewhere);
    expect(await others.event()).toMatchObject({ chatMessage: { message: 'over here' } });
    expect([anns, bens, others].map(({ results }) => results.drain())).toEqual([[], [], []]);
  });

  it('should be CREATED where a message is moved to and DELETED where it was', async () => {
    const elsewhere = await open();
    const [here, there] = [await follow(ann, MESSAGES, chat.uri), await follow(ann, MESSAGES, elsewhere.uri)];
    await say(ann, 'moving');
    const { id } = await here.event();
    database.exec(`UPDATE "ChatMessage" SET "chatSessionId" = ${numberOf(elsewhere.id)} WHERE "id" = ${numberOf(id)}`);
    expect(await here.event()).toMatchObject({ action: 'DELETED', id, chatMessage: null });
    expect(await there.event()).toMatchObject({ action: 'CREATED', id, chatMessage: { message: 'moving' } });
  });
});

describe('typing', () => {
  const names = ({ users }: { users: readonly { username: string }[] }): string[] =>
    users.map(({ username }) => username);

  /** Watches who types; live once this resolves. */
  async function watchTyping(): Promise<Operation> {
    const client = await connect(ann);
    const typing = client.start(TYPING, { uri: chat.uri });
    // Signs of typing are not kept, so only one that arrives shows that the subscription has started.
    for (let arrived = false; !arrived; ) {
      await type(ann);
      arrived = await Promise.race([
        typing.event(SLACK_MS).then(
          () => true,
          () => false,
        ),
        sleep(50, false),
      ]);
      await say(ann, 'stop');
    }
    do {
      await sleep(50);
    } while (typing.results.drain().length > 0);
    return typing;
  }

  it('should be sent once, until a message ends it', async () => {
    await join(ben);
    await join(cat);
    const typing = await watchTyping();
    await type(ben);
    expect(names(await typing.event())).toEqual(['ben']);
    await Promise.all(Array.from({ length: 5 }, () => type(ben)));
    await type(cat);
    expect(names(await typing.event())).toEqual(['ben', 'cat']);
    await say(ben, 'done');
    expect(names(await typing.event())).toEqual(['cat']);
    await say(ben, 'more');
    await say(cat, 'done, too');
    expect(names(await typing.event())).toEqual([]);
    expect(typing.results.drain()).toEqual([]);
  });

  it('should be over after five seconds without another sign', async () => {
    await join(ben);
    const typing = await watchTyping();
    await type(ben);
    expect(names(await typing.event())).toEqual(['ben']);
    const begun = Date.now();
    await sleep(2000);
    await type(ben);
    expect(names(await typing.event(TYPING_LIFE_MS + SLACK_MS))).toEqual([]);
    expect(Date.now() - begun).toBeGreaterThan(TYPING_LIFE_MS + 1500);
  });

  it('should be sent for one chat only, and need a credential and membership', async () => {
    const typing = await watchTyping();
    const elsewhere = await open();
    await type(ann, elsewhere);
    expect(await ben.codeOf('mutation ($uri: String!) { setTyping(uri: $uri) }', { uri: chat.uri })).toBe('NOT_FOUND');
    const code = await app.anonymous.codeOf('mutation ($uri: String!) { setTyping(uri: $uri) }', { uri: chat.uri });
    expect(code).toBe('UNAUTHENTICATED');
    await type(ann);
    expect(names(await typing.event())).toEqual(['ann']);
    expect(typing.results.drain()).toEqual([]);
  });

  it('should leave no trace in the log', async () => {
    const changes = (): unknown => database.prepare('SELECT count(*) FROM "Change"').pluck().get();
    const before = changes();
    await type(ann);
    expect(changes()).toBe(before);
  });
});
