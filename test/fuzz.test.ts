import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { DEFECT, INSIDES, type Person } from './kit/person.ts';

/** Longer than any answer takes; what takes longer hangs. */
const DEADLINE_MS = 5000;
const SEARCH_TIMEOUT_MS = 120_000;
const RUNS = { numRuns: 100, endOnFailure: true };

let app: TestApp;
let ann: Person;

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  await ann.gql('mutation { createTodo(input: { title: "x" }) { __typename } }');
});
afterAll(() => app.close());

/** Sends a request and expects an answer in JSON that owns up to no defect. */
async function expectSoundAnswer(
  path: string,
  init: RequestInit & { headers?: Record<string, string> },
): Promise<void> {
  const response = await ann.fetch(path, { ...init, signal: AbortSignal.timeout(DEADLINE_MS) });
  const text = await response.text();
  expect(response.status, text).toBeLessThan(500);
  // A subscription is answered as a stream.
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
    expect(() => JSON.parse(text)).not.toThrow();
  }
  expect(text).not.toMatch(INSIDES);
  expect(text).not.toMatch(DEFECT);
}

const sendJson = (body: string): Promise<void> =>
  expectSoundAnswer('/graphql', { method: 'POST', headers: { 'content-type': 'application/json' }, body });

const anyUnits = fc.array(fc.integer({ min: 0, max: 0xff_ff }), { maxLength: 20 });
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  anyUnits.map((units) => String.fromCharCode(...units)),
  fc.constantFrom('', ' ', '\0', '%', "'; DROP TABLE Todo; --", '\ud800', '\u202e', '１', '9'.repeat(400)),
);
const word = fc.constantFrom(
  '{',
  '}',
  '(',
  ')',
  '[',
  ']',
  ':',
  '!',
  '$',
  '@',
  '...',
  '|',
  '=',
  '&',
  '#',
  '"',
  '"""',
  '\\u',
  '\n',
  ',',
  '-',
  '1',
  '1e999',
  'query',
  'mutation',
  'subscription',
  'fragment',
  'on',
  'Query',
  'null',
  'true',
  'a',
  'todos',
  'nodes',
  'viewer',
  'id',
  'first',
  '__typename',
  '__schema',
  '__type',
  '@include(if: true)',
  '@skip',
  '@defer',
  '@stream',
  '@oneOf',
  '$a: Int',
  'extend',
  'schema',
);
const document = fc.oneof(
  text,
  fc.array(word, { maxLength: 40 }).map((words) => `{ ${words.join(' ')} }`),
  fc.constantFrom('{ __typename }', 'query A { __typename } query B { viewer { id } }', 'subscription { __typename }'),
);

