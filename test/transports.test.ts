import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { globalId } from './kit/ids.ts';
import type { Person } from './kit/person.ts';
import { type Operation, SocketClient } from './kit/socket.ts';
import { LiveClient } from './subscribe-socket/client.ts';

const DEADLINE_MS = 10_000;

type Model = 'todo' | 'todoList' | 'note' | 'post' | 'chatSession' | 'chatMessage';

interface Row {
  readonly model: Model;
  readonly id: string;
  readonly owner: string | null;
  /** Whose chat it is, or is part of. */
  readonly chat?: string;
}

const MODELS: Readonly<Record<Model, { table: string; column: string; live: string; type: string }>> = {
  todo: { table: 'Todo', column: 'title', live: 'todos.Todo', type: 'Todo' },
  todoList: { table: 'TodoList', column: 'name', live: 'todolist.List', type: 'TodoList' },
  note: { table: 'Note', column: 'title', live: 'notes.Note', type: 'Note' },
  post: { table: 'Post', column: 'title', live: 'posts.Post', type: 'Post' },
  chatSession: { table: 'ChatSession', column: 'updatedAt', live: 'chat.ChatSession', type: 'ChatSession' },
  chatMessage: { table: 'ChatMessage', column: 'message', live: 'chat.ChatSessionMessage', type: 'ChatMessage' },
};
const NAMES = Object.keys(MODELS) as Model[];

const sorted = (ids: Iterable<string | number>): string[] => [...new Set([...ids].map(String))].sort();

interface Numbered {
  readonly databaseId: number;
}

/** The documented visibility rules, independent of the server's policies. */
function sees(
  viewer: Person,
  { model, owner, chat }: Row,
  world: { members: ReadonlyMap<string, readonly string[]>; sharesOwnerless: boolean },
): boolean {
  const isStaff = viewer.username === 'root';
  switch (model) {
    case 'post':
      return viewer.authorization !== null;
    case 'chatSession':
    case 'chatMessage':
      return (world.members.get(chat ?? '') ?? []).includes(viewer.username);
    default:
      return isStaff || (owner === null ? world.sharesOwnerless : owner === viewer.username);
  }
}

