import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { numberOf } from './kit/ids.ts';
import type { Person } from './kit/person.ts';

const VIEWERS = ['anonymous', 'owner', 'member', 'other', 'staff'] as const;
type Viewer = (typeof VIEWERS)[number];
type Type = 'Todo' | 'TodoList' | 'Note' | 'Post' | 'ChatSession' | 'ChatMessage' | 'User';

interface FieldCase {
  readonly name: string;
  readonly query: string;
  /** What `done` answers with when the change was made. */
  readonly done: string;
  /** Who may make this change, where these are fewer than those who may make others. */
  readonly change?: readonly Viewer[];
}

/** The fields that read or change the rows of a type. `$key` is the argument of its own query: the id, the uri or the username. */
interface FieldsOfType {
  readonly single?: string;
  readonly list?: string;
  /** Whether the fields are for signed-in users only. */
  readonly signedIn: boolean;
  readonly changes: readonly FieldCase[];
}

const rowById = (field: string): string => `query ($key: ID!) { row: ${field}(id: $key) { id } }`;
const rowBy = (arg: string, field: string): string => `query ($key: String!) { row: ${field}(${arg}: $key) { id } }`;
const listOf = (field: string): string => `{ rows: ${field}(first: 100) { totalCount nodes { id } } }`;
const update = (type: string): FieldCase => ({
  name: `update${type}`,
  query: `mutation ($key: ID!) {
    done: update${type}(id: $key, input: { ${type === 'TodoList' ? 'name' : 'title'}: "changed" }) { __typename }
  }`,
  done: type,
});
const remove = (type: string): FieldCase => ({
  name: `delete${type}`,
  query: `mutation ($key: ID!) { done: delete${type}(id: $key) { __typename } }`,
  done: type,
});
const onUri = (field: string, args: string, done: string): FieldCase => ({
  name: field,
  query: `mutation ($key: String!) { done: ${field}(uri: $key, ${args}) { __typename } }`,
  done,
});

const FIELDS: Readonly<Record<Type, FieldsOfType>> = {
  Todo: {
    single: rowById('todo'),
    list: listOf('todos'),
    signedIn: false,
    changes: [
      update('Todo'),
      remove('Todo'),
      {
        name: 'updateTodos',
        query: 'mutation ($key: ID!) { done: updateTodos(ids: [$key], input: { completed: true }) { __typename } }',
        done: 'UpdatedTodos',
      },
      {
        name: 'deleteTodos',
        query: 'mutation ($key: ID!) { done: deleteTodos(ids: [$key]) { __typename } }',
        done: 'DeletedTodos',
      },
    ],
  },
  TodoList: {
    single: rowById('todoList'),
    list: listOf('todoLists'),
    signedIn: false,
    changes: [update('TodoList'), remove('TodoList')],
  },
  Note: {
    single: rowById('note'),
    list: listOf('notes'),
    signedIn: false,
    changes: [update('Note'), remove('Note')],
  },
  Post: {
    single: rowById('post'),
    list: listOf('posts'),
    signedIn: true,
    changes: [update('Post'), remove('Post')],
  },
  ChatSession: {
    single: rowBy('uri', 'chatSession'),
    list: listOf('chatSessions'),
    signedIn: true,
    changes: [
      onUri('sendMessage', 'message: "hello"', 'ChatMessage'),
      onUri('addChatMembers', 'usernames: ["extra"]', 'ChatSession'),
      { ...onUri('updateChat', 'title: "changed"', 'ChatSession'), change: ['owner'] },
    ],
  },
  ChatMessage: {
    signedIn: true,
    changes: [
      {
        name: 'addReaction',
        query: 'mutation ($key: ID!) { done: addReaction(messageId: $key, emoji: "👍") { __typename } }',
        done: 'ChatMessage',
      },
      {
        name: 'removeReaction',
        query: 'mutation ($key: ID!) { done: removeReaction(messageId: $key, emoji: "🎉") { __typename } }',
        done: 'ChatMessage',
      },
      {
        name: 'updateMessage',
        query: 'mutation ($key: ID!) { done: updateMessage(id: $key, message: "changed") { __typename } }',
        done: 'ChatMessage',
        change: ['owner'],
      },
      {
        name: 'deleteMessage',
        query: 'mutation ($key: ID!) { done: deleteMessage(id: $key) { __typename } }',
        done: 'ChatMessage',
        change: ['owner'],
      },
    ],
  },
  User: { single: rowBy('username', 'user'), signedIn: true, changes: [] },
};

