import Sqlite from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { type GraphQLAnswer, INSIDES, type Person } from '../kit/person.ts';
import { type Operation, SocketClient } from '../kit/socket.ts';

const NOWHERE = '0123456789abcde';

let app: TestApp;
let ann: Person;
const clients: SocketClient[] = [];

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
});
afterAll(() => app.close());
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

async function connect({ url, authorization }: Person): Promise<SocketClient> {
  const client = await SocketClient.open(url, authorization);
  clients.push(client);
  return client;
}

const makeTodo = (person: Person, title: string): Promise<unknown> =>
  person.gql('mutation ($title: String!) { createTodo(input: { title: $title }) { __typename } }', { title });

/** Subscribes and waits until events come. */
async function watchTodos(client: SocketClient, person: Person): Promise<Operation> {
  const { cursor } = await person.gql('{ cursor }');
  await makeTodo(person, 'first');
  const todos = client.start('subscription ($after: String) { todoChanged(after: $after) { todo { title } } }', {
    after: cursor,
  });
  while ((await todos.event()).todo.title !== 'first') {}
  return todos;
}

async function expectStillLive(todos: Operation, person: Person): Promise<void> {
  await makeTodo(person, 'still received');
  expect(await todos.event()).toEqual({ todo: { title: 'still received' } });
}

/** The errors of an operation that has failed, in whichever way the protocol sends them. */
async function errorsOf({ ended, results }: Operation): Promise<NonNullable<GraphQLAnswer['errors']>> {
  const errors = await ended;
  const [result, ...more] = results.drain();
  expect(more).toEqual([]);
  // Either they come in place of a result, or in a result that is the last.
  expect(errors === null).toBe(result !== undefined);
  return errors ?? result.errors;
}

