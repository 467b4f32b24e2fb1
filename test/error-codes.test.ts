import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { buildSchema, type GraphQLEnumType } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERROR_CATALOGUE } from '../src/errors.ts';
import { startApp, type TestApp } from './kit/app.ts';
import { RawSocket } from './kit/socket.ts';

const CODES = Object.keys(ERROR_CATALOGUE).sort();
const RUNS = 100;

let app: TestApp;

beforeAll(async () => {
  app = await startApp({ BODY_LIMIT_BYTES: '20000' });
});
afterAll(() => app.close());

describe('the codes of the catalogue', () => {
  it('should be those of the schema', () => {
    const schema = buildSchema(readFileSync('schema.graphql', 'utf8'));
    const type = schema.getType('ErrorCode') as GraphQLEnumType;
    expect(
      type
        .getValues()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(CODES);
    expect(type.getValues().every(({ description }) => description)).toBe(true);
  });

  it('should be those of docs/clients.md, with their statuses', () => {
    const rows = [...readFileSync('docs/clients.md', 'utf8').matchAll(/^\| `([A-Z_]+)` \| (\d{3}) \|/gm)];
    expect(Object.fromEntries(rows.map(([, code, status]) => [code, Number(status)]))).toEqual(
      Object.fromEntries(Object.entries(ERROR_CATALOGUE).map(([code, { status }]) => [code, status])),
    );
  });
});

type Answer = { readonly errors?: readonly { readonly message: string; readonly extensions?: { code?: string } }[] };

/** The codes of an answer; an error without one counts as its message. */
const codesOf = ({ errors = [] }: Answer): string[] =>
  errors.map(({ message, extensions }) => extensions?.code ?? `no code: ${message}`);

const json = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
const http = async (init: RequestInit, query = ''): Promise<Answer> =>
  (await fetch(`${app.url}/graphql${query}`, init)).json() as Promise<Answer>;
const sse = async (body: unknown): Promise<Answer> => {
  const init = json(body);
  const response = await fetch(`${app.url}/graphql`, {
    ...init,
    headers: { ...init.headers, accept: 'text/event-stream' },
  });
  const text = await response.text();
  return JSON.parse(text.startsWith('{') ? text : (/^data: (\{.*)$/m.exec(text)?.[1] ?? '{}'));
};
const socket = async (payload: unknown): Promise<Answer> => {
  const raw = new RawSocket(`${app.url}/graphql`, { protocols: ['graphql-transport-ws'] });
  await raw.opened;
  raw.send({ type: 'connection_init' });
  await raw.nextJson();
  raw.send({ type: 'subscribe', id: '1', payload });
  const message = await raw.nextJson();
  raw.socket.close();
  return (message.type === 'error' ? { errors: message.payload } : message.payload) as Answer;
};

const TODO = 'query ($id: ID!) { todo(id: $id) { title } }';
const MAKE = 'mutation ($input: CreateTodoInput!) { createTodo(input: $input) { __typename } }';

describe('an error of a request', () => {
  it.each<[string, object, string]>([
    ['a missing variable', { query: TODO }, 'BAD_INPUT'],
    ['a variable that is null', { query: TODO, variables: { id: null } }, 'BAD_INPUT'],
    ['a variable of another type', { query: TODO, variables: { id: [1] } }, 'BAD_INPUT'],
    ['an unknown field of an input', { query: MAKE, variables: { input: { title: 't', nope: 1 } } }, 'BAD_INPUT'],
    ['an operation that does not exist', { query: '{ cursor }', operationName: 'Nope' }, 'BAD_INPUT'],
    ['a syntax error', { query: '{' }, 'GRAPHQL_PARSE_FAILED'],
    ['an unknown field', { query: '{ nope }' }, 'GRAPHQL_VALIDATION_FAILED'],
    ['a cursor that is none', { query: '{ todos(first: 1, after: "x") { totalCount } }' }, 'BAD_CURSOR'],
  ])('should have a code on every transport: %s', async (_name, body, code) => {
    for (const transport of [(each: object) => http(json(each)), sse, socket]) {
      expect(codesOf(await transport(body))).toEqual([code]);
    }
  });

  it.each<[string, RequestInit, string, string]>([
    ['no JSON', json('{'), '', 'BAD_INPUT'],
    ['a list', json([]), '', 'BAD_INPUT'],
    ['no query', json({ variables: {} }), '', 'BAD_INPUT'],
    ['a query that is a number', json({ query: 1 }), '', 'BAD_INPUT'],
    ['variables that are a text', json({ query: '{ cursor }', variables: 'x' }), '', 'BAD_INPUT'],
    ['a body that is too large', json({ query: `{ cursor } #${'x'.repeat(30_000)}` }), '', 'BAD_INPUT'],
    [
      'another content type',
      { method: 'POST', body: '{ cursor }', headers: { 'content-type': 'text/css' } },
      '',
      'BAD_INPUT',
    ],
    ['another method', { method: 'PUT' }, '', 'METHOD_NOT_ALLOWED'],
    [
      'a mutation by GET',
      { headers: { 'apollo-require-preflight': '1' } },
      `?query=${encodeURIComponent('mutation { signOut { __typename } }')}`,
      'BAD_INPUT',
    ],
  ])('should have a code on HTTP: %s', async (_name, init, query, code) => {
    expect(codesOf(await http(init, query))).toEqual([code]);
  });

  it('should have a code of the catalogue whatever the request is', async () => {
    const junk = fc.oneof(
      fc.jsonValue({ maxDepth: 1 }),
      fc.constantFrom<unknown>(1, '1', null, [], {}, 'x'.repeat(500)),
    );
    const body = fc.record(
      {
        query: fc.oneof(
          fc.constantFrom<unknown>(TODO, MAKE, '{ cursor }', '{ todo(id: 1) { title } }', '{ viewer { username } }'),
          junk,
        ),
        variables: fc.oneof(fc.record({ id: junk, input: fc.oneof(junk, fc.record({ title: junk })) }), junk),
        operationName: fc.oneof(fc.constant(undefined), junk),
        extensions: fc.oneof(fc.constant(undefined), junk, fc.record({ persistedQuery: junk })),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(fc.oneof(body, junk), async (request) => {
        const codes = codesOf(await http(json(JSON.stringify(request))));
        expect(codes.filter((code) => !CODES.includes(code) || code === 'INTERNAL')).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });
});