describe.each([true, false])('every transport, with ALLOW_ANONYMOUS=%s', (sharesOwnerless) => {
  let app: TestApp;
  let viewers: Person[];
  const rows: Row[] = [];
  const members = new Map<string, string[]>();

  beforeAll(async () => {
    app = await startApp({ ALLOW_ANONYMOUS: String(sharesOwnerless) });
    const people = [await app.signUp('ann'), await app.signUp('ben'), await app.signUp('cleo')];
    viewers = [app.anonymous, ...people, await app.signUpStaff('root')];
    for (const maker of [app.anonymous, ...people]) {
      await fill(maker);
    }
    const [ann, , cleo] = people;
    await openChat(ann, ['ben']);
    await openChat(cleo, ['ann']);
  });
  afterAll(() => app.close());

  /** One row of each kind that somebody owns, written directly to the database. */
  async function fill({ username }: Person): Promise<void> {
    const owner = username === '' ? null : username;
    const [user] = await app.sql('SELECT "id" FROM "User" WHERE "username" = ?', username);
    const ownerId = user?.['id'] ?? null;
    const insert = async (model: Model, statement: string): Promise<void> => {
      const [made] = await app.sql(statement, ownerId);
      rows.push({ model, id: String(made?.['id']), owner });
    };
    await insert('todo', 'INSERT INTO "Todo" ("title", "ownerId") VALUES (\'t\', ?) RETURNING "id"');
    await insert('todoList', 'INSERT INTO "TodoList" ("name", "ownerId") VALUES (\'l\', ?) RETURNING "id"');
    await insert(
      'note',
      `INSERT INTO "Note" ("title", "description", "priority", "createdAt", "createdBy", "ownerId")
       VALUES ('n', '', 1, '', '', ?) RETURNING "id"`,
    );
    await insert('post', 'INSERT INTO "Post" ("title", "content", "authorId") VALUES (\'p\', \'c\', ?) RETURNING "id"');
  }

  async function openChat(owner: Person | undefined, others: readonly string[]): Promise<void> {
    const made = await owner?.gql('mutation { createChatSession { id: databaseId uri } }');
    const { id, uri } = made.createChatSession;
    await owner?.gql(
      'mutation ($uri: String!, $usernames: [String!]!) { addChatMembers(uri: $uri, usernames: $usernames) { __typename } }',
      { uri, usernames: others },
    );
    const said = await owner?.gql(
      'mutation ($uri: String!) { sendMessage(uri: $uri, message: "m") { ... on ChatMessage { id: databaseId } } }',
      { uri },
    );
    members.set(uri, [owner?.username ?? '', ...others]);
    rows.push({ model: 'chatSession', id, owner: null, chat: uri });
    rows.push({ model: 'chatMessage', id: said.sendMessage.id, owner: null, chat: uri });
  }

  const of = (model: Model): Row[] => rows.filter((row) => row.model === model);
  const expectedFor = (viewer: Person, model: Model): string[] =>
    sorted(
      of(model)
        .filter((row) => sees(viewer, row, { members, sharesOwnerless }))
        .map(({ id }) => id),
    );

  /** Writes every row once more, without changing its values. */
  async function touchAll(): Promise<void> {
    for (const { table, column } of Object.values(MODELS)) {
      await app.sql(`UPDATE "${table}" SET "${column}" = "${column}"`);
    }
  }

  async function byList(viewer: Person, model: Model): Promise<string[]> {
    if (model === 'chatMessage') {
      const found = await Promise.all(
        [...members.keys()].map(async (uri) => {
          const { data } = await viewer.ask(
            'query ($uri: String!) { chatSession(uri: $uri) { messages(first: 100) { nodes { databaseId } } } }',
            { uri },
          );
          return (data?.chatSession?.messages.nodes ?? []).map(({ databaseId }: Numbered) => databaseId);
        }),
      );
      return sorted(found.flat());
    }
    const { data } = await viewer.ask(`{ it: ${model}s(first: 100) { nodes { databaseId } } }`);
    return sorted((data?.it?.nodes ?? []).map(({ databaseId }: Numbered) => databaseId));
  }

  async function byNode(viewer: Person, model: Model): Promise<string[]> {
    const ids = of(model).map(({ id }) => globalId(MODELS[model].type, id));
    const { data } = await viewer.ask(
      `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on ${MODELS[model].type} { databaseId } } }`,
      { ids },
    );
    return sorted((data?.nodes ?? []).flatMap((node: Numbered | null) => node?.databaseId ?? []));
  }

  /** What the documented paths show; null where they have none for reading. */
  async function byRest(viewer: Person, model: Model): Promise<string[] | null> {
    const json = async (path: string, init = {}) => {
      const response = await viewer.fetch(path, init);
      return response.ok ? response.json() : null;
    };
    switch (model) {
      case 'note': {
        const ids = (await json('/notes')).notes.map(({ id }: { id: number }) => id);
        const one = await Promise.all(of('note').map(async ({ id }) => ((await json(`/notes/${id}`)) ? [id] : [])));
        expect(sorted(one.flat())).toEqual(sorted(ids));
        return sorted(ids);
      }
      case 'post':
        return sorted(((await json('/api/posts/')) ?? []).map(({ id }: { id: number }) => id));
      case 'todo': {
        const patch = { method: 'PATCH', body: '{"completed": true}' };
        const ids = of('todo').map(async ({ id }) => ((await json(`/api/todos/${id}`, patch)) ? [id] : []));
        return sorted((await Promise.all(ids)).flat());
      }
      case 'chatSession':
      case 'chatMessage': {
        const chats = await Promise.all([...members.keys()].map((uri) => json(`/api/chats/${uri}/messages/`)));
        const seen = chats.filter((chat) => chat !== null);
        return model === 'chatSession'
          ? sorted(seen.map(({ id }) => id))
          : sorted(
              of('chatMessage')
                .filter(({ chat }) => seen.some(({ uri, messages }) => uri === chat && messages.length === 1))
                .map(({ id }) => id),
            );
      }
      default:
        return null;
    }
  }

  /** Subscribes to everything of models by GraphQL; returns for each the ids that it receives, as they arrive, once the subscriptions have started. */
  async function followAll(client: SocketClient, after: string | null): Promise<Set<string>[]> {
    const before = app.subscriptions();
    const open = new Set<Operation>();
    const received = NAMES.map((model) => follow({ client, model, after, open }));
    // Those to chats that the viewer may not see are refused.
    await expect.poll(() => app.subscriptions() - before - open.size, { interval: 10, timeout: DEADLINE_MS }).toBe(0);
    return received;
  }

  interface Following {
    readonly client: SocketClient;
    readonly model: Model;
    readonly after: string | null;
    /** The operations that have not ended. */
    readonly open: Set<Operation>;
  }

  function follow({ client, model, after, open }: Following): Set<string> {
    const ids = new Set<string>();
    const uris = model === 'chatMessage' ? [...members.keys()] : [null];
    for (const uri of uris) {
      const named = uri === null ? '' : `, uri: "${uri}"`;
      const operation = client.start(
        `subscription { it: ${model}Changed(after: ${JSON.stringify(after)}${named}) { ${model} { databaseId } } }`,
      );
      operation.onResult = ({ data }) => {
        // What lies between the cursor and the writing may include events of rows that are no longer visible.
        if (data?.it[model]) {
          ids.add(String(data.it[model].databaseId));
        }
      };
      open.add(operation);
      operation.ended.then(() => open.delete(operation));
    }
    return ids;
  }

  /** The same for all models by the change socket, from now on. */
  async function listen(viewer: Person): Promise<{ received: Map<Model, Set<string>>; close: () => void }> {
    const socket = await LiveClient.open(app, viewer);
    const received = new Map(NAMES.map((model) => [model, new Set<string>()]));
    if (!sharesOwnerless && viewer.authorization === null) {
      expect(await socket.raw.closed).toMatchObject({ code: 4401 });
      return { received, close: () => undefined };
    }
    for (const model of NAMES) {
      const frame = { type: 'subscribe', id: model, model: MODELS[model].live, action: 'list' };
      // Where there is nothing to see, it says so; all before the last one's unknown subscription has been dealt with then.
      socket.raw.send(frame);
    }
    const ended = socket.ask({ request_id: 'end', unsubscribe: true });
    for (let frame = await ended; frame['request_id'] !== 'end'; frame = await socket.next()) {
      expect(frame).toMatchObject({ type: 'error', code: 403 });
      expect(expectedFor(viewer, frame['id'] as Model)).toEqual([]);
    }
    socket.raw.socket.on('message', (data) => {
      const { id, instance } = JSON.parse(String(data));
      received.get(id)?.add(String(instance.id));
    });
    return { received, close: () => socket.raw.terminate() };
  }

  async function expectOneTruth(): Promise<void> {
    for (const viewer of viewers) {
      const open = app.subscriptions();
      const { cursor } = await viewer.gql('{ cursor }');
      const socket = await listen(viewer);
      const client = await SocketClient.open(app.url, viewer.authorization);
      const live = await followAll(client, null);
      await touchAll();
      const replayed = await followAll(client, cursor);
      const received = () =>
        NAMES.map((model, index) => [
          model,
          sorted(live[index] ?? []),
          sorted(replayed[index] ?? []),
          sorted(socket.received.get(model) ?? []),
        ]);
      const truth = NAMES.map((model) => {
        const ids = expectedFor(viewer, model);
        return [model, ids, ids, ids];
      });
      const who = viewer.username || 'nobody';
      await expect.poll(received, { timeout: DEADLINE_MS, message: `what ${who} receives` }).toEqual(truth);
      for (const model of NAMES) {
        const expected = expectedFor(viewer, model);
        const seen = `${model}s as ${who}`;
        expect(await byList(viewer, model), `${seen}, by list`).toEqual(expected);
        expect(await byNode(viewer, model), `${seen}, by node`).toEqual(expected);
        expect((await byRest(viewer, model)) ?? expected, `${seen}, by REST`).toEqual(expected);
      }
      await app.delivered();
      await client.execute('{ __typename }');
      expect(received()).toEqual(truth);
      client.raw.terminate();
      socket.close();
      await app.subscribed(open);
    }
  }

  it('should show the same rows to the same viewer: lists, nodes, REST, both kinds of socket, live and in replay', async () => {
    await expectOneTruth();
  });

  it('should still do so when rights have changed hands', async () => {
    const [first = '', second = ''] = members.keys();
    await viewers[1]?.gql('mutation ($uri: String!) { removeChatMember(uri: $uri, username: "ben") { __typename } }', {
      uri: first,
    });
    members.set(first, ['ann']);
    await viewers[2]?.gql('mutation ($uri: String!) { joinChat(uri: $uri) { __typename } }', { uri: second });
    members.set(second, ['cleo', 'ann', 'ben']);
    await app.sql(`UPDATE "Todo" SET "ownerId" = (SELECT "id" FROM "User" WHERE "username" = 'cleo')`);
    for (const [index, row] of rows.entries()) {
      if (row.model === 'todo') {
        rows[index] = { ...row, owner: 'cleo' };
      }
    }
    await expectOneTruth();
  });
});

