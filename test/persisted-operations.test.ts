import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startApp, type TestApp } from './kit/app.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const apq = (text: string, hash = sha256(text)) => ({
  extensions: { persistedQuery: { version: 1, sha256Hash: hash } },
});
const NOT_FOUND = { message: 'PersistedQueryNotFound', extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } };
const NOT_IN_LIST = { extensions: { code: 'PERSISTED_QUERY_NOT_IN_LIST' } };

type Body = Record<string, unknown>;
interface Answer {
  readonly status?: number;
  readonly data?: Body;
  readonly errors?: readonly object[];
}
/** Sends an operation in one of the ways that there are, and gives the first result. */
type Send = (app: TestApp, body: Body) => Promise<Answer>;

const post: Send = async (app, body) => {
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, ...((await response.json()) as object) };
};
const get: Send = async (app, { extensions, variables, ...rest }) => {
  const parameters = new URLSearchParams(rest as Record<string, string>);
  for (const [name, value] of Object.entries({ extensions, variables })) {
    value && parameters.set(name, JSON.stringify(value));
  }
  const response = await fetch(`${app.url}/graphql?${parameters}`, { headers: { accept: 'application/json' } });
  return { status: response.status, ...((await response.json()) as object) };
};
const eventStream: Send = async (app, body) => {
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  return JSON.parse(/^data: (.+)$/m.exec(text)?.[1] ?? text);
};
const webSocket: Send = (app, body) =>
  new Promise((resolve) => {
    const client = createClient({ url: `${app.url.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket });
    const end = (answer: Answer) => {
      resolve(answer);
      client.dispose();
    };
    client.subscribe({ query: '', ...body } as never, {
      next: (result) => end(result as Answer),
      error: (errors) => end({ errors: errors as object[] }),
      complete: () => undefined,
    });
  });
const TRANSPORTS: readonly (readonly [string, Send])[] = [
  ['POST', post],
  ['GET', get],
  ['server-sent events', eventStream],
  ['WebSocket', webSocket],
];

describe('an automatically persisted query', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp();
  });
  afterAll(() => app.close());

  it.each(TRANSPORTS)('should be known by its hash once it was sent with it, over %s', async (name, send) => {
    const query = `query By_${name.replaceAll(/\W/g, '')} { todos { totalCount } }`;
    expect(await send(app, apq(query))).toMatchObject({ errors: [NOT_FOUND] });
    expect(await send(app, { query, ...apq(query) })).toMatchObject({
      data: { todos: { totalCount: expect.any(Number) } },
    });
    for (const [, other] of TRANSPORTS) {
      expect(await other(app, apq(query))).toMatchObject({ data: { todos: { totalCount: expect.any(Number) } } });
    }
  });

  it.each(TRANSPORTS)('should be refused with the hash of another text, over %s', async (_name, send) => {
    const query = '{ __typename }';
    const answer = await send(app, { query, ...apq('{ viewer { id } }') });
    expect(answer.errors).toMatchObject([{ extensions: { code: 'BAD_INPUT' } }]);
    expect(await send(app, apq('{ viewer { id } }'))).toMatchObject({ errors: [NOT_FOUND] });
  });

  it('should be asked for with the status that Apollo’s link expects', async () => {
    expect((await post(app, apq('{ nobody }'))).status).toBe(200);
    expect(await post(app, { extensions: { persistedQuery: { version: 2, sha256Hash: 'x' } } })).toMatchObject({
      status: 400,
      errors: [{ extensions: { code: 'BAD_INPUT' } }],
    });
    for (const persistedQuery of [1, [], { version: 1 }, { version: 1, sha256Hash: {} }, 'x']) {
      expect((await post(app, { query: '{ __typename }', extensions: { persistedQuery } })).status).toBe(400);
    }
    expect((await post(app, { documentId: 5 })).status).toBe(400);
  });

  it('should be no way around the other limits and rules', async () => {
    const mutation = 'mutation { createTodo(input: { title: "x" }) { __typename } }';
    await post(app, { query: mutation, ...apq(mutation) });
    expect((await get(app, apq(mutation))).status).toBe(405);
    const invalid = '{ nothing }';
    expect(await post(app, { query: invalid, ...apq(invalid) })).toMatchObject({ errors: [{ message: /nothing/ }] });
    const long = `{ __typename } #${'x'.repeat(300_000)}`;
    expect(await post(app, { query: long, ...apq(long) })).toMatchObject({
      errors: [{ extensions: { code: 'COMPLEXITY' } }],
    });
    expect(await post(app, apq(long))).toMatchObject({ errors: [NOT_FOUND] });
  });

  it('should not push the memory of the process up, however many are sent', async () => {
    for (let index = 0; index < 200; index++) {
      const query = `{ __typename } #${index}${'x'.repeat(200_000)}`;
      await post(app, { query, ...apq(query) });
    }
    const first = `{ __typename } #0${'x'.repeat(200_000)}`;
    expect(await post(app, apq(first))).toMatchObject({ errors: [NOT_FOUND] });
  });

  it('should serve Apollo Client’s link, which sends a text once', async () => {
    const sent: Body[] = [];
    const client = () =>
      new ApolloClient({
        cache: new InMemoryCache(),
        link: ApolloLink.from([
          new PersistedQueryLink({ sha256: (text) => sha256(text) }),
          new HttpLink({
            uri: `${app.url}/graphql`,
            fetch: (url, init) => {
              sent.push(JSON.parse(String(init?.body)));
              return fetch(url as string, init);
            },
          }),
        ]),
      });
    const query = gql`query OfApollo { todos(first: 1) { totalCount } }`;
    for (let time = 0; time < 2; time++) {
      const { data } = await client().query<{ todos: { totalCount: number } }>({ query });
      expect(data?.todos.totalCount).toEqual(expect.any(Number));
    }
    expect(sent.map((body) => 'query' in body)).toEqual([false, true, false]);
  });
});

