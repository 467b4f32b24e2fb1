import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { privateDatabase } from './kit/app.ts';
import { Person } from './kit/person.ts';
import { type ServerProcess, startProcess } from './kit/process.ts';
import { RawSocket, SocketClient } from './kit/socket.ts';

/** An answer that reports errors is shorter, in bytes. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** How many times the CPU time of an ordinary request of the same size one of these may take: at most 5 on a quiet machine, and before there were limits 500. */
const MAX_RATIO = 20;
const ORDINARY_REQUESTS = 20;
/** A request that fits into the default limit of a body, and a message of a socket. */
const BODY_BYTES = 930_000;
const MESSAGE_BYTES = 120_000;
const TIMES = 3;

const CREATE = 'mutation ($input: CreateTodoInput!) { createTodo(input: $input) { __typename } }';
const BY_ID = 'query ($id: ID!) { todo(id: $id) { id } }';
const BY_IDS = 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }';
const ORDERED = 'query ($by: OrderDirection!) { todos(orderBy: { field: ID, direction: $by }) { totalCount } }';
const SUBSCRIBE = 'subscription ($id: ID) { todoChanged(listId: $id) { action } }';

const database = privateDatabase();
let server: ServerProcess;
let anonymous: Person;
let ordinaryMs: number;

beforeAll(async () => {
  server = await startProcess({ DATABASE_URL: `file:${database.path}` });
  anonymous = new Person(server.url, null, '');
  const before = cpuMs();
  for (let time = 0; time < ORDINARY_REQUESTS; time += 1) {
    await post('/graphql', JSON.stringify({ query: '{ __typename }', variables: { text: 'x'.repeat(BODY_BYTES) } }));
  }
  // The clock of the CPU time counts hundredths of a second.
  ordinaryMs = Math.max(10, cpuMs() - before) / ORDINARY_REQUESTS + 1;
});
afterAll(async () => {
  await server.stop();
  database.remove();
});