describe('operations on one socket', () => {
  it('should be queries and mutations, too', async () => {
    const client = await connect(ann);
    const create = 'mutation ($title: String!) { createTodo(input: { title: $title }) { ... on Todo { title } } }';
    expect(await client.execute(create, { title: 'By socket' })).toEqual({
      data: { createTodo: { title: 'By socket' } },
    });
    const found = '{ todos(filter: { titleContains: "By socket" }) { nodes { title owner { username } } } }';
    expect(await client.execute(found)).toEqual({
      data: { todos: { nodes: [{ title: 'By socket', owner: { username: 'ann' } }] } },
    });
  });

  it('should end when the client says so', async () => {
    const client = await connect(ann);
    const todos = await watchTodos(client, ann);
    client.stop(todos);
    await app.subscribed(0);
    const others = await watchTodos(client, ann);
    await expectStillLive(others, ann);
    expect(todos.results.drain()).toEqual([]);
  });

  const deep = (levels: number): string =>
    levels === 0 ? 'id' : `list { todos(first: 1) { nodes { ${deep(levels - 1)} } } }`;
  const wide = '{ todoLists(first: 100) { nodes { todos(first: 100) { nodes { id title completed } } } } }';
  const aliases = `{ ${Array.from({ length: 40 }, (_, n) => `a${n}: cursor`).join(' ')} }`;
  const unresolved = 'query ($id: ID!) { todo(id: $id) { id } }';

  it.each<[what: string, query: string, code: string]>([
    ['a syntax error', 'subscription { todoChanged {', 'GRAPHQL_PARSE_FAILED'],
    ['no text', '', 'GRAPHQL_PARSE_FAILED'],
    ['an unknown field', 'subscription { nothingChanged { id } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['two root fields', 'subscription { a: cursor todoChanged { id } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['two operations', 'query A { __typename } query B { __typename }', 'BAD_INPUT'],
    ['a missing variable', unresolved, 'BAD_INPUT'],
    ['a malformed cursor', 'subscription { todoChanged(after: "junk") { id } }', 'BAD_CURSOR'],
    [
      'the cursor of another log',
      'subscription { noteChanged(after: "0123456789abcdef:0-0") { id } }',
      'RESYNC_REQUIRED',
    ],
    ['an unknown chat', `subscription { chatMessageChanged(uri: "${NOWHERE}") { id } }`, 'NOT_FOUND'],
    ['typing in an unknown chat', `subscription { chatTyping(uri: "${NOWHERE}") { users { id } } }`, 'NOT_FOUND'],
    ['a failing mutation', `mutation { setTyping(uri: "${NOWHERE}") }`, 'NOT_FOUND'],
    ['too deep a document', `{ todos { nodes { ${deep(6)} } } }`, 'COMPLEXITY'],
    ['too deep a subscription', `subscription { todoChanged { todo { ${deep(6)} } } }`, 'COMPLEXITY'],
    ['too costly a document', wide, 'COMPLEXITY'],
    ['too many aliases', aliases, 'COMPLEXITY'],
    ['too many tokens', `{ ${'__typename '.repeat(2100)} }`, 'COMPLEXITY'],
  ])('should live on when another one fails by %s', async (_what, query, code) => {
    const client = await connect(ann);
    const todos = await watchTodos(client, ann);
    const errors = await errorsOf(client.start(query));
    expect(errors.length).toBeGreaterThan(0);
    expect(errors[0]).toEqual(expect.objectContaining({ message: expect.any(String) }));
    expect(errors[0]?.extensions?.['code']).toBe(code);
    expect(JSON.stringify(errors)).not.toMatch(INSIDES);
    await expectStillLive(todos, ann);
  });

  it('should live on when another one has a variable of another type', async () => {
    const client = await connect(ann);
    const todos = await watchTodos(client, ann);
    const errors = await errorsOf(client.start(unresolved, { id: { not: 'an id' } }));
    expect(errors).toEqual([expect.objectContaining({ message: expect.stringContaining('"$id"') })]);
    await expectStillLive(todos, ann);
  });

  it('should live on when another one needs a credential', async () => {
    const client = await connect(app.anonymous);
    const todos = await watchTodos(client, app.anonymous);
    for (const query of [
      'subscription { postChanged { id } }',
      'subscription { chatSessionChanged { id } }',
      `subscription { chatMessageChanged(uri: "${NOWHERE}") { id } }`,
      '{ chatSessions { totalCount } }',
      'mutation { createChatSession { uri } }',
      'mutation { renewConnection(token: "x") { __typename } }',
    ]) {
      const errors = await errorsOf(client.start(query));
      expect(errors, query).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
      expect(JSON.stringify(errors)).not.toContain('headers');
    }
    await expectStillLive(todos, app.anonymous);
  });

  it('should be as many as allowed, counted while they run', async () => {
    const small = await startApp({ SOCKET_MAX_SUBSCRIPTIONS: '3' });
    try {
      const client = await connect(small.anonymous);
      const todos = await watchTodos(client, small.anonymous);
      const others = [1, 2].map(() => client.start('subscription { noteChanged { id } }'));
      for (const query of ['subscription { noteChanged { id } }', '{ __typename }']) {
        const errors = await errorsOf(client.start(query));
        expect(errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED' } }]);
      }
      others.forEach((other) => {
        client.stop(other);
      });
      expect(await client.execute('{ __typename }')).toEqual({ data: { __typename: 'Query' } });
      await expectStillLive(todos, small.anonymous);
    } finally {
      await small.close();
    }
  });

  it('should say nothing of the inside when something breaks, and live on', async () => {
    const broken = await startApp();
    const database = new Sqlite(broken.databasePath);
    try {
      const client = await connect(broken.anonymous);
      const todos = await watchTodos(client, broken.anonymous);
      database.exec('ALTER TABLE "Note" RENAME TO "Lost"');
      const errors = await errorsOf(client.start('{ notes { nodes { id } } }'));
      const extensions = { code: 'INTERNAL', requestId: expect.any(String) };
      expect(errors).toMatchObject([{ message: 'Unexpected error', extensions }]);
      expect(JSON.stringify(errors)).not.toMatch(INSIDES);
      await expectStillLive(todos, broken.anonymous);
    } finally {
      database.close();
      await broken.close();
    }
  });
});
