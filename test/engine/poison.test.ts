import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MODELS } from '../../src/slices.ts';
import { startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { ON_POSTGRES } from '../kit/postgres.ts';
import { SocketClient } from '../kit/socket.ts';

/** What a database shell can write where something else belongs. */
const VALUES: readonly string[] = ON_POSTGRES
  ? [
      'NULL',
      `''`,
      `E'\\x01'`,
      '-2147483648',
      '2147483647',
      `'infinity'`,
      `'-infinity'`,
      `'294276-12-31T23:59:59Z'`,
      `'4000-01-01 BC'`,
    ]
  : [
      'NULL',
      `''`,
      `'text'`,
      '0',
      '-1',
      '1.5',
      '9e999',
      '-9e999',
      '9007199254740993',
      '9223372036854775807',
      `x''`,
      `x'00ff'`,
      `CAST(x'ff' AS TEXT)`,
      `CAST(x'eda080' AS TEXT)`,
      `'a' || char(0) || 'b'`,
      `'"\\"'`,
      `printf('%.5000c', 'x')`,
    ];

const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  User: ['isActive', 'isStaff', 'credentialsChangedAt'],
  TodoList: ['name', 'ownerId', 'createdAt', 'updatedAt'],
  Todo: ['title', 'description', 'completed', 'listId', 'ownerId', 'createdAt', 'updatedAt'],
  Post: ['title', 'content', 'authorId', 'createdAt', 'updatedAt'],
  ChatSession: ['uri', 'title', 'ownerId', 'createdAt', 'updatedAt'],
  ChatMember: ['chatSessionId', 'userId', 'createdAt', 'updatedAt'],
  ChatMessage: ['chatSessionId', 'userId', 'message', 'replyToId', 'createdAt', 'updatedAt', 'deletedAt'],
  ChatReaction: ['messageId', 'chatSessionId', 'emoji'],
  ChatReadMark: ['chatSessionId', 'userId', 'messageId', 'updatedAt'],
  Note: ['title', 'description', 'priority', 'createdAt', 'createdBy', 'ownerId', 'insertedAt', 'updatedAt'],
};

const EVERYTHING = {
  todos:
    'subscription ($after: String) { todoChanged(after: $after) { cursor action todo { title description completed createdAt updatedAt list { name } } } }',
  lists:
    'subscription ($after: String) { todoListChanged(after: $after) { cursor action todoList { name createdAt } } }',
  notes:
    'subscription ($after: String) { noteChanged(after: $after) { cursor action note { title priority createdAt insertedAt } } }',
  posts:
    'subscription ($after: String) { postChanged(after: $after) { cursor action post { title content author { username } } } }',
  chats:
    'subscription ($after: String) { chatSessionChanged(after: $after) { cursor action chatSession { uri createdAt } } }',
};

let app: TestApp;
let ann: Person;
let watcher: Person;
const clients: SocketClient[] = [];

beforeAll(async () => {
  app = await startApp({ MAX_FAILED_SIGN_INS: '1000', METRICS_PORT: '0' });
  ann = await app.signUp('ann');
  watcher = await app.signUp('watcher');
});
afterAll(async () => {
  for (const client of clients) {
    client.raw.terminate();
  }
  await app.close();
});

async function connect({ authorization }: Person): Promise<SocketClient> {
  const client = await SocketClient.open(app.url, authorization);
  clients.push(client);
  return client;
}

/** Inserts a row of a model that may be damaged, with the rows that it refers to; returns its id. Each damage is done to a row of its own. */
async function makeRow(model: string): Promise<number | undefined> {
  const now = ON_POSTGRES ? 'now()' : `'2026-01-01T00:00:00.000+00:00'`;
  const insert = async (table: string, columns: Readonly<Record<string, string>>): Promise<number> => {
    const names = Object.keys(columns).map((name) => `"${name}"`);
    const [row] = await app.sql(
      `INSERT INTO "${table}" (${names.join(', ')}) VALUES (${Object.values(columns).join(', ')}) RETURNING "id"`,
    );
    return Number(row?.['id']);
  };
  const tag = Math.random().toString(36).slice(2);
  const makeUser = () => insert('User', { username: `'${tag}'`, usernameKey: `'${tag}'`, passwordHash: `'!'` });
  const makeChat = async () =>
    insert('ChatSession', { uri: `'${tag}'`, ownerId: String(await makeUser()), updatedAt: now });
  const makeMessage = async (chat: number) =>
    insert('ChatMessage', { chatSessionId: String(chat), userId: '1', message: `'hello'`, updatedAt: now });
  const makeAbout = async (table: string, columns: Readonly<Record<string, string>>) => {
    const chat = await makeChat();
    const messageId = String(await makeMessage(chat));
    return insert(table, { messageId, chatSessionId: String(chat), userId: '1', ...columns });
  };
  const makers: Readonly<Record<string, () => Promise<number>>> = {
    User: makeUser,
    TodoList: () => insert('TodoList', { name: `'list'`, updatedAt: now }),
    Todo: () => insert('Todo', { title: `'todo'`, updatedAt: now }),
    Post: () => insert('Post', { title: `'post'`, content: `'-'`, updatedAt: now }),
    ChatSession: makeChat,
    ChatMember: async () =>
      insert('ChatMember', { chatSessionId: String(await makeChat()), userId: '1', updatedAt: now }),
    ChatMessage: async () => makeMessage(await makeChat()),
    ChatReaction: () => makeAbout('ChatReaction', { emoji: `'👍'` }),
    ChatReadMark: () => makeAbout('ChatReadMark', { updatedAt: now }),
    Note: () =>
      insert('Note', {
        title: `'note'`,
        description: `''`,
        priority: '1',
        createdAt: `''`,
        createdBy: `''`,
        updatedAt: now,
      }),
  };
  return makers[model]?.();
}