/** The CPU time of the server so far, in milliseconds: the 14th and 15th field of its `stat` count hundredths of a second. */
function cpuMs(): number {
  const fields = readFileSync(`/proc/${server.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Sends something a few times; expects short answers, and little work at least once, since others may use the machine as well. */
async function expectCheap(send: () => Promise<string>): Promise<string> {
  let answer = '';
  let leastMs = Number.POSITIVE_INFINITY;
  for (let time = 0; time < TIMES; time += 1) {
    const before = cpuMs();
    answer = await send();
    leastMs = Math.min(leastMs, cpuMs() - before);
    expect(Buffer.byteLength(answer)).toBeLessThan(MAX_ANSWER_BYTES);
  }
  expect(leastMs).toBeLessThan(MAX_RATIO * ordinaryMs);
  return answer;
}

async function post(path: string, body: string, type = 'application/json', accept = 'application/json') {
  const response = await anonymous.fetch(path, {
    method: 'POST',
    headers: { 'content-type': type, accept },
    body: body.slice(0, 1_048_576),
  });
  return response.text();
}

const repeat = (times: number, part: (index: number) => string, between = ' '): string =>
  Array.from({ length: times }, (_, index) => part(index)).join(between);

/** An object of this many bytes as JSON, with as many keys as fit into it. */
function manyKeys(bytes: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: Math.floor(bytes / 9) }, (_, index) => [index.toString(36), 1]));
}

/** An object with few keys and of this many bytes, of the kind that quoting makes longer. */
function longKeys(bytes: number): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: 500 }, (_, index) => [`k${index}`, '"'.repeat(Math.floor(bytes / 1000) - 10)]),
  );
}

/** Operations whose variables are refused, of about this many bytes. */
const refusedVariables = (bytes: number): [string, string, Record<string, unknown>][] => [
  ['unknown keys', CREATE, { input: manyKeys(bytes) }],
  ['long unknown keys', CREATE, { input: longKeys(bytes) }],
  ['unknown variables', CREATE, manyKeys(bytes)],
  ['an object for an id', BY_ID, { id: manyKeys(bytes) }],
  ['a long object for an id', BY_ID, { id: longKeys(bytes) }],
  ['an object in a list for an id', BY_ID, { id: [longKeys(bytes)] }],
  ['a list of nulls', BY_IDS, { ids: Array(Math.floor(bytes / 5)).fill(null) }],
  ['a list of objects', BY_IDS, { ids: Array(Math.floor(bytes / 3)).fill({}) }],
  ['a list of long truth values', BY_IDS, { ids: Array(9000).fill(true) }],
  ['a long value of an enum', ORDERED, { by: 'A'.repeat(bytes) }],
  ['a subscription’s argument', SUBSCRIBE, { id: manyKeys(bytes) }],
  ['a subscription’s long argument', SUBSCRIBE, { id: longKeys(bytes) }],
];

/** Documents with as many or as long errors as fit into their limits. */
const refusedDocuments = (characters: number): [string, string][] => [
  ['unknown fields', `{ ${repeat(1900, (index) => `titleX${index}`)} }`],
  ['long unknown fields', `{ ${repeat(900, (index) => `t${index}`.padEnd(Math.floor(characters / 900) - 2, 'x'))} }`],
  ['one long name', `{ ${'x'.repeat(characters)} }`],
  [
    'unknown fields of an input',
    `mutation { createTodo(input: { ${repeat(450, (i) => `title${i}: 1`)} }) { __typename } }`,
  ],
  ['unknown arguments', `{ todos(${repeat(600, (index) => `first${index}: 1`)}) { totalCount } }`],
  ['unknown types', `query (${repeat(450, (index) => `$v${index}: CreateTodoInputs`)}) { __typename }`],
  ['a long text for a number', `{ todos(first: "${'x'.repeat(characters)}") { totalCount } }`],
  ['a long name in a syntax error', `${'x'.repeat(characters)} {`],
  ['a syntax error after many lines', `${'\n'.repeat(characters)}}`],
  ['errors after many lines', `${'\n'.repeat(characters - 20_000)}{ ${repeat(1900, (index) => `titleX${index}`)} }`],
  [
    'fragments in circles',
    `{ ...F0 } ${repeat(200, (i) => `fragment F${i} on Query { ...F${i - (i % 20) + ((i + 1) % 20)} }`)}`,
  ],
];

describe('the answer to variables that are refused', () => {
  it.each(refusedVariables(BODY_BYTES))('should be short and cheap over HTTP: %s', async (_what, query, variables) => {
    expect(await expectCheap(() => post('/graphql', JSON.stringify({ query, variables })))).toContain('errors');
  });

  it.each(refusedVariables(BODY_BYTES))('should be short and cheap over SSE: %s', async (_what, query, variables) => {
    const body = JSON.stringify({ query, variables });
    expect(await expectCheap(() => post('/graphql', body, undefined, 'text/event-stream'))).toContain('errors');
  });

  it.each(refusedVariables(MESSAGE_BYTES))(
    'should be short and cheap over WebSocket: %s',
    async (_what, query, variables) => {
      await expectCheap(() => overSocket(query, variables));
    },
  );

  it('should be the same after the operation was compiled', async () => {
    const variables = { input: { title: 'x', done: true, titel: 'y', listId: {} } };
    const answers: string[] = [];
    for (let time = 0; time < 5; time += 1) {
      answers.push(await post('/graphql', JSON.stringify({ query: CREATE, variables })));
    }
    expect(new Set(answers).size).toBe(1);
    expect(JSON.parse(answers[0] ?? '').errors.map(({ message }: { message: string }) => message)).toEqual([
      'Variable "$input" got invalid value {…} at "input.listId"; ID cannot represent value: {}',
      'Variable "$input" got invalid value {…}; Field "done" is not defined by type "CreateTodoInput".',
      'Variable "$input" got invalid value {…}; Field "titel" is not defined by type "CreateTodoInput".',
    ]);
  });

  it('should name the first ten errors', async () => {
    const variables = { ids: Array(500).fill(false) };
    const { errors } = JSON.parse(await post('/graphql', JSON.stringify({ query: BY_IDS, variables })));
    expect(errors).toHaveLength(11);
    expect(errors[9].message).toContain('"ids[9]"');
    expect(errors[10].message).toContain('error limit reached');
  });
});

describe('the answer to a document that is refused', () => {
  it.each(refusedDocuments(260_000))('should be short and cheap over HTTP: %s', async (_what, query) => {
    expect(await expectCheap(() => post('/graphql', JSON.stringify({ query })))).toContain('errors');
  });

  it.each(refusedDocuments(260_000))('should be short and cheap over SSE: %s', async (_what, query) => {
    const body = JSON.stringify({ query });
    expect(await expectCheap(() => post('/graphql', body, undefined, 'text/event-stream'))).toContain('errors');
  });

  it.each(refusedDocuments(50_000))('should be short and cheap over WebSocket: %s', async (_what, query) => {
    await expectCheap(() => overSocket(query, {}));
  });

  it('should end with a code when a name is too long, which each row of a list would repeat', async () => {
    const named = (length: number): string => `{ todos { nodes { ${'x'.repeat(length)}: id } } }`;
    expect((await anonymous.ask(named(128))).errors).toBeUndefined();
    expect((await anonymous.ask(named(129))).errors).toMatchObject([{ extensions: { code: 'COMPLEXITY' } }]);
  });
});

describe('the answer to an operation whose fields fail', () => {
  const FIELDS = 29;
  /** A field of each list fails, as often as there are todos with a list. */
  const failing = (before: string): string =>
    `${before}{ todos(first: 100) { nodes { ${repeat(FIELDS, (i) => `a${i}: list { todos(first: 1, after: "bad") { totalCount } }`)} } } }`;

  beforeAll(async () => {
    const { createTodoList } = await anonymous.gql(
      'mutation { createTodoList(input: { name: "list" }) { ... on TodoList { id } } }',
    );
    for (let count = 0; count < 5; count += 1) {
      await anonymous.gql('mutation ($input: CreateTodoInput!) { createTodo(input: $input) { __typename } }', {
        input: { title: `todo ${count}`, listId: createTodoList.id },
      });
    }
  });

  it.each([
    ['at once', ''],
    ['after many lines', '\n'.repeat(9000)],
    ['after much white space', ' '.repeat(250_000)],
  ])(
    'should have the first thirty errors, and say that there are more, where fields come %s',
    async (_where, before) => {
      for (let time = 0; time < 4; time += 1) {
        const { data, errors = [] } = await anonymous.ask(failing(before));
        expect(data?.todos.nodes).toHaveLength(5);
        expect(errors).toHaveLength(31);
        expect(errors[0]).toMatchObject({
          path: ['todos', 'nodes', 0, 'a0', 'todos'],
          extensions: { code: 'BAD_CURSOR' },
        });
        expect(errors[30]?.message).toBe(`${5 * FIELDS - 30} more errors are left out.`);
      }
    },
  );

  it('should have as many over WebSocket and SSE', async () => {
    const socket = await SocketClient.open(server.url, null);
    expect((await socket.execute(failing(''))).errors).toHaveLength(31);
    await socket.close();
    const text = await post('/graphql', JSON.stringify({ query: failing('') }), undefined, 'text/event-stream');
    expect(JSON.parse(/^data: (\{.*)$/m.exec(text)?.[1] ?? '').errors).toHaveLength(31);
  });
});

describe('the answer to a REST body that is refused', () => {
  const FORM = 'application/x-www-form-urlencoded';
  const part = (name: string): string => `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n\r\n`;

  it.each([
    ['JSON with many keys', JSON.stringify(manyKeys(BODY_BYTES)), undefined],
    ['JSON with a long key', JSON.stringify({ ['x'.repeat(BODY_BYTES)]: 1 }), undefined],
    [
      'JSON with long values',
      JSON.stringify({ username: 'x'.repeat(400_000), password: '"'.repeat(200_000) }),
      undefined,
    ],
    ['JSON with a list for a text', JSON.stringify({ username: Array(200_000).fill('x') }), undefined],
    ['JSON that is cut', JSON.stringify({ username: 'x'.repeat(BODY_BYTES) }).slice(0, -1), undefined],
    ['brackets', '['.repeat(BODY_BYTES), undefined],
    ['a form of many fields', 'a&'.repeat(BODY_BYTES / 2), FORM],
    ['a form with a long name', 'x'.repeat(BODY_BYTES), FORM],
    ['a form of percent signs', `username=${'%'.repeat(BODY_BYTES)}`, FORM],
    [
      'a form of many parts',
      `${repeat(15_000, (index) => part(index.toString(36)), '')}--b--\r\n`,
      'multipart/form-data; boundary=b',
    ],
    ['a form with no end', '--b\r\n'.repeat(180_000), 'multipart/form-data; boundary=b'],
    ['a long content type', 'x', `text/${'x'.repeat(10_000)}`],
  ])('should be short and cheap: %s', async (_what, body, type) => {
    await expectCheap(() => post('/auth/users/create', body, type));
    await expectCheap(() => post('/notes', body, type));
  });

  it('should say what there is too much of', async () => {
    expect(JSON.parse(await post('/auth/users/create', JSON.stringify(manyKeys(BODY_BYTES))))).toEqual({
      detail: 'JSON parse error - The JSON has more than 10000 values.',
    });
    expect(JSON.parse(await post('/auth/users/create', 'a=1&'.repeat(1001), FORM))).toEqual({
      detail: 'The form has more than 1000 fields.',
    });
  });
});

describe('a socket', () => {
  it('should be closed by a message with too many values, before it is parsed', async () => {
    const socket = await SocketClient.open(server.url, null);
    socket.start(CREATE, { input: manyKeys(MESSAGE_BYTES) });
    expect(await socket.closed).toEqual({ code: 4400, reason: 'The JSON has more than 10000 values.' });
  });

  it('should be closed by an operation with a long id, which each of its messages would repeat', async () => {
    const socket = await SocketClient.open(server.url, null);
    expect(await socket.start('{ __typename }', {}, 'x'.repeat(1000)).results.next()).toHaveProperty('data');
    socket.start('{ __typename }', {}, 'x'.repeat(1001));
    expect(await socket.closed).toEqual({ code: 4400, reason: 'The id has more than 1000 characters' });
  });

  it('should be closed, with a short reason, by an operation whose id runs already', async () => {
    const socket = await SocketClient.open(server.url, null);
    for (let time = 0; time < 2; time += 1) {
      socket.start('subscription { todoChanged { action } }', {}, '𝒳'.repeat(100));
    }
    const { code, reason } = await socket.closed;
    expect(code).toBe(4409);
    expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(123);
  });

  it.each([
    ['many values', JSON.stringify({ request_id: 1, model: 'todos.Todo', value: manyKeys(MESSAGE_BYTES) })],
    ['a long model', JSON.stringify({ request_id: 1, model: 'x'.repeat(MESSAGE_BYTES), value: 1 })],
    ['a long id', JSON.stringify({ request_id: 'x'.repeat(MESSAGE_BYTES), model: 'todos.Todo', value: 1 })],
    ['a long type', JSON.stringify({ id: 1, type: 'x'.repeat(MESSAGE_BYTES) })],
  ])('should answer a frame with %s shortly, on the change socket', async (_what, frame) => {
    const socket = new RawSocket(`${server.url}/ws/subscribe/`);
    await socket.opened;
    socket.send(frame);
    const answer = await socket.frames.next();
    expect(answer.length).toBeLessThan(300);
    expect(JSON.parse(answer)).toMatchObject({ type: 'error' });
    socket.terminate();
  });
});

/** Runs an operation on a socket of its own; gives its answer, or the reason for which the socket was closed. */
async function overSocket(query: string, variables: Record<string, unknown>): Promise<string> {
  const socket = await SocketClient.open(server.url, null);
  const operation = socket.start(query, variables);
  const answer = await Promise.race([
    operation.ended.then((errors) => JSON.stringify(errors)),
    operation.results.next().then((result) => JSON.stringify(result)),
    socket.closed.then(({ reason }) => reason),
  ]);
  socket.raw.terminate();
  return answer;
}
