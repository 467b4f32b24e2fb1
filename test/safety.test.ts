import { buildClientSchema, getIntrospectionQuery } from 'graphql';
import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import type { GraphQLAnswer, Person } from './kit/person.ts';

const STRICT = 'application/graphql-response+json';
const COUNT_TODOS = '{ todos { totalCount } }';
const CREATE_TODO = 'mutation { createTodo(input: { title: "written" }) { __typename } }';
/** Longer than any answer takes; what takes longer hangs. */
const DEADLINE_MS = 5000;

let app: TestApp;

beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.close());

const countTodos = async (): Promise<number> => (await app.anonymous.gql(COUNT_TODOS)).todos.totalCount;
const errorsOf = async (response: Response): Promise<NonNullable<GraphQLAnswer['errors']>> =>
  ((await response.json()) as { errors: NonNullable<GraphQLAnswer['errors']> }).errors;

function post(body: BodyInit, contentType?: string, person = app.anonymous): Promise<Response> {
  return person.fetch('/graphql', {
    method: 'POST',
    body,
    headers: { ...(contentType && { 'content-type': contentType }) },
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
}

describe('the GraphQL-over-HTTP specification', () => {
  const audits = serverAudits({ url: () => `${app.url}/graphql`, fetchFn: fetch });

  it('should be audited', () => {
    expect(audits.length).toBeGreaterThanOrEqual(60);
  });

  it.each(audits)('should find that it $name ($id)', async ({ fn }) => {
    const result = await fn();
    expect(result.status, 'reason' in result ? result.reason : '').toBe('ok');
  });
});

describe('the body of a request', () => {
  it('should be refused when it is over the limit', async () => {
    const query = `{ __typename } #${'x'.repeat(1_048_576)}`;
    const response = await post(JSON.stringify({ query }), 'application/json');
    expect(response.status).toBe(413);
    expect(await errorsOf(response)).toEqual([{ message: expect.any(String), extensions: { code: 'BAD_INPUT' } }]);
  });

  it('should have a limit that an operator can set', async () => {
    const small = await startApp({ BODY_LIMIT_BYTES: '1024' });
    try {
      const body = (length: number): string =>
        JSON.stringify({ query: '{ __typename }', operationName: null }).padEnd(length);
      expect((await post(body(1024), 'application/json', small.anonymous)).status).toBe(200);
      expect((await post(body(1025), 'application/json', small.anonymous)).status).toBe(413);
    } finally {
      await small.close();
    }
  });

  it.each([
    '',
    '{',
    '{"query":',
    'query',
    '{"query":"{__typename}"',
    "{'query':'{__typename}'}",
    '\ufeff',
    '{"__proto__":1}',
  ])('should give 400 when it is the malformed JSON %j', async (body) => {
    const response = await post(body, 'application/json');
    expect(response.status).toBe(400);
    expect(response.headers.get('content-type')).toMatch(/^application\/(graphql-response\+)?json/);
    expect(await errorsOf(response)).toMatchObject([{ message: expect.any(String) }]);
  });

  it.each([
    '{}',
    '[]',
    '[{}]',
    'null',
    'true',
    '5',
    '"{ __typename }"',
    '[{"query":"{ __typename }"}]',
    '{"query":null}',
  ])('should give 400 when it is the JSON %s, which asks for nothing', async (body) => {
    const response = await app.anonymous.fetch('/graphql', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', accept: STRICT },
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    expect(response.status).toBe(400);
    expect(await errorsOf(response)).toMatchObject([{ message: expect.not.stringContaining('Unexpected error') }]);
  });

  it.each(['variables=%7B', 'variables=x', 'extensions=x', 'variables=5', 'operationName=x'])(
    'should give 400 when there is none and the address says %s',
    async (parameter) => {
      const response = await app.anonymous.fetch(`/graphql?query={__typename}&${parameter}`, {
        headers: { accept: STRICT },
      });
      expect(response.status).toBe(400);
      expect(await errorsOf(response)).toMatchObject([{ message: expect.not.stringContaining('Unexpected error') }]);
    },
  );
});

describe('a document', () => {
  const deep = (depth: number): string => {
    const names = Array.from({ length: depth - 1 }, (_, n) => ['todos(first: 1)', 'nodes', 'list'][n % 3]);
    return `{ ${names.join(' { ')} { __typename ${'} '.repeat(depth)}`;
  };
  const repeat = (times: number, part: (n: number) => string): string =>
    Array.from({ length: times }, (_, n) => part(n)).join(' ');
  /** Nine tokens a spread, and two more. */
  const spreads = (times: number): string =>
    `{ ${repeat(times, (n) => `...F${n}`)} } ${repeat(times, (n) => `fragment F${n} on Query { __typename }`)}`;
  const pages = (first: number): string =>
    `{ todos(first: ${first}) { nodes { list { todos(first: ${first}) { nodes { id } } } } } }`;

  it.each([
    ['depth', 'Query depth limit of 12', deep(12), deep(13)],
    [
      'aliases',
      'Aliases limit of 30',
      `{ ${repeat(30, (n) => `a${n}: viewer { id }`)} }`,
      `{ ${repeat(31, (n) => `a${n}: viewer { id }`)} }`,
    ],
    [
      'aliases in fragments',
      'Aliases limit of 30',
      `{ ...F } fragment F on Query { ${repeat(30, (n) => `a${n}: viewer { id }`)} }`,
      `{ ...F ...G } fragment F on Query { ${repeat(16, (n) => `a${n}: viewer { id }`)} }
        fragment G on Query { ${repeat(16, (n) => `b${n}: viewer { id }`)} }`,
    ],
    [
      'directives',
      'Directives limit of 30',
      `{ ${repeat(30, () => '__typename @include(if: true)')} }`,
      `{ ${repeat(31, () => '__typename @include(if: true)')} }`,
    ],
    ['tokens', 'Token limit of 2000', spreads(220), spreads(223)],
    ['cost', 'at most 20000 is allowed', pages(50), pages(100)],
  ])('should be refused beyond the limit on its %s', async (_what, message, within, beyond) => {
    expect((await app.anonymous.ask(within)).errors).toBeUndefined();
    const response = await app.anonymous.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: STRICT },
      body: JSON.stringify({ query: beyond }),
    });
    const { data, errors } = (await response.json()) as GraphQLAnswer;
    expect(data ?? null).toBeNull();
    expect(errors).toMatchObject([{ message: expect.stringContaining(message) }]);
    const isClientError = response.status >= 400 && response.status < 500;
    expect(isClientError || errors?.[0]?.extensions?.['code'], `${response.status}`).toBeTruthy();
  });

  it('should have limits that an operator can set', async () => {
    const strict = await startApp({
      QUERY_DEPTH_LIMIT: '3',
      QUERY_ALIAS_LIMIT: '1',
      QUERY_TOKEN_LIMIT: '100',
      QUERY_DIRECTIVE_LIMIT: '1',
      QUERY_COMPLEXITY_LIMIT: '30',
    });
    try {
      for (const [query, message] of [
        [deep(4), 'depth limit of 3'],
        ['{ a: viewer { id } b: viewer { id } }', 'Aliases limit of 1'],
        [`{ ${repeat(101, () => '__typename')} }`, 'Token limit of 100'],
        [`{ ${repeat(2, () => '__typename @skip(if: false)')} }`, 'Directives limit of 1'],
        ['{ todos(first: 31) { nodes { id } } }', 'at most 30 is allowed'],
      ] as const) {
        expect((await strict.anonymous.ask(query)).errors).toMatchObject([
          { message: expect.stringContaining(message) },
        ]);
      }
      expect((await strict.anonymous.ask('{ todos(first: 5) { nodes { id } } }')).errors).toBeUndefined();
    } finally {
      await strict.close();
    }
  });

  it('should be answered at once when its fragments multiply or go round in circles', async () => {
    const doubling = repeat(60, (n) => `fragment F${n} on Query { ...F${n + 1} ...F${n + 1} }`);
    const circle = 'fragment A on Query { ...B } fragment B on Query { viewer { id } ...A }';
    for (const query of [`{ ...F0 } ${doubling} fragment F60 on Query { __typename }`, `{ ...A } ${circle}`]) {
      const response = await post(JSON.stringify({ query }), 'application/json');
      expect(await response.text()).not.toContain('Unexpected error');
    }
    expect((await app.anonymous.ask(`{ ...A } ${circle}`)).errors?.[0]?.message).toContain('within itself');
  });

  it('should be allowed to be the standard introspection, and not a bottomless one', async () => {
    const all = getIntrospectionQuery({ inputValueDeprecation: true, schemaDescription: true, specifiedByUrl: true });
    const schema = buildClientSchema(await app.anonymous.gql(all));
    expect(schema.getMutationType()?.getFields()).toHaveProperty('createTodo');
    const bottomless = `{ __schema { types ${'{ fields { type '.repeat(20)} { name } ${'} } '.repeat(20)} } }`;
    expect((await app.anonymous.ask(bottomless)).errors).toHaveLength(1);
  });
});

