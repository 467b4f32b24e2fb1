import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { startProcess } from '../kit/process.ts';
import { type Call, fresh, PASSWORD, perform, type World } from './wire.ts';

const MAX_KEY_LENGTH = 255;
const AT_ONCE = 20;

let app: TestApp;
let ann: Person;
const world: World = {};

beforeAll(async () => {
  app = await startApp({ POSTS_WRITABLE: 'true', MAX_FAILED_SIGN_INS: '1000' });
  ann = await app.signUp('ann');
  const ben = await app.signUp('ben');
  const { createChatSession } = await ann.gql('mutation { createChatSession { uri } }');
  await ann.gql('mutation ($uri: String!) { addChatMembers(uri: $uri, usernames: ["ben"]) { __typename } }', {
    uri: createChatSession.uri,
  });
  const { obtainToken } = await app.anonymous.gql(
    `mutation { obtainToken(input: { username: "ann", password: "${PASSWORD}" }) { ... on TokenPair { token } } }`,
  );
  Object.assign(world, { url: app.url, ann: ann.authorization, ben: ben.authorization, jwt: obtainToken.token });
  world['uri'] = createChatSession.uri;
});
afterAll(() => app.close());

/** Every path that takes a POST and does something each time: the request, and the table that it adds a row to. */
const POSTS: readonly (Call & { readonly table: string })[] = [
  { call: 'POST /auth/users/create/', json: { username: '{new}', password: PASSWORD }, table: 'User' },
  { call: 'POST /auth/token/create/', json: { username: 'ann', password: PASSWORD }, table: 'AuthToken' },
  { call: 'POST /auth/obtain_token/', json: { username: 'ann', password: PASSWORD }, table: 'Session' },
  { call: 'POST /auth/refresh_token/', json: { token: '{jwt}' }, table: 'Session' },
  { call: 'POST /api/posts/', as: 'ann', json: { title: 'x', content: 'y' }, table: 'Post' },
  { call: 'POST /api/chats/', as: 'ann', table: 'ChatSession' },
  { call: 'POST /api/chats/{uri}/messages/', as: 'ann', form: 'message=hello', table: 'ChatMessage' },
  { call: 'POST /notes', json: { title: 't', description: 'd', priority: 1 }, table: 'Note' },
  { call: 'POST /notes', as: 'ann', json: { title: 't', description: 'd', priority: 1 }, table: 'Note' },
];

const countOf = async (table: string): Promise<number> => {
  const [row] = await app.sql(`SELECT count(*) AS "count" FROM "${table}"`);
  return Number(row?.['count']);
};

const keyed = (key: string): Pick<Call, 'headers'> => ({ headers: { 'idempotency-key': key } });

/** What of an answer makes it the same. */
async function answerTo(call: Call, inWorld: World = world) {
  const { status, text, headers } = await perform(call, inWorld);
  return { status, text, type: headers['content-type'], location: headers.location };
}

describe.each(POSTS)('$call (as $as)', ({ table, ...call }) => {
  it('should be carried out once for a key, and give the first answer again', async () => {
    const here = { ...world, new: fresh() };
    const before = await countOf(table);
    const repeatableCall = { ...call, ...keyed(fresh()) };
    const first = await answerTo(repeatableCall, here);
    expect([200, 201]).toContain(first.status);
    const after = await countOf(table);
    expect(after).toBe(before + (call.call.includes('refresh') ? 0 : 1));
    for (let count = 0; count < 3; count += 1) {
      expect(await answerTo(repeatableCall, here)).toEqual(first);
    }
    expect(await countOf(table)).toBe(after);
    const other = { ...here, new: fresh() };
    expect((await answerTo({ ...call, ...keyed(fresh()) }, other)).status).toBe(first.status);
    expect(await countOf(table)).toBe(after + (after - before));
  });

  it('should be carried out once when all come at the same time', async () => {
    const here = { ...world, new: fresh() };
    const before = await countOf(table);
    const repeatableCall = { ...call, ...keyed(fresh()) };
    const answers = await Promise.all(Array.from({ length: AT_ONCE }, () => answerTo(repeatableCall, here)));
    expect([200, 201]).toContain(answers[0]?.status);
    for (const answer of answers) {
      expect(answer).toEqual(answers[0]);
    }
    expect(await countOf(table)).toBe(before + (call.call.includes('refresh') ? 0 : 1));
  });
});