interface Row {
  readonly type: Type;
  readonly id: number;
  readonly key: string;
}

interface Kind {
  readonly type: Type;
  /** The SQL that makes such a row; `:ann` is the owner's id. */
  readonly insert: string;
  readonly see: readonly Viewer[];
  readonly change: readonly Viewer[];
}

const NOTE = `"Note" ("title", "description", "priority", "createdAt", "createdBy", "ownerId")`;
const SIGNED_IN: readonly Viewer[] = ['owner', 'member', 'other', 'staff'];
const OWNER_AND_STAFF: readonly Viewer[] = ['owner', 'staff'];
const PARTICIPANTS: readonly Viewer[] = ['owner', 'member'];

/** The rows and who may do what with them; `ownerless` are those who see rows that nobody owns. */
function kindsOfRows(ownerless: readonly Viewer[]): Readonly<Record<string, Kind>> {
  const owned = { see: OWNER_AND_STAFF, change: OWNER_AND_STAFF };
  const shared = { see: ownerless, change: ownerless };
  return {
    'an owned todo': { type: 'Todo', insert: `"Todo" ("title", "ownerId") VALUES ('x', :ann)`, ...owned },
    'an ownerless todo': { type: 'Todo', insert: `"Todo" ("title") VALUES ('x')`, ...shared },
    'an owned list': { type: 'TodoList', insert: `"TodoList" ("name", "ownerId") VALUES ('x', :ann)`, ...owned },
    'an ownerless list': { type: 'TodoList', insert: `"TodoList" ("name") VALUES ('x')`, ...shared },
    'an owned note': { type: 'Note', insert: `${NOTE} VALUES ('x', '', 1, '', '', :ann)`, ...owned },
    'an ownerless note': { type: 'Note', insert: `${NOTE} VALUES ('x', '', 1, '', '', NULL)`, ...shared },
    'a post': {
      type: 'Post',
      insert: `"Post" ("title", "content", "authorId") VALUES ('x', 'y', :ann)`,
      see: SIGNED_IN,
      change: OWNER_AND_STAFF,
    },
    'a chat': {
      type: 'ChatSession',
      insert: `"ChatSession" ("uri", "ownerId") VALUES (':uri', :ann)`,
      see: PARTICIPANTS,
      change: PARTICIPANTS,
    },
    'a message': {
      type: 'ChatMessage',
      insert: `"ChatMessage" ("message", "chatSessionId", "userId") VALUES ('x', :chat, :ann)`,
      see: PARTICIPANTS,
      change: PARTICIPANTS,
    },
    'a reply': {
      type: 'ChatMessage',
      insert: `"ChatMessage" ("message", "chatSessionId", "userId", "replyToId") VALUES ('x', :chat, :ann, :message)`,
      see: PARTICIPANTS,
      change: PARTICIPANTS,
    },
    'a user': {
      type: 'User',
      insert: `"User" ("username", "usernameKey", "passwordHash")
        SELECT 'u' || count(*), 'u' || count(*), '!' FROM "User"`,
      see: SIGNED_IN,
      change: [],
    },
  };
}

/** Paths from a row to others: nobody sees more through them than by the other fields. */
const RELATIONS = [
  {
    from: 'an ownerless list',
    to: 'an owned todo',
    path: '... on TodoList { rows: todos { totalCount nodes { id } } }',
  },
  {
    from: 'an owned list',
    to: 'an ownerless todo',
    path: '... on TodoList { rows: todos { totalCount nodes { id } } }',
  },
  { from: 'an owned todo', to: 'an ownerless list', path: '... on Todo { row: list { id } }' },
  { from: 'an ownerless todo', to: 'an owned list', path: '... on Todo { row: list { id } }' },
  { from: 'a chat', to: 'a message', path: '... on ChatSession { rows: messages { totalCount nodes { id } } }' },
  { from: 'a chat', to: 'a reply', path: '... on ChatSession { row: lastMessage { id } }' },
  { from: 'a message', to: 'a chat', path: '... on ChatMessage { row: chatSession { id } }' },
  { from: 'a reply', to: 'a message', path: '... on ChatMessage { row: replyTo { id } }' },
] as const;

