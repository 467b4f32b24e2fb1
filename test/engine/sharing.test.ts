import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { type Operation, SocketClient } from '../kit/socket.ts';

const MESSAGES = `subscription ($uri: String!) {
  chatMessageChanged(uri: $uri) { cursor chatMessage { message user { username } chatSession { uri members { username } } } }
}`;
const MANY = 50;

let app: TestApp;
let people: Person[];
const clients: SocketClient[] = [];

beforeAll(async () => {
  app = await startApp({ METRICS_PORT: '0' });
  const ann = await app.signUp('ann');
  // One account with many credentials would be one viewer; hashing fifty passwords would take seconds.
  const names = Array.from({ length: MANY }, (_, index) => `member${index}`);
  for (const name of names) {
    await app.sql(
      `INSERT INTO "User" ("username", "usernameKey", "passwordHash") SELECT ?, ?, "passwordHash" FROM "User" WHERE "username" = 'ann'`,
      name,
      name,
    );
  }
  people = [ann, ...(await Promise.all(names.map((name) => app.anonymous.signIn(name, 'a good long password'))))];
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await app.close();
});

const metric = (name: string): Promise<number> => app.metric(name);

/** Opens a chat with so many members, all of whom listen to it; returns what they receive. */
async function roomOf(count: number, query = MESSAGES): Promise<{ uri: string; streams: Operation[]; owner: Person }> {
  const [owner, ...members] = people.slice(0, count) as [Person, ...Person[]];
  const { createChatSession } = await owner.gql('mutation { createChatSession { uri } }');
  const { uri } = createChatSession;
  await Promise.all(members.map((member) => member.gql(`mutation { joinChat(uri: "${uri}") { __typename } }`)));
  const before = app.subscriptions();
  const streams = await Promise.all(
    people.slice(0, count).map(async ({ authorization }) => {
      const client = await SocketClient.open(app.url, authorization);
      clients.push(client);
      return client.start(query, { uri });
    }),
  );
  await app.subscribed(before + count);
  return { uri, streams, owner };
}

const say = (owner: Person, uri: string, message: string) =>
  owner.gql(
    'mutation ($uri: String!, $message: String!) { sendMessage(uri: $uri, message: $message) { __typename } }',
    {
      uri,
      message,
    },
  );

/** How many statements and executions a message to a room costs. */
async function costOf(room: Awaited<ReturnType<typeof roomOf>>): Promise<{ statements: number; executions: number }> {
  const { uri, streams, owner } = room;
  await say(owner, uri, 'first');
  await Promise.all(streams.map((stream) => stream.event()));
  const before = await metric('tidings_executions_total');
  const statements = await app.countStatements(async () => {
    await say(owner, uri, 'second');
    for (const { chatMessage } of await Promise.all(streams.map((stream) => stream.event()))) {
      expect(chatMessage).toMatchObject({ message: 'second', user: { username: 'ann' }, chatSession: { uri } });
    }
  });
  return { statements, executions: (await metric('tidings_executions_total')) - before };
}

describe('a message to a chat', () => {
  it('should cost as many statements and executions for fifty members as for two', async () => {
    const two = await costOf(await roomOf(2));
    const fifty = await costOf(await roomOf(MANY));
    expect(fifty).toEqual(two);
    expect(two.executions).toBe(1);
  });

  it('should be executed once more for a viewer for whom it is another, and no more than that', async () => {
    // Everybody sees their own address, and nobody those of others.
    const room = await roomOf(
      10,
      'subscription ($uri: String!) { chatMessageChanged(uri: $uri) { chatMessage { message user { username email } } } }',
    );
    await app.sql(`UPDATE "User" SET "email" = 'ann@example.org' WHERE "username" = 'ann'`);
    const before = await metric('tidings_executions_total');
    await say(room.owner, room.uri, 'mine');
    const events = await Promise.all(room.streams.map((stream) => stream.event()));
    expect(events.map(({ chatMessage }) => chatMessage.user.email)).toEqual([
      'ann@example.org',
      ...Array(9).fill(null),
    ]);
    expect((await metric('tidings_executions_total')) - before).toBe(2);
  });

  it('should leave nothing behind when everybody has it', async () => {
    const { uri, streams, owner } = await roomOf(5);
    for (let count = 0; count < 20; count += 1) {
      await say(owner, uri, 'x'.repeat(2000));
    }
    for (const stream of streams) {
      for (let count = 0; count < 20; count += 1) {
        await stream.event();
      }
    }
    await expect.poll(() => metric('tidings_delivery_waiting_bytes')).toBe(0);
    await expect.poll(() => metric('tidings_delivery_result_bytes'), { timeout: 10_000 }).toBe(0);
  });
});

describe('subscriptions that differ in a variable', () => {
  it('should not share what depends on it, though it is called `after`', async () => {
    const [ann] = people as [Person];
    const { createTodoList } = await ann.gql(
      'mutation { createTodoList(input: { name: "list" }) { ... on TodoList { id } } }',
    );
    for (const title of ['a', 'b', 'c']) {
      await ann.gql('mutation ($input: CreateTodoInput!) { createTodo(input: $input) { __typename } }', {
        input: { title, listId: createTodoList.id },
      });
    }
    const { todoList } = await ann.gql('query ($id: ID!) { todoList(id: $id) { todos { edges { cursor } } } }', {
      id: createTodoList.id,
    });
    const cursors = [null, ...todoList.todos.edges.map(({ cursor }: { cursor: string }) => cursor)];
    const client = await SocketClient.open(app.url, ann.authorization);
    clients.push(client);
    const before = app.subscriptions();
    const streams = cursors.map((after) =>
      client.start(
        'subscription ($after: String) { todoListChanged { todoList { todos(after: $after) { nodes { title } } } } }',
        { after },
      ),
    );
    await app.subscribed(before + cursors.length);
    await ann.gql('mutation ($id: ID!) { updateTodoList(id: $id, input: { name: "renamed" }) { __typename } }', {
      id: createTodoList.id,
    });
    const titles = await Promise.all(
      streams.map(async (stream) => {
        const { todoList } = await stream.event();
        return todoList.todos.nodes.map(({ title }: { title: string }) => title).join('');
      }),
    );
    expect(titles).toEqual(['abc', 'bc', 'c', '']);
  });

  it('should share all but where they start', async () => {
    const [ann] = people as [Person];
    const { cursor } = await ann.gql('{ cursor }');
    const query = `subscription Watch($after: String) { noteChanged(after: $after) { ...Change } }
      fragment Change on NoteChange { cursor note { title } }`;
    const opened = await Promise.all(
      people.slice(0, 5).map(async ({ authorization }) => {
        const client = await SocketClient.open(app.url, authorization);
        clients.push(client);
        return client;
      }),
    );
    const note =
      'mutation ($title: String!) { createNote(input: { title: $title, description: "", priority: 0 }) { __typename } }';
    const open = app.subscriptions();
    const early = opened.map((client, index) => client.start(query, { after: index % 2 ? cursor : null }));
    await app.subscribed(open + opened.length);
    const before = await metric('tidings_executions_total');
    await app.anonymous.gql(note, { title: 'for all' });
    for (const stream of early) {
      expect((await stream.event()).note).toEqual({ title: 'for all' });
    }
    expect((await metric('tidings_executions_total')) - before).toBe(1);
  });
});