describe('whatever is sent to /graphql', () => {
  it('should be answered soundly as the JSON of a body', { timeout: SEARCH_TIMEOUT_MS }, async () => {
    const request = fc.record(
      {
        query: fc.oneof({ weight: 4, arbitrary: document }, fc.jsonValue()),
        variables: fc.jsonValue({ maxDepth: 3 }),
        operationName: fc.oneof(text, fc.jsonValue()),
        extensions: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    const body = fc.oneof(
      { weight: 3, arbitrary: request.map((value) => JSON.stringify(value)) },
      fc.array(request, { maxLength: 3 }).map((value) => JSON.stringify(value)),
      fc.json(),
      text,
    );
    await fc.assert(fc.asyncProperty(body, sendJson), RUNS);
  });

  it('should be answered soundly as the query of an address', { timeout: SEARCH_TIMEOUT_MS }, async () => {
    const raw = fc.array(fc.constantFrom('%', '&', '=', '+', '%00', '%ff', '%ud800', 'query', '[]', '[a]', 'é'), {
      maxLength: 20,
    });
    const parameters = fc.array(
      fc.tuple(
        fc.constantFrom('query', 'query', 'variables', 'operationName', 'extensions', 'x'),
        fc.oneof(document, fc.json(), text).map((value) => encodeURIComponent(value.toWellFormed())),
      ),
      { maxLength: 5 },
    );
    const address = fc.oneof(
      raw.map((parts) => parts.join('')),
      parameters.map((pairs) => pairs.map((pair) => pair.join('=')).join('&')),
    );
    await fc.assert(
      fc.asyncProperty(address, (query) => expectSoundAnswer(`/graphql?${query}`, {})),
      RUNS,
    );
  });

  const scalar = fc.oneof(text, fc.integer(), fc.double(), fc.boolean(), fc.constant(null), fc.date().map(String));
  const size = fc.option(fc.oneof(fc.integer({ min: -2, max: 3 }), fc.constantFrom(100, 101, 2 ** 31 - 1, -(2 ** 31))));
  const direction = fc.constantFrom('ASC', 'DESC');
  const cursor = fc.option(
    fc.oneof(
      text,
      text.map((value) => Buffer.from(value).toString('base64url')),
    ),
  );
  const instant = fc.option(
    fc.oneof(
      fc.date({ noInvalidDate: true }).map((value) => value.toISOString()),
      text,
      fc.constant('0000-00-00T25:61:61Z'),
    ),
  );

  it.each<[string, string, fc.Arbitrary<Record<string, unknown>>]>([
    [
      'the ids of a query',
      `query ($id: ID!, $text: String!) {
        todo(id: $id) { id } todoList(id: $id) { id } note(id: $id) { id } post(id: $id) { id } node(id: $id) { id }
        nodes(ids: [$id, $id]) { id } user(username: $text) { id } chatSession(uri: $text) { id }
      }`,
      fc.record({ id: fc.oneof(text, fc.integer(), fc.bigInt({ min: 0n, max: 2n ** 65n }).map(String)), text }),
    ],
    [
      'the arguments of a list',
      `query ($first: Int, $last: Int, $after: String, $before: String, $filter: TodoFilter, $orderBy: TodoOrder) {
        todos(first: $first, last: $last, after: $after, before: $before, filter: $filter, orderBy: $orderBy) {
          totalCount nodes { id } pageInfo { endCursor }
        }
      }`,
      fc.record(
        {
          first: size,
          last: size,
          after: cursor,
          before: cursor,
          orderBy: fc.record({ field: fc.constantFrom('ID', 'TITLE', 'CREATED_AT'), direction }),
          filter: fc.record(
            {
              titleContains: text,
              listId: text,
              createdFrom: instant,
              createdBefore: instant,
              completed: fc.boolean(),
            },
            { requiredKeys: [] },
          ),
        },
        { requiredKeys: [] },
      ),
    ],
    [
      'the inputs of mutations',
      `mutation ($text: String!, $id: ID!, $priority: Int!) {
        createTodo(input: { title: $text, description: $text, listId: $id }) { __typename }
        updateTodo(id: $id, input: { title: $text }) { __typename }
        createTodoList(input: { name: $text }) { __typename }
        createPost(input: { title: $text, content: $text }) { __typename }
        createNote(input: { title: $text, description: $text, priority: $priority, createdAt: $text }) { __typename }
        updateViewer(input: { email: $text, firstName: $text }) { __typename }
        joinChat(uri: $text) { __typename }
        sendMessage(uri: $text, message: $text) { __typename }
        addChatMembers(uri: $text, usernames: [$text]) { __typename }
      }`,
      fc.record({ text, id: text, priority: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }) }),
    ],
    [
      'what signs in',
      `mutation ($username: String!, $password: String!) {
        signUp(input: { username: $username, password: $password, email: $username }) { __typename }
        obtainToken(input: { username: $username, password: $password }) { __typename }
        createAuthToken(input: { username: $username, password: $password }) { __typename }
        refreshToken(refreshToken: $username) { __typename }
        verifyToken(token: $username) { __typename }
      }`,
      fc.record({ username: text, password: text }),
    ],
    [
      'variables of any type',
      `query ($id: ID!, $first: Int, $text: String, $done: Boolean, $from: DateTime) {
        todo(id: $id) { id }
        todos(first: $first, filter: { titleContains: $text, completed: $done, createdFrom: $from }) { totalCount }
      }`,
      fc.record({ id: scalar, first: scalar, text: scalar, done: scalar, from: scalar }),
    ],
  ])('should be answered soundly as %s', { timeout: SEARCH_TIMEOUT_MS }, async (_what, query, variables) => {
    await fc.assert(
      fc.asyncProperty(variables, (values) => sendJson(JSON.stringify({ query, variables: values }))),
      { ...RUNS, numRuns: 40 },
    );
  });
});