describe('what is written through one transport', () => {
  let app: TestApp;
  let ann: Person;

  beforeAll(async () => {
    app = await startApp();
    ann = await app.signUp('ann');
  });
  afterAll(() => app.close());

  const json = (method: string, body: object) => ({
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

  it('should be sent by the others: the checkbox of a todo', async () => {
    const { createTodo } = await ann.gql(
      'mutation { createTodo(input: { title: "t" }) { ... on Todo { id databaseId } } }',
    );
    const { id, databaseId } = createTodo;
    const client = await SocketClient.open(app.url, ann.authorization);
    const open = app.subscriptions();
    const events = client.start('subscription { todoChanged { action todo { id completed } } }');
    await app.subscribed(open + 1);
    const listener = await LiveClient.open(app, ann);
    await listener.quietly(
      { request_id: 1, model: 'todolist.Task', value: databaseId },
      { type: 'subscribe', id: 2, model: 'todos.Todo', action: 'retrieve', lookup_by: databaseId },
    );
    expect((await ann.fetch(`/api/todos/${databaseId}`, json('PATCH', { completed: true }))).status).toBe(200);
    expect((await ann.gql('query ($id: ID!) { todo(id: $id) { completed } }', { id })).todo.completed).toBe(true);
    expect(await events.event()).toEqual({ action: 'UPDATED', todo: { id, completed: true } });
    const received = [await listener.next(), await listener.next()];
    expect(received).toContainEqual(
      expect.objectContaining({
        request_id: 1,
        action: 'UPDATED',
        instance: { id: databaseId, text: 't', done: true },
      }),
    );
    expect(received).toContainEqual(
      expect.objectContaining({
        id: 2,
        action: 'UPDATED',
        instance: { id: databaseId, title: 't', completed: true },
      }),
    );
    client.raw.terminate();
    await listener.close();
  });

  it('should be read through the others at once: notes', async () => {
    await ann.gql(
      'mutation { createNote(input: { title: "by GraphQL", description: "", priority: 1 }) { __typename } }',
    );
    const { notes } = (await (await ann.fetch('/notes')).json()) as { notes: { title: string }[] };
    expect(notes.map(({ title }) => title)).toEqual(['by GraphQL']);
    await ann.fetch('/notes', json('POST', { title: 'by REST', description: '', priority: 2 }));
    const read = await ann.gql('{ notes { nodes { title priority } } }');
    expect(read.notes.nodes).toContainEqual({ title: 'by REST', priority: 2 });
  });

  it('should be read through the others at once: what is said in a chat', async () => {
    const { uri } = (await (await ann.fetch('/api/chats/', { method: 'POST' })).json()) as { uri: string };
    const path = `/api/chats/${uri}/messages/`;
    await ann.fetch(path, json('POST', { message: 'by REST' }));
    await ann.gql('mutation ($uri: String!) { sendMessage(uri: $uri, message: "by GraphQL") { __typename } }', { uri });
    const { chatSession } = await ann.gql(
      'query ($uri: String!) { chatSession(uri: $uri) { messages { nodes { message } } } }',
      { uri },
    );
    const expected = [{ message: 'by REST' }, { message: 'by GraphQL' }];
    expect(chatSession.messages.nodes).toEqual(expected);
    expect(await (await ann.fetch(path)).json()).toMatchObject({ messages: expected });
  });
});
