import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Row, startApp, type TestApp } from './kit/app.ts';
import { Person } from './kit/person.ts';
import { type ServerProcess, startProcess } from './kit/process.ts';
import { SocketClient } from './kit/socket.ts';
import { endOfLog } from './live/streams.ts';

const MIB = 1024 * 1024;
const POSTS = 100;
const LETTERS = 99_000;
/**
 * How far the memory of the process may rise above what one page of all posts takes, in bytes: some 10 MiB on a quiet machine, and more than 1 GiB when thirty
 * pages were in memory at once.
 */
const MAX_GROWTH_BYTES = 192 * MIB;
const TOO_LARGE = 'The answer would have more than 16777216 bytes of text. Ask for fewer objects at once.';

const repeat = (times: number, part: (index: number) => string): string =>
  Array.from({ length: times }, (_, index) => part(index)).join(' ');

const ONE_PAGE = '{ posts(first: 100) { nodes { content } } }';
const THIRTY_PAGES = `{ ${repeat(30, (index) => `a${index}: posts(first: 100) { nodes { content } }`)} }`;

/** Sends one operation and returns its answer. */
type Transport = (who: Person, query: string, variables?: Record<string, unknown>) => Promise<Row>;

const TRANSPORTS: Readonly<Record<string, Transport>> = {
  HTTP: (who, query, variables) => who.ask(query, variables),
  'HTTP by Yoga': async (who, query) => (await who.fetch(`/graphql?query=${encodeURIComponent(query)}`)).json() as Row,
  SSE: async (who, query, variables) => {
    const response = await who.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query, variables }),
    });
    return JSON.parse(/^data: (\{.*)$/m.exec(await response.text())?.[1] ?? '');
  },
  WebSocket: async ({ url, authorization }, query, variables) => {
    const socket = await SocketClient.open(url, authorization);
    const answer = await socket.execute(query, variables);
    await socket.close();
    return answer;
  },
};

const expectTooLarge = ({ data, errors }: Row): void => {
  expect(data).toBeNull();
  expect(errors[0]).toMatchObject({ message: TOO_LARGE, extensions: { code: 'COMPLEXITY' } });
};

let app: TestApp;
let server: ServerProcess;
let ann: Person;
let ids: readonly string[] = [];

beforeAll(async () => {
  app = await startApp();
  const local = await app.signUp('ann');
  const { post } = app.app.services.database;
  for (let index = 0; index < POSTS; index += 1) {
    await post.create({ data: { title: `post ${index}`, content: 'x'.repeat(LETTERS) } });
  }
  const { posts } = await local.gql('{ posts(first: 100) { nodes { id } } }');
  ids = posts.nodes.map(({ id }: Row) => id);
  server = await startProcess(app.databaseEnv);
  ann = await new Person(server.url, null, '').signIn('ann', 'a good long password');
});
afterAll(async () => {
  await server.stop();
  await app.close();
});

/** The most memory that the server has had so far. */
const peakBytes = (): number =>
  Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]) * 1024;

describe.each(Object.entries(TRANSPORTS))('an answer over %s', (_name, send) => {
  it('should have a page of 100 long posts', async () => {
    const { data } = await send(ann, ONE_PAGE);
    expect(data.posts.nodes).toHaveLength(POSTS);
    expect(JSON.stringify(data).length).toBeGreaterThan(POSTS * LETTERS);
  });

  it.each([
    ['thirty pages', THIRTY_PAGES],
    ['thirty pages of which it shows nothing', THIRTY_PAGES.replaceAll('nodes { content }', 'pageInfo { endCursor }')],
    ['the texts of a page many times', `{ posts(first: 100) { nodes { ${repeat(29, (i) => `c${i}: content`)} } } }`],
    ['the texts of a page both ways', '{ posts(first: 100) { nodes { content } edges { node { content } } } }'],
  ])('should be refused before it takes much memory: %s', async (_what, query) => {
    await send(ann, ONE_PAGE);
    const before = peakBytes();
    for (let time = 0; time < 3; time += 1) {
      expectTooLarge(await send(ann, query));
    }
    expect(peakBytes() - before).toBeLessThan(MAX_GROWTH_BYTES);
  });
});