const NODE = 'query ($id: ID!) { node(id: $id) { id } }';
const NODES = 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }';
const globalIdOf = ({ type, id }: Row): string => Buffer.from(`${type}:${id}`).toString('base64url');

interface Connection {
  readonly totalCount: number;
  readonly nodes: readonly { id: string }[];
}

const SEARCH = `query ($types: [SearchType!]) {
  search(query: "x", types: $types, first: 100) { totalCount nodes { node { ... on Node { id } } } }
}`;
const SEARCH_TYPES: Readonly<Partial<Record<Type, string>>> = {
  Todo: 'TODO',
  Note: 'NOTE',
  Post: 'POST',
  ChatMessage: 'CHAT_MESSAGE',
};

/** Whether the row is in the list, whose total must be that of what it shows. */
function isListed({ totalCount, nodes }: Connection, id: string): boolean {
  expect(nodes).toHaveLength(totalCount);
  return nodes.some((node) => node.id === id);
}

describe.each([
  { allowed: 'true', ownerless: VIEWERS },
  { allowed: 'false', ownerless: ['staff'] as const },
])('rights with ALLOW_ANONYMOUS=$allowed', ({ allowed, ownerless }) => {
  const kinds = kindsOfRows(ownerless);
  const fixtures: Record<string, Row> = {};
  let app: TestApp;
  let people: Readonly<Record<Viewer, Person>>;
  let annId: number;

  async function make({ type, insert }: Kind): Promise<Row> {
    const statement = insert
      .replaceAll(':ann', String(annId))
      .replaceAll(':chat', String(fixtures['a chat']?.id ?? 'NULL'))
      .replaceAll(':message', String(fixtures['a message']?.id ?? 'NULL'))
      .replaceAll(':uri', randomBytes(8).toString('hex').slice(1));
    const [made] = await app.sql(`INSERT INTO ${statement} RETURNING "id"`);
    const id = Number(made?.['id']);
    if (type === 'ChatSession') {
      await app.sql(
        `INSERT INTO "ChatMember" ("chatSessionId", "userId") SELECT ${id}, "id" FROM "User" WHERE "username" = 'mel'`,
      );
    }
    if (type === 'ChatMessage') {
      // All participants have reacted, and are mentioned.
      const chatId = fixtures['a chat']?.id;
      const details = `SELECT ${id}, ${chatId}, "ownerId" FROM "ChatSession" WHERE "id" = ${chatId}
        UNION ALL SELECT ${id}, ${chatId}, "userId" FROM "ChatMember" WHERE "chatSessionId" = ${chatId}`;
      await app.sql(
        `INSERT INTO "ChatReaction" ("emoji", "messageId", "chatSessionId", "userId") SELECT '🎉', * FROM (${details}) AS "d"`,
      );
      await app.sql(`INSERT INTO "ChatMention" ("messageId", "chatSessionId", "userId") ${details}`);
    }
    const { uri, username } = ((await imageOf({ type, id, key: '' })) ?? {}) as { uri?: string; username?: string };
    return { type, id, key: uri ?? username ?? String(id) };
  }

  const imageOf = async ({ type, id }: Row): Promise<unknown> =>
    (await app.sql(`SELECT * FROM "${type}" WHERE "id" = ${id}`))[0];
  const everythingIn = (): Promise<unknown> =>
    Promise.all(
      [...Object.keys(FIELDS), 'ChatMember', 'ChatReaction', 'ChatMention', 'ChatReadMark'].map((type) =>
        app.sql(`SELECT * FROM "${type}" ORDER BY "id"`),
      ),
    );

  beforeAll(async () => {
    app = await startApp({ ALLOW_ANONYMOUS: allowed });
    people = {
      anonymous: app.anonymous,
      owner: await app.signUp('ann'),
      member: await app.signUp('mel'),
      other: await app.signUp('ben'),
      staff: await app.signUpStaff('sue'),
    };
    await app.signUp('extra');
    annId = numberOf((await people.owner.gql('{ viewer { id } }')).viewer.id);
    for (const name of ['a chat', ...Object.keys(kinds)]) {
      const kind = kinds[name];
      if (kind && !fixtures[name]) {
        fixtures[name] = await make(kind);
      }
    }
    const link = (list: string, todo: string) =>
      app.sql(`UPDATE "Todo" SET "listId" = ${fixtures[list]?.id} WHERE "id" = ${fixtures[todo]?.id}`);
    await link('an ownerless list', 'an owned todo');
    await link('an owned list', 'an ownerless todo');
  });
  afterAll(async () => {
    await app.close();
  });

  function rowNamed(name: string): Row {
    const row = fixtures[name];
    if (!row) {
      throw new Error(`There is no row for ${name}.`);
    }
    return row;
  }

  describe.each(Object.entries(kinds))('%s', (name, { type, see }) => {
    it.each(VIEWERS)('should be equally visible through all fields to: %s', async (viewer) => {
      const row = rowNamed(name);
      const person = people[viewer];
      const { single, list, signedIn } = FIELDS[type];
      const id = globalIdOf(row);
      const seen: Record<string, boolean> = {
        node: (await person.gql(NODE, { id })).node?.id === id,
        nodes: (await person.gql(NODES, { ids: [id] })).nodes[0]?.id === id,
      };
      if (signedIn && viewer === 'anonymous') {
        for (const closed of [single, list]) {
          expect(closed && (await person.codeOf(closed, { key: row.key }))).toBe(closed && 'UNAUTHENTICATED');
        }
      } else {
        seen['single'] = single ? (await person.gql(single, { key: row.key })).row?.id === id : see.includes(viewer);
        seen['list'] = list ? isListed((await person.gql(list)).rows, id) : see.includes(viewer);
      }
      if (SEARCH_TYPES[type]) {
        const { totalCount, nodes } = (await person.gql(SEARCH, { types: [SEARCH_TYPES[type]] })).search;
        seen['search'] = isListed({ totalCount, nodes: nodes.map(({ node }: { node: object }) => node) }, id);
      }
      expect(seen).toEqual(Object.fromEntries(Object.keys(seen).map((field) => [field, see.includes(viewer)])));
    });
  });

  it.each(RELATIONS)('should show through $from what a viewer sees of $to, and no more', async ({ from, to, path }) => {
    const [parent, child] = [rowNamed(from), rowNamed(to)];
    const query = `query ($id: ID!) { node(id: $id) { id ${path} } }`;
    const seen: string[] = [];
    for (const viewer of VIEWERS) {
      const { node } = await people[viewer].gql(query, { id: globalIdOf(parent) });
      if (node?.row?.id === globalIdOf(child) || (node?.rows && isListed(node.rows, globalIdOf(child)))) {
        seen.push(viewer);
      }
    }
    const both = VIEWERS.filter((viewer) => kinds[from]?.see.includes(viewer) && kinds[to]?.see.includes(viewer));
    expect(seen).toEqual(both);
  });

  it('should show how far participants have read, and let them mark it, to participants only', async () => {
    const [chat, message] = [rowNamed('a chat'), rowNamed('a message')];
    const marked = `mutation { done: markRead(uri: "${chat.key}", upTo: "${globalIdOf(message)}") { __typename } }`;
    const paths = {
      'a chat':
        '... on ChatSession { users: readMarks { user { username } } viewerReadMark { updatedAt } unreadCount }',
      'a message': '... on ChatMessage { users: readBy { username } }',
    };
    for (const viewer of VIEWERS) {
      const sees = PARTICIPANTS.includes(viewer);
      const { data, errors } = await people[viewer].ask(marked);
      const refusal = viewer === 'anonymous' ? 'UNAUTHENTICATED' : 'NotFoundError';
      expect(data?.done.__typename ?? errors?.[0]?.extensions?.['code']).toBe(sees ? 'ChatSession' : refusal);
      for (const [name, path] of Object.entries(paths)) {
        const query = `query ($id: ID!) { node(id: $id) { ${path} } }`;
        const { node } = await people[viewer].gql(query, { id: globalIdOf(rowNamed(name)) });
        expect(node?.users.length > 0).toBe(sees);
      }
    }
    // Whoever has just left has the chat in the answer, and nothing of what it contains.
    const left = await people.member.gql(
      `mutation { done: removeChatMember(uri: "${chat.key}", username: "mel") {
        ... on ChatSession { lastMessage { id } readMarks { updatedAt } viewerReadMark { updatedAt } unreadCount }
      } }`,
    );
    expect(left.done).toEqual({ lastMessage: null, readMarks: [], viewerReadMark: null, unreadCount: 0 });
    await people.member.gql(`mutation { joinChat(uri: "${chat.key}") { __typename } }`);
  });

  it('should show users through what they wrote or take part in to signed-in users only', async () => {
    const paths = {
      'an owned todo': '... on Todo { user: owner { username } }',
      'an owned list': '... on TodoList { user: owner { username } }',
      'an owned note': '... on Note { user: owner { username } }',
      'a post': '... on Post { user: author { username } }',
      'a chat': '... on ChatSession { user: owner { username } members { username } }',
      'a message': '... on ChatMessage { user { username } }',
      'a reply': '... on ChatMessage { user { username } reactions { users { username } } mentions { username } }',
    };
    for (const [name, path] of Object.entries(paths)) {
      for (const viewer of VIEWERS) {
        const query = `query ($id: ID!) { node(id: $id) { ${path} } }`;
        const { node } = await people[viewer].gql(query, { id: globalIdOf(rowNamed(name)) });
        expect(node?.user?.username).toBe(kinds[name]?.see.includes(viewer) ? 'ann' : undefined);
      }
    }
  });

  describe.each(
    Object.entries(kinds).flatMap(([name, kind]) =>
      FIELDS[kind.type].changes.map((change) => ({ row: name, kind, ...change })),
    ),
  )('$name of $row', ({ kind, query, done, change = kind.change }) => {
    it.each(VIEWERS)('should change the row or, where that is not allowed, nothing at all for: %s', async (viewer) => {
      const row = await make(kind);
      const before = await everythingIn();
      const { data, errors } = await people[viewer].ask(query, { key: row.key });
      const outcome = data?.done.__typename ?? errors?.[0]?.extensions?.['code'];
      if (change.includes(viewer)) {
        expect(outcome).toBe(done);
        expect(await everythingIn()).not.toEqual(before);
      } else {
        const closed = FIELDS[kind.type].signedIn && viewer === 'anonymous';
        const refusal = kind.see.includes(viewer) ? 'FORBIDDEN' : 'NotFoundError';
        expect(outcome).toBe(closed ? 'UNAUTHENTICATED' : refusal);
        expect(await everythingIn()).toEqual(before);
      }
    });
  });

  it('should let anonymous callers make rows only where rows without an owner are everybody’s', async () => {
    const makers = [
      'mutation { made: createTodo(input: { title: "x" }) { __typename } }',
      'mutation { made: createTodoList(input: { name: "x" }) { __typename } }',
      'mutation { made: createNote(input: { title: "x", description: "", priority: 1 }) { __typename } }',
    ];
    for (const [index, maker] of makers.entries()) {
      const before = await everythingIn();
      if (allowed === 'true') {
        expect((await app.anonymous.gql(maker)).made.__typename).toBe(['Todo', 'TodoList', 'Note'][index]);
      } else {
        expect(await app.anonymous.codeOf(maker)).toBe('UNAUTHENTICATED');
        expect(await everythingIn()).toEqual(before);
      }
      expect((await people.other.gql(maker)).made.__typename).toBe(['Todo', 'TodoList', 'Note'][index]);
    }
  });

  it('should show the private fields of a user to that user and to staff only, whatever the path', async () => {
    const privately = 'user: author { username email isStaff isActive createdAt }';
    const query = `query ($id: ID!) { node(id: $id) { ... on Post { ${privately} } } }`;
    for (const viewer of SIGNED_IN) {
      const path = { id: globalIdOf(rowNamed('a post')) };
      const direct = await people[viewer].gql(
        '{ user(username: "ann") { username email isStaff isActive createdAt } }',
      );
      expect((await people[viewer].gql(query, path)).node.user).toEqual(direct.user);
      expect(direct.user).toEqual(
        OWNER_AND_STAFF.includes(viewer)
          ? { username: 'ann', email: '', isStaff: false, isActive: true, createdAt: expect.any(String) }
          : { username: 'ann', email: null, isStaff: null, isActive: null, createdAt: null },
      );
    }
  });
});
