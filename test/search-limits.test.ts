import { getIntrospectionQuery } from 'graphql';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';

const CODE = { extensions: { code: 'COMPLEXITY' } };

interface Answer {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { extensions?: Record<string, unknown> }[];
}

let app: TestApp;
let ann: Person;

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  for (let index = 0; index < 25; index++) {
    await ann.gql('mutation ($name: String!) { createTodoList(input: { name: $name }) { __typename } }', {
      name: `list ${index}`,
    });
  }
});
afterAll(() => app.close());

const overHttp = (query: string): Promise<Answer> => ann.ask(query);
const asEventStream = async (query: string): Promise<Answer> => {
  const response = await ann.fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify({ query }),
  });
  return JSON.parse(/^data: (.+)$/m.exec(await response.text())?.[1] ?? '{}');
};
const overWebSocket = (query: string): Promise<Answer> =>
  new Promise((resolve) => {
    const client = createClient({
      url: `${app.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: ann.authorization },
    });
    const end = (answer: Answer) => {
      resolve(answer);
      client.dispose();
    };
    client.subscribe(
      { query },
      {
        next: (result) => end(result as Answer),
        error: (errors) => end({ errors: errors as never }),
        complete: () => undefined,
      },
    );
  });
const TRANSPORTS = [
  ['HTTP', overHttp],
  ['server-sent events', asEventStream],
  ['WebSocket', overWebSocket],
] as const;

const aliases = (count: number, field: (index: number) => string) =>
  `{ ${Array.from({ length: count }, (_, index) => `a${index}: ${field(index)}`).join(' ')} }`;
const filtered = (index: number) => `todos(filter: { completed: ${index % 2 === 0} }) { nodes { id } }`;
const searching = (index: number) => `notes(filter: { titleContains: "x${index}" }) { nodes { id } }`;
const counting = () => 'posts { totalCount }';

describe('the lists that one operation looks through', () => {
  it.each(TRANSPORTS)('should be bounded over %s', async (_name, send) => {
    for (const [field, allowed] of [
      [filtered, 16],
      [searching, 8],
      [counting, 16],
    ] as const) {
      expect((await send(aliases(allowed, field))).errors).toBeUndefined();
      expect((await send(aliases(allowed + 1, field))).errors).toEqual([expect.objectContaining(CODE)]);
    }
  });

  it('should be counted once where the pages of many objects are read together', async () => {
    const selection = 'nodes { todos(filter: { titleContains: "x" }) { totalCount nodes { id } } }';
    const { todoLists } = await ann.gql(`{ todoLists(first: 25) { ${selection} } }`);
    expect(todoLists.nodes).toHaveLength(25);
  });

  it('should not be counted for pages without a filter, nor for an empty one', async () => {
    expect((await overHttp(aliases(30, () => 'todos { nodes { id } }'))).errors).toBeUndefined();
    expect((await overHttp(aliases(30, () => 'todos(filter: {}) { nodes { id } }'))).errors).toBeUndefined();
  });

  it('should be as many as QUERY_SEARCH_LIMIT says', async () => {
    const strict = await startApp({ QUERY_SEARCH_LIMIT: '2' });
    try {
      expect((await strict.anonymous.ask(aliases(2, filtered))).errors).toBeUndefined();
      expect((await strict.anonymous.ask(aliases(3, filtered))).errors).toMatchObject([CODE]);
    } finally {
      await strict.close();
    }
  });
});

describe('the objects that a filter by a part of a text examines', () => {
  it.each([
    ['id, forwards', 'first: 2'],
    ['title, forwards', 'first: 2, orderBy: { field: TITLE }'],
    ['title, backwards', 'last: 2, orderBy: { field: TITLE, direction: DESC }'],
  ])('should be no more than QUERY_SCAN_LIMIT, by %s', async (_name, page) => {
    const limited = await startApp({ QUERY_SCAN_LIMIT: '10' });
    try {
      const cat = await limited.signUp('cat');
      const add = (titles: readonly string[]) =>
        Promise.all(
          titles.map((title) =>
            cat.gql('mutation ($title: String!) { createTodo(input: { title: $title }) { __typename } }', { title }),
          ),
        );
      const ask = (text: string, selection: string) =>
        cat.ask(`{ todos(filter: { titleContains: "${text}" }, ${page}) { ${selection} } }`);
      // Ten of them are within the limit.
      await add(Array.from({ length: 10 }, (_, index) => `k${index}`));
      expect((await ask('K', 'totalCount nodes { title }')).data?.todos).toMatchObject({ totalCount: 10 });
      expect((await ask('nothing', 'nodes { title }')).data?.todos.nodes).toEqual([]);
      await add(['a', 'z']);
      expect((await ask('K', 'nodes { title }')).data?.todos.nodes).toHaveLength(2);
      expect((await ask('nothing', 'nodes { title }')).errors).toMatchObject([CODE]);
      expect((await ask('K', 'totalCount')).errors).toMatchObject([CODE]);
    } finally {
      await limited.close();
    }
  });
});

describe('the text of a filter', () => {
  it.each([
    ['todos', 'titleContains', 140],
    ['todoLists', 'nameContains', 64],
    ['posts', 'titleContains', 50],
    ['notes', 'titleContains', 50],
    ['notes', 'createdBy', 50],
  ])('should be no longer than what it is compared with: %s by %s', async (list, field, max) => {
    const ask = (text: string) =>
      ann.ask(`query ($text: String!) { ${list}(filter: { ${field}: $text }) { totalCount } }`, { text });
    expect((await ask('é'.repeat(max))).data).toMatchObject({ [list]: { totalCount: 0 } });
    for (const text of ['é'.repeat(max + 1), 'x'.repeat(200_000), 'a\0b']) {
      const { errors } = await ask(text);
      expect(errors).toMatchObject([
        { extensions: { code: 'VALIDATION', fields: [expect.objectContaining({ path: `filter.${field}` })] } },
      ]);
    }
  });

  it.each(['%', '_', '\\', '%a_', '[a]', '*'])('should find %j as it is written', async (text) => {
    const titles = [`so ${text}! it is`, 'so aba! it is'];
    for (const title of titles) {
      await ann.gql('mutation ($title: String!) { createTodo(input: { title: $title }) { __typename } }', { title });
    }
    const { todos } = await ann.gql(
      'query ($text: String!) { todos(filter: { titleContains: $text }) { nodes { title } } }',
      { text: `so ${text}! it` },
    );
    expect(new Set(todos.nodes.map(({ title }: { title: string }) => title))).toEqual(new Set([titles[0]]));
  });

  it.each(TRANSPORTS.slice(1))('should be bounded in subscriptions, too: %s', async (_name, send) => {
    const text = 'x'.repeat(141);
    const answer = await send(`subscription { todoChanged(filter: { titleContains: "${text}" }) { id } }`);
    expect(answer.errors).toHaveLength(1);
  });
});

describe('what a document reads of the schema', () => {
  const TYPES = 'types { name fields { name } }';

  it.each(TRANSPORTS)('should be bounded over %s', async (_name, send) => {
    expect((await send(aliases(2, () => `__schema { ${TYPES} }`))).errors).toBeUndefined();
    for (const query of [
      aliases(3, () => '__schema { queryType { name } }'),
      aliases(3, (index) => `__type(name: "T${index}") { name }`),
      `{ __schema { a: ${TYPES} b: ${TYPES} } }`,
      '{ ...All } fragment All on Query { __schema { queryType { n: name } } }',
    ]) {
      expect((await send(query)).errors).toEqual([expect.objectContaining(CODE)]);
    }
  });

  it('should be all that tools ask for', async () => {
    const { errors } = await ann.ask(getIntrospectionQuery({ inputValueDeprecation: true, specifiedByUrl: true }));
    expect(errors).toBeUndefined();
  });
});

describe('todos that one operation writes', () => {
  const ids = Array.from({ length: 500 }, (_, index) => String(index + 1));
  const UPDATE = 'updateTodos(ids: $ids, input: { completed: true }) { __typename }';

  it('should be no more than one call may write', async () => {
    const once = await ann.ask(`mutation ($ids: [ID!]!) { ${UPDATE} }`, { ids });
    expect(once.data).toEqual({ updateTodos: { __typename: 'NotFoundError' } });
    const twice = await ann.ask(`mutation ($ids: [ID!]!) { a: ${UPDATE} b: ${UPDATE} }`, { ids });
    expect(twice.errors).toEqual([expect.objectContaining(CODE)]);
  });

  it('should each count as a write of a caller without a credential', async () => {
    const limited = await startApp({ MAX_ANONYMOUS_WRITES: '10' });
    try {
      const write = (count: number) =>
        limited.anonymous.ask(`mutation ($ids: [ID!]!) { ${UPDATE} }`, { ids: ids.slice(0, count) });
      // More than that is never taken: to wait would be of no use.
      expect((await write(11)).errors).toMatchObject([{ extensions: { code: 'COMPLEXITY' } }]);
      expect((await write(6)).errors).toBeUndefined();
      expect((await write(5)).errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED' } }]);
      expect((await write(4)).errors).toBeUndefined();
    } finally {
      await limited.close();
    }
  });
});
