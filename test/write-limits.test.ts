import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Row, startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';
import { SocketClient } from './kit/socket.ts';

const MAX_WRITES = 5;
const MAX_SIGN_UPS = 3;
const WRITE_WINDOW_S = 300;
const SIGN_UP_WINDOW_S = 3600;
const PASSWORD = 'a good long password';

let app: TestApp;
let ann: Person;
let count = 0;
const ids: Record<string, string> = {};

const times = <Value>(length: number, make: (index: number) => Value): Value[] =>
  Array.from({ length }, (_, index) => make(index));

/** The address of a caller whom no other test knows. */
const newAddress = (): string => {
  count += 1;
  return `10.2.${count >> 8}.${count & 0xff}`;
};

const visitor = (): Person => app.anonymous.from(newAddress());

beforeAll(async () => {
  app = await startApp({
    TRUST_PROXY: '1',
    MAX_ANONYMOUS_WRITES: String(MAX_WRITES),
    MAX_SIGN_UPS: String(MAX_SIGN_UPS),
  });
  ann = await app.signUp('ann');
  const { todo, todoList, note } = app.app.services.database;
  ids['todo'] = String((await todo.create({ data: { title: 'todo' } })).id);
  ids['list'] = String((await todoList.create({ data: { name: 'list' } })).id);
  const data = { title: 'note', description: '', priority: 1, createdAt: '', createdBy: '' };
  ids['note'] = String((await note.create({ data })).id);
});
afterAll(() => app.close());

/** What became of a request: it was carried out, or refused with the seconds after which it may come again. */
type Fate = 'done' | number;
type Write = (who: Person) => Promise<Fate>;

function fateOf({ errors }: Row): Fate {
  if (!errors) {
    return 'done';
  }
  expect(errors).toMatchObject([
    { message: expect.stringContaining('Too many'), extensions: { code: 'RATE_LIMITED' } },
  ]);
  return errors[0].extensions.retryAfter;
}

const overGraphQL =
  (mutation: string): Write =>
  async (who) => {
    const answer = await who.ask(`mutation { ${mutation} { __typename } }`);
    const fate = fateOf(answer);
    expect(answer.headers.get('retry-after')).toBe(fate === 'done' ? null : String(fate));
    return fate;
  };

const overSse =
  (mutation: string): Write =>
  async (who) => {
    const response = await who.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query: `mutation { ${mutation} { __typename } }` }),
    });
    return fateOf(JSON.parse(/^data: (\{.*)$/m.exec(await response.text())?.[1] ?? ''));
  };

const overSocket =
  (mutation: string): Write =>
  async ({ url, authorization, headers }) => {
    const client = await SocketClient.open(url, authorization, headers);
    const fate = fateOf(await client.execute(`mutation { ${mutation} { __typename } }`));
    await client.close();
    return fate;
  };

const overRest =
  (method: string, path: string, body: () => Record<string, unknown>, headers: Record<string, string> = {}): Write =>
  async (who) => {
    const response = await who.fetch(path, {
      method,
      headers: { 'content-type': 'application/json', prefer: 'return=minimal', ...headers },
      body: JSON.stringify(body()),
    });
    if (response.status < 300) {
      return 'done';
    }
    expect(response.status, await response.text()).toBe(429);
    return Number(response.headers.get('retry-after'));
  };

const CREATE_TODO = 'createTodo(input: { title: "x" })';
const noteBody = () => ({ title: 'x', description: '', priority: 1, created_at: '', created_by: '' });
const WRITES: Readonly<Record<string, () => Write>> = {
  createTodo: () => overGraphQL(CREATE_TODO),
  'createTodo over SSE': () => overSse(CREATE_TODO),
  'createTodo over WebSocket': () => overSocket(CREATE_TODO),
  updateTodo: () => overGraphQL(`updateTodo(id: ${ids['todo']}, input: { completed: true })`),
  updateTodos: () => overGraphQL(`updateTodos(ids: [${ids['todo']}], input: { completed: true })`),
  deleteTodo: () => overGraphQL('deleteTodo(id: 2147483647)'),
  deleteTodos: () => overGraphQL('deleteTodos(ids: [2147483647])'),
  createTodoList: () => overGraphQL('createTodoList(input: { name: "x" })'),
  updateTodoList: () => overGraphQL(`updateTodoList(id: ${ids['list']}, input: { name: "y" })`),
  deleteTodoList: () => overGraphQL('deleteTodoList(id: 2147483647)'),
  createNote: () => overGraphQL('createNote(input: { title: "x", description: "", priority: 1 })'),
  updateNote: () => overGraphQL(`updateNote(id: ${ids['note']}, input: { title: "y" })`),
  deleteNote: () => overGraphQL('deleteNote(id: 2147483647)'),
  'PATCH /api/todos/:id': () => overRest('PATCH', `/api/todos/${ids['todo']}`, () => ({ completed: true })),
  'POST /notes': () => overRest('POST', '/notes', noteBody),
  'PUT /notes/:id': () => overRest('PUT', `/notes/${ids['note']}`, noteBody),
};