/** Writes each value into each column of a model, where the database lets it; returns how many it took. */
async function damage(model: string, columns: readonly string[]): Promise<number> {
  let taken = 0;
  for (const column of columns) {
    for (const value of VALUES) {
      const id = await makeRow(model);
      const statements = [
        `UPDATE "${model}" SET "${column}" = ${value} WHERE "id" = ${id}`,
        `DELETE FROM "${model}" WHERE "id" = ${id}`,
      ];
      for (const statement of statements) {
        taken += await app.sql(statement).then(
          () => 1,
          () => 0,
        );
      }
    }
  }
  return taken;
}

/** A cursor behind all that was committed so far: the feed reads it a moment later. */
async function cursorAfterEverything(): Promise<string> {
  const [end] = await app.sql('SELECT max("seq") AS "seq" FROM "Change"');
  for (;;) {
    const { cursor } = await watcher.gql('{ cursor }');
    if (Number(/:(\d+)-/.exec(cursor)?.[1]) >= Number(end?.['seq'])) {
      return cursor;
    }
    await pause(10);
  }
}

describe('values of every kind in every column', () => {
  it('should be those of every model that is logged', () => {
    const logged = Object.entries(MODELS)
      .filter(([, rule]) => rule && (!rule.actions || rule.actions.includes('UPDATE')))
      .map(([name]) => name);
    expect(Object.keys(COLUMNS).sort()).toEqual(logged.sort());
  });

  it.each(Object.entries(COLUMNS))(
    'should harm nobody but the subscribers of what cannot be read: %s',
    { timeout: 120_000 },
    async (model, columns) => {
      const { cursor } = await watcher.gql('{ cursor }');
      const early = await connect(watcher);
      const streams = Object.entries(EVERYTHING).map(
        ([name, query]) => [name, early.start(query, { after: cursor })] as const,
      );
      expect(await damage(model, columns)).toBeGreaterThan(columns.length);

      // Every stream lives on, or has to start over; and starts over.
      const late = await connect(watcher);
      const now = await cursorAfterEverything();
      const fresh = Object.entries(EVERYTHING).map(
        ([name, query]) => [name, late.start(query, { after: now })] as const,
      );
      await ann.gql(`mutation {
        createPost(input: { title: "sound", content: "-" }) { __typename }
        createNote(input: { title: "own", description: "", priority: 1 }) { __typename }
      }`);
      await app.anonymous.gql(`mutation {
        createTodo(input: { title: "sound" }) { __typename }
        createTodoList(input: { name: "sound" }) { __typename }
        createNote(input: { title: "sound", description: "", priority: 1 }) { __typename }
      }`);
      for (const [name, stream] of fresh.filter(([name]) => name !== 'chats')) {
        const event = await stream.event();
        expect([name, event.action, JSON.stringify(event)]).toEqual([
          name,
          'CREATED',
          expect.stringContaining('sound'),
        ]);
      }
      for (const [name, stream] of streams.filter(([name]) => name !== 'chats')) {
        const ended = Promise.race([stream.ended, untilSound(stream)]);
        expect([name, await ended]).toEqual([
          name,
          expect.toSatisfy((end) => end === 'sound' || end?.[0]?.extensions.code === 'RESYNC_REQUIRED'),
        ]);
      }
      // Whoever resumes from before either gets through, or has to start over, at once.
      const resumer = await connect(watcher);
      for (const [name, query] of Object.entries(EVERYTHING)) {
        const stream = resumer.start(query, { after: cursor });
        if (name !== 'chats') {
          expect([name, await Promise.race([stream.ended, untilSound(stream)])]).toEqual([
            name,
            expect.toSatisfy((end) => end === 'sound' || end?.[0]?.extensions.code === 'RESYNC_REQUIRED'),
          ]);
        }
      }
      expect((await fetch(`${app.url}/ready`)).status).toBe(200);
      // Access goes on being decided.
      const ben = await app.signUp(`ben${model.toLowerCase()}`);
      const bens = await connect(ben);
      await ben.gql(
        'mutation { changePassword(input: { currentPassword: "a good long password", newPassword: "another good one" }) { __typename } }',
      );
      expect(await bens.closed).toMatchObject({ code: 4403 });
    },
  );

  it('should be counted and warned of where they make a change unreadable', async () => {
    const { cursor } = await watcher.gql('{ cursor }');
    await damage('Note', ['priority', 'insertedAt']);
    const stream = (await connect(watcher)).start(EVERYTHING.notes, { after: cursor });
    await Promise.race([stream.ended, untilSound(stream)]);
    const text = await app.metrics();
    const unreadable = Number(/^tidings_log_unreadable_total (\S+)$/m.exec(text)?.[1]);
    expect(unreadable).toBeGreaterThan(0);
  });
});

/** Reads on until the event that comes last. */
async function untilSound(stream: ReturnType<SocketClient['start']>): Promise<'sound'> {
  for (;;) {
    const result = await stream.results.next('event', 60_000);
    if (JSON.stringify(result).includes('sound')) {
      return 'sound';
    }
  }
}