describe('the objects of many ids', () => {
  it('should be read a hundred at a time, until they are too many', async () => {
    const { data } = await ann.ask('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: ids });
    expect(data.nodes).toHaveLength(POSTS);
    const others = Array.from({ length: POSTS }, (_, index) => btoa(`Post:${1_000_000 + index}`));
    const before = peakBytes();
    const both = (shown: string): string =>
      `query ($ids: [ID!]!, $others: [ID!]!) { a: nodes(ids: $ids) { ... on Post { content } } b: nodes(ids: $others) ${shown} }`;
    expect((await ann.gql(both('{ id }'), { ids: ids, others })).a).toHaveLength(POSTS);
    const twice = { ids: ids, others: ids };
    const { errors } = await ann.ask(both('{ ... on Post { content } }'), twice);
    expect(errors?.[0]).toMatchObject({ message: TOO_LARGE, extensions: { code: 'COMPLEXITY' } });
    expect(peakBytes() - before).toBeLessThan(MAX_GROWTH_BYTES);
  });
});

describe('the limit of an answer', () => {
  const LIMIT = 20_000;
  const SAID = 'y'.repeat(1000);
  let small: TestApp;
  let ben: Person;
  let listIds: readonly string[] = [];
  const codeOf = async (query: string): Promise<string | undefined> => {
    const { errors } = await ben.ask(query);
    return errors?.[0]?.extensions?.['code'];
  };

  beforeAll(async () => {
    small = await startApp({ ANSWER_LIMIT_BYTES: String(LIMIT) });
    ben = await small.signUp('ben');
    const create = 'mutation ($name: String!) { createTodoList(input: { name: $name }) { ... on TodoList { id } } }';
    const fill = 'mutation ($input: CreateTodoInput!) { createTodo(input: $input) { ... on Todo { id } } }';
    const lists = ['one', 'two', 'three'].map(async (name) => {
      const { createTodoList } = await ben.gql(create, { name });
      for (let index = 0; index < 10; index += 1) {
        const input = { title: `${index}`, description: SAID, listId: createTodoList.id };
        await ben.gql(fill, { input });
      }
      return createTodoList.id as string;
    });
    listIds = await Promise.all(lists);
  });
  afterAll(() => small.close());

  it('should be that of each operation, not of all operations of a socket', async () => {
    const socket = await SocketClient.open(small.url, ben.authorization);
    for (let time = 0; time < 3; time += 1) {
      const { data } = await socket.execute('{ todos(first: 15) { nodes { description } } }');
      expect(data.todos.nodes).toHaveLength(15);
    }
    await socket.close();
  });

  it('should count what is read of all pages, and what is shown of each', async () => {
    expect(await codeOf('{ todos(first: 18) { nodes { description } } }')).toBeUndefined();
    expect(await codeOf('{ todos(first: 20) { nodes { description } } }')).toBe('COMPLEXITY');
    expect(await codeOf('{ a: todos(first: 10) { nodes { id } } b: todos(first: 10) { nodes { id } } }')).toBe(
      'COMPLEXITY',
    );
    expect(await codeOf('{ todos(first: 11) { nodes { a: description b: description } } }')).toBe('COMPLEXITY');
    expect(await codeOf('{ todos(first: 9) { nodes { a: description b: description } } }')).toBeUndefined();
  });

  it('should count the pages that hang on the rows of a page', async () => {
    expect(await codeOf('{ todoLists { nodes { todos(first: 5) { nodes { description } } } } }')).toBeUndefined();
    expect(await codeOf('{ todoLists { nodes { todos(first: 10) { nodes { description } } } } }')).toBe('COMPLEXITY');
    expect(await codeOf('{ todoLists { nodes { todos(first: 10) { totalCount } } } }')).toBe('COMPLEXITY');
  });

  it('should not depend on how many events a subscriber receives together', async () => {
    const socket = await SocketClient.open(small.url, ben.authorization);
    const cursor = await endOfLog(small);
    const update = 'mutation ($ids: [ID!]!) { updateTodos(ids: $ids, input: { completed: true }) { __typename } }';
    const { todos } = await ben.gql(`{ todos(first: 15, filter: { listId: "${listIds[1]}" }) { nodes { id } } }`);
    const ids = todos.nodes.map(({ id }: Row) => id);
    for (let time = 0; time < 3; time += 1) {
      await ben.gql(update, { ids });
    }
    const watch = 'subscription ($after: String) { todoChanged(after: $after) { todo { description } } }';
    const events = socket.start(watch, { after: cursor });
    for (let count = 0; count < 3 * ids.length; count += 1) {
      expect((await events.event()).todo.description).toBe(SAID);
    }
    await socket.close();
  });
});