describe('a list of operations', () => {
  const TODOS = 'query Todos { todos { totalCount } }';
  const CHANGES = 'subscription Changes { todoChanged { id } }';
  const folder = mkdtempSync(join(tmpdir(), 'operations-'));
  const fileOf = (name: string, content: string): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  const apollo = JSON.stringify({
    format: 'apollo-persisted-query-manifest',
    version: 1,
    operations: [
      { id: sha256(TODOS), body: TODOS, name: 'Todos', type: 'query' },
      { id: sha256(CHANGES), body: CHANGES, name: 'Changes', type: 'subscription' },
    ],
  });
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ OPERATION_LIST: fileOf('manifest.json', apollo) });
  });
  afterAll(async () => {
    await app.close();
    rmSync(folder, { recursive: true });
  });

  it.each(TRANSPORTS)('should be all that is executed, by its id or its text, over %s', async (_name, send) => {
    const known = { data: { todos: { totalCount: 0 } } };
    expect(await send(app, apq(TODOS))).toMatchObject(known);
    expect(await send(app, { documentId: `sha256:${sha256(TODOS)}` })).toMatchObject(known);
    expect(await send(app, { query: TODOS })).toMatchObject(known);
    for (const query of ['{ __typename }', `${TODOS} `, '{ __schema { types { name } } }']) {
      expect(await send(app, { query })).toMatchObject({ errors: [NOT_IN_LIST] });
      expect(await send(app, { query, ...apq(query) })).toMatchObject({ errors: [NOT_IN_LIST] });
      expect(await send(app, apq(query))).toMatchObject({ errors: [NOT_FOUND] });
    }
  });

  it.each([
    'query=&query={todos{totalCount}}',
    'query={todos{totalCount}}&query=%23',
    'documentId=x&documentId=y',
    'query=x&variables={}&variables={}',
  ])('should not be escaped by parameters that are repeated: %s', async (parameters) => {
    for (const accept of ['*/*', 'application/json', 'application/json, text/event-stream']) {
      const response = await fetch(`${app.url}/graphql?${parameters}`, { headers: { accept } });
      expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'BAD_INPUT' } }] });
    }
    expect(await post(app, { query: ['', TODOS] })).toMatchObject({ errors: [NOT_IN_LIST] });
    const subscription = 'query=subscription{todoChanged{action}}&query=';
    expect((await fetch(`${app.url}/graphql?${subscription}`, { headers: { accept: '*/*' } })).status).toBe(400);
  });

  it('should be understood as a JSON object of texts by their ids, too', async () => {
    const other = await startApp({ OPERATION_LIST: fileOf('relay.json', JSON.stringify({ todos: TODOS })) });
    try {
      expect(await post(other, { documentId: 'todos' })).toMatchObject({ data: { todos: { totalCount: 0 } } });
    } finally {
      await other.close();
    }
  });

  it.each([
    ['no JSON', '{'],
    ['another format', '{"format":"apollo-persisted-query-manifest","version":2,"operations":[]}'],
    ['no list', '[1]'],
  ])('should stop the start with one sentence when it is %s', async (_name, content) => {
    const path = fileOf('broken.json', content);
    await expect(startApp({ OPERATION_LIST: path })).rejects.toThrow(`The list of operations ${path}`);
    await expect(startApp({ OPERATION_LIST: join(folder, 'none') })).rejects.toThrow('cannot be read');
  });
});

describe('a schema that is kept private', () => {
  it.each(TRANSPORTS)('should neither be read nor hinted at, over %s', async (_name, send) => {
    const app = await startApp({ GRAPHQL_INTROSPECTION: 'false' });
    try {
      for (const query of ['{ __schema { types { name } } }', '{ __type(name: "Todo") { name } }']) {
        const { errors } = await send(app, { query });
        expect(errors?.[0]).toMatchObject({ message: expect.stringContaining('introspection has been disabled') });
      }
      const { errors } = await send(app, { query: '{ todoz { totalCount } vewer { id } }' });
      expect(errors).toHaveLength(2);
      expect(JSON.stringify(errors)).not.toMatch(/mean|todos|viewer/);
      expect(await send(app, { query: '{ __typename }' })).toMatchObject({ data: { __typename: 'Query' } });
    } finally {
      await app.close();
    }
  });
});