describe('a page of another site', () => {
  const json = JSON.stringify({ query: CREATE_TODO });
  const form = new FormData();
  form.set('operations', json);
  form.set('map', '{}');

  it.each<[string, BodyInit, string | undefined]>([
    ['plain text', json, 'text/plain'],
    ['plain text that mentions JSON', json, 'text/plain; application/json'],
    ['a form', `query=${encodeURIComponent(CREATE_TODO)}`, 'application/x-www-form-urlencoded'],
    ['JSON that says it is a form', json, 'application/x-www-form-urlencoded'],
    ['a multipart form', form, undefined],
    ['bytes of no type', new TextEncoder().encode(json), undefined],
    ['a bare document', CREATE_TODO, 'application/graphql'],
  ])('should write nothing by sending %s', async (_what, body, contentType) => {
    const before = await countTodos();
    const response = await post(body, contentType);
    expect(response.status).toBe(415);
    expect(await errorsOf(response)).toMatchObject([{ message: expect.any(String) }]);
    expect(await countTodos()).toBe(before);
  });

  it('should write nothing by following a link', async () => {
    const before = await countTodos();
    for (const accept of ['*/*', 'application/json', STRICT]) {
      const response = await app.anonymous.fetch(`/graphql?query=${encodeURIComponent(CREATE_TODO)}`, {
        headers: { accept },
      });
      expect(response.status).toBe(405);
      expect(response.headers.get('allow')).toContain('POST');
    }
    expect(await countTodos()).toBe(before);
    expect((await post(json, 'application/json')).status).toBe(200);
    expect(await countTodos()).toBe(before + 1);
  });

  const preflight = {
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization,content-type',
  };
  const call = async (person: Person, origin: string): Promise<[Response, Response]> => [
    await person.fetch('/graphql', { method: 'OPTIONS', headers: { origin, ...preflight } }),
    await person.fetch('/graphql?query={__typename}', { headers: { origin } }),
  ];

  it('should be allowed to call without credentials by default', async () => {
    const [asked, answered] = await call(app.anonymous, 'https://anywhere.example');
    expect([200, 204]).toContain(asked.status);
    expect(asked.headers.get('access-control-allow-methods')).toContain('POST');
    expect(asked.headers.get('access-control-allow-headers')).toMatch(/\*|authorization.*content-type/i);
    for (const { headers } of [asked, answered]) {
      expect(headers.get('access-control-allow-origin')).toBe('*');
      expect(headers.get('access-control-allow-credentials')).toBeNull();
    }
  });

  it('should be allowed to call only when it is listed, once there is a list', async () => {
    const listed = await startApp({ CORS_ORIGINS: 'https://one.example, https://two.example:8443' });
    try {
      for (const origin of ['https://one.example', 'https://two.example:8443']) {
        for (const { headers } of await call(listed.anonymous, origin)) {
          expect(headers.get('access-control-allow-origin')).toBe(origin);
          expect(headers.get('access-control-allow-credentials')).toBe('true');
          expect(headers.get('vary')).toMatch(/origin/i);
        }
      }
      for (const origin of [
        'https://three.example',
        'http://one.example',
        'https://one.example.evil.example',
        'null',
      ]) {
        for (const { headers } of await call(listed.anonymous, origin)) {
          expect(headers.get('access-control-allow-origin')).toBeNull();
        }
      }
    } finally {
      await listed.close();
    }
  });
});

describe('every answer', () => {
  it('should forbid guessing its type, and name its request', async () => {
    const ids = new Set<string | null>();
    for (const path of ['/graphql?query={__typename}', '/health', '/ready', '/nowhere']) {
      const { headers } = await app.anonymous.fetch(path);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      ids.add(headers.get('x-request-id'));
    }
    expect(ids.size).toBe(4);
    expect(ids).not.toContain(null);
  });

  it.each(['/', '/graphql', '/docs', '/reset-password'])(
    'should, as a page, run its own files alone and stay out of frames: %s',
    async (path) => {
      const { status, headers } = await app.anonymous.fetch(path, { headers: { accept: 'text/html' } });
      expect(status).toBe(200);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      const policy = headers.get('content-security-policy');
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).toMatch(/script-src 'self';/);
      expect(policy).not.toMatch(/https?:|\*|unsafe-eval/);
      expect(headers.get('referrer-policy')).toBe('no-referrer');
    },
  );
});