describe.each(Object.entries(WRITES))('writes without a credential (%s)', (_name, make) => {
  it('should be refused after too many from one address, and not elsewhere', async () => {
    const [write, who] = [make(), visitor()];
    for (const _ of times(MAX_WRITES, String)) {
      expect(await write(who)).toBe('done');
    }
    const seconds = await write(who);
    expect(seconds).toBeGreaterThan(WRITE_WINDOW_S - 60);
    expect(seconds).toBeLessThanOrEqual(WRITE_WINDOW_S);
    expect(await overGraphQL(CREATE_TODO)(who)).not.toBe('done');
    expect(await overRest('POST', '/notes', noteBody)(who)).not.toBe('done');
    expect(await write(visitor())).toBe('done');
  });

  it('should be unbounded with a credential', async () => {
    const write = make();
    for (const _ of times(2 * MAX_WRITES, String)) {
      expect(await write(ann)).toBe('done');
    }
  });
});

describe('the limit of writes without a credential', () => {
  it('should be exact, however many come at once, by however many aliases', async () => {
    const who = visitor();
    const fates = await Promise.all(times(30, () => overGraphQL(CREATE_TODO)(who)));
    expect(fates.filter((fate) => fate === 'done')).toHaveLength(MAX_WRITES);
    const other = visitor();
    const { errors } = await other.ask(
      `mutation { ${times(8, (i) => `a${i}: ${CREATE_TODO} { __typename }`).join(' ')} }`,
    );
    expect(errors?.[0]?.path).toEqual([`a${MAX_WRITES}`]);
  });

  it('should leave reads alone, and cost callers with a credential no statement', async () => {
    const who = visitor();
    await Promise.all(times(2 * MAX_WRITES, () => overGraphQL(CREATE_TODO)(who)));
    expect(await who.gql('{ todos(first: 1) { nodes { title } } }')).toHaveProperty('todos');
    const statements = await app.statementsOf(() => overGraphQL(CREATE_TODO)(ann));
    expect(statements.filter((sql) => sql.includes('RateLimit'))).toEqual([]);
  });

  it('should not count an answer that is given again, but the first one', async () => {
    const who = visitor();
    const repeated = overRest('POST', '/notes', noteBody, { 'idempotency-key': 'the same' });
    for (const _ of times(3 * MAX_WRITES, String)) {
      expect(await repeated(who)).toBe('done');
    }
    const others = times(MAX_WRITES, (i) => overRest('POST', '/notes', noteBody, { 'idempotency-key': `key ${i}` }));
    const fates = await Promise.all(others.map((write) => write(who)));
    expect(fates.filter((fate) => fate === 'done')).toHaveLength(MAX_WRITES - 1);
  });

  it('should begin anew when the window has passed', async () => {
    const who = visitor();
    await Promise.all(times(2 * MAX_WRITES, () => overGraphQL(CREATE_TODO)(who)));
    await app.app.services.database.rateLimit.updateMany({ data: { resetsAt: new Date(0) } });
    expect(await overGraphQL(CREATE_TODO)(who)).toBe('done');
  });

  it('should not be noticed by thirty people behind one address, with the defaults', async () => {
    const ordinary = await startApp({ TRUST_PROXY: '1', MAX_ANONYMOUS_WRITES: '', MAX_SIGN_UPS: '' });
    const office = ordinary.anonymous.from(newAddress());
    const fates = await Promise.all(times(30 * 20, () => overGraphQL(CREATE_TODO)(office)));
    expect(fates.every((fate) => fate === 'done')).toBe(true);
    await ordinary.close();
  });
});

describe.each([
  ['signUp', () => overGraphQL(`signUp(input: { username: "user${++count}", password: "${PASSWORD}" })`)],
  [
    'POST /auth/users/create',
    () => overRest('POST', '/auth/users/create', () => ({ username: `user${++count}`, password: PASSWORD })),
  ],
])('new accounts (%s)', (_name, make) => {
  it('should be refused after too many from one address, with a credential or without', async () => {
    const who = visitor();
    for (const _ of times(MAX_SIGN_UPS, String)) {
      expect(await make()(who)).toBe('done');
    }
    const seconds = await make()(who);
    expect(seconds).toBeGreaterThan(SIGN_UP_WINDOW_S - 120);
    expect(seconds).toBeLessThanOrEqual(SIGN_UP_WINDOW_S);
    expect(await make()(ann.from(who.headers['x-forwarded-for'] ?? ''))).not.toBe('done');
    expect(await make()(visitor())).toBe('done');
  });
});