describe('a key', () => {
  const note = (title: string): Call => ({ call: 'POST /notes', json: { title, description: '', priority: 1 } });

  it('should stand for one caller: the same key of another one is another key', async () => {
    const key = keyed(fresh());
    const before = await countOf('Note');
    const locations = await Promise.all(
      [{}, { as: 'ann' }, { as: 'ben' }].map(
        async (who) => (await answerTo({ ...note('mine'), ...who, ...key })).location,
      ),
    );
    expect(new Set(locations).size).toBe(3);
    expect(await countOf('Note')).toBe(before + 3);
  });

  it.each([
    ['body', note('another')],
    ['path', { call: 'POST /api/chats/', as: 'ann' }],
  ] as const)('should not stand for a request with another %s', async (_what, other) => {
    const key = keyed(fresh());
    await answerTo({ ...note('one'), as: 'ann', ...key });
    const before = [await countOf('Note'), await countOf('ChatSession')];
    const refused = await answerTo({ ...other, as: 'ann', ...key });
    expect(refused).toMatchObject({ status: 422, text: expect.stringContaining('detail') });
    expect([await countOf('Note'), await countOf('ChatSession')]).toEqual(before);
  });

  it('should not be used up by a request that failed', async () => {
    const key = keyed(fresh());
    expect((await answerTo({ ...note(''), ...key })).status).toBe(400);
    expect((await answerTo({ ...note('right now'), ...key })).status).toBe(201);
  });

  it.each([
    ['is empty', ''],
    ['is too long', 'x'.repeat(MAX_KEY_LENGTH + 1)],
  ])('should be refused when it %s', async (_what, key) => {
    const before = await countOf('Note');
    expect(await answerTo({ ...note('x'), ...keyed(key) })).toMatchObject({
      status: 400,
      text: expect.stringContaining('idempotency_key'),
    });
    expect(await countOf('Note')).toBe(before);
  });

  it('should be taken up to its limit, whatever it is made of', async () => {
    for (const key of ['x'.repeat(MAX_KEY_LENGTH), "' OR 1=1 --", '"quoted"', '{}']) {
      expect(
        (await answerTo({ ...note('x'), ...keyed(key + fresh().slice(0, MAX_KEY_LENGTH - key.length)) })).status,
      ).toBe(201);
    }
  });

  it('should keep no token in a form that whoever reads the database can use', async () => {
    const call = { call: 'POST /auth/token/create/', json: { username: 'ann', password: PASSWORD }, ...keyed(fresh()) };
    const { auth_token: token } = JSON.parse((await answerTo(call)).text);
    const rows = await app.sql('SELECT * FROM "IdempotencyKey"');
    const kept = rows.map((row) =>
      JSON.stringify(row, (_name, value) => (Buffer.isBuffer(value) ? value.toString('latin1') : value)),
    );
    const bytes = rows.map(({ answer }) => Buffer.from(answer).toString('latin1'));
    expect(kept.join().includes(token) || bytes.join().includes(token)).toBe(false);
  });

  it('should still stand for its answer when the server has been killed and started again', async () => {
    const call = { call: 'POST /api/chats/', as: 'ann', ...keyed(fresh()) };
    const env = { ...app.databaseEnv };
    const first = await startProcess(env);
    const answer = await answerTo(call, { ...world, url: first.url });
    await first.stop('SIGKILL');
    const second = await startProcess(env);
    expect(await answerTo(call, { ...world, url: second.url })).toEqual(answer);
    await second.stop();
    expect(await answerTo(call)).toEqual(answer);
  });
});

describe('mutations that create', () => {
  const MUTATIONS: readonly (readonly [string, string])[] = [
    ['createTodo', 'createTodo(input: { title: "t" }, idempotencyKey: KEY) { ... on Todo { id title } }'],
    ['createTodoList', 'createTodoList(input: { name: "n" }, idempotencyKey: KEY) { ... on TodoList { id name } }'],
    ['createPost', 'createPost(input: { title: "t", content: "c" }, idempotencyKey: KEY) { ... on Post { id } }'],
    ['createChatSession', 'createChatSession(idempotencyKey: KEY) { id uri owner { username } }'],
    ['sendMessage', 'sendMessage(uri: "URI", message: "m", idempotencyKey: KEY) { ... on ChatMessage { id message } }'],
    [
      'createNote',
      'createNote(input: { title: "t", description: "", priority: 1 }, idempotencyKey: KEY) { ... on Note { id } }',
    ],
    [
      'createAuthToken',
      `createAuthToken(input: { username: "ann", password: "${PASSWORD}" }, idempotencyKey: KEY) { ... on AuthTokenKey { authToken } }`,
    ],
  ];
  const send = (mutation: string, key: string) =>
    ann.gql(`mutation { it: ${mutation.replace('KEY', JSON.stringify(key)).replace('URI', world['uri'])} }`);

  it.each(MUTATIONS)('should be carried out once for a key, also at the same time: %s', async (_name, mutation) => {
    const key = fresh();
    const answers = await Promise.all(Array.from({ length: AT_ONCE }, () => send(mutation, key)));
    expect(answers[0].it).toBeTruthy();
    for (const answer of answers) {
      expect(answer).toEqual(answers[0]);
    }
    expect(await send(mutation, fresh())).not.toEqual(answers[0]);
  });

  it('should make one account for a key', async () => {
    const key = fresh();
    const mutation = `mutation { signUp(input: { username: "${fresh()}", password: "${PASSWORD}" }, idempotencyKey: "${key}") { ... on User { id username } } }`;
    const answers = await Promise.all(Array.from({ length: AT_ONCE }, () => app.anonymous.gql(mutation)));
    expect(answers[0].signUp).toHaveProperty('id');
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
  });

  it('should show what was made as it is by then', async () => {
    const mutation = MUTATIONS[0]?.[1] ?? '';
    const key = fresh();
    const { it: made } = await send(mutation, key);
    await ann.gql('mutation ($id: ID!) { updateTodo(id: $id, input: { title: "later" }) { __typename } }', made);
    expect((await send(mutation, key)).it.id).toBe(made.id);
  });

  it('should refuse a key that stands for something else', async () => {
    const key = fresh();
    await send('createTodo(input: { title: "one" }, idempotencyKey: KEY) { ... on Todo { id } }', key);
    const code = await ann.codeOf(
      `mutation { createTodo(input: { title: "two" }, idempotencyKey: "${key}") { ... on Todo { id } } }`,
    );
    expect(code).toBe('IDEMPOTENCY_MISMATCH');
  });
});
