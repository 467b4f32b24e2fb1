import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { describeWith } from '../kit/present.ts';
import { RawSocket } from '../kit/socket.ts';
import { type Call, JSON_TYPE, NO_CREDENTIALS, NOT_FOUND, PASSWORD, perform, type Received } from './wire.ts';

const run = promisify(execFile);
const DOCUMENTED = fileURLToPath(new URL('./documented.py', import.meta.url));
const POSTMAN = {
  'user-agent': 'PostmanRuntime/7.36.0',
  accept: '*/*',
  'cache-control': 'no-cache',
  'postman-token': '0e1f9c3a-8a0e-4b7c-9d4b-2f7a6f1f0c11',
  'accept-encoding': 'gzip, deflate, br',
  connection: 'keep-alive',
};
/** What a page's library sends beside its bodies, and how it names their type. */
interface Page {
  readonly accept: string;
  readonly origin: string;
  readonly type: string;
}
const AXIOS: Page = {
  accept: 'application/json, text/plain, */*',
  origin: 'http://localhost:3000',
  type: 'application/json;charset=UTF-8',
};
/** `X-Requested-With` is for pages of the same origin only. */
const JQUERY: Page = {
  accept: '*/*',
  origin: 'http://localhost:8080',
  type: 'application/x-www-form-urlencoded; charset=UTF-8',
};
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{6})?Z$/;

let app: TestApp;
beforeAll(async () => {
  app = await startApp({ POSTS_WRITABLE: 'true' });
});
afterAll(() => app.close());

/** Returns the status and the parsed JSON body of an answer. */
function jsonAnswer({ status, text }: Received) {
  return { status, body: text === '' ? null : JSON.parse(text) };
}

const words = (list: string | undefined): string[] => (list ?? '').toLowerCase().split(/[ ,]+/);

/** A request of a page on another origin: the browser asks before, and shows the page only what it may see. */
async function browse({ accept, origin, type }: Page, call: Call, authorization?: string) {
  const { url } = app;
  const [method = '', path = ''] = call.call.split(' ');
  const hasBody = call.json !== undefined || call.form !== undefined;
  const asks = [...(authorization ? ['authorization'] : []), ...(call.json === undefined ? [] : ['content-type'])];
  if (asks.length > 0 || !['GET', 'HEAD', 'POST'].includes(method)) {
    const named = asks.length > 0 ? { 'access-control-request-headers': asks.join(',') } : {};
    const headers = { accept: '*/*', origin, 'access-control-request-method': method, ...named };
    const preflight = await perform({ call: `OPTIONS ${path}`, headers }, { url });
    expect([200, 204]).toContain(preflight.status);
    expect(preflight.headers['access-control-allow-origin']).toBe('*');
    expect(words(preflight.headers['access-control-allow-methods'])).toContain(method.toLowerCase());
    expect(words(preflight.headers['access-control-allow-headers'])).toEqual(expect.arrayContaining(asks));
  }
  const headers = { accept, origin, ...(hasBody && { 'content-type': type }), ...(authorization && { authorization }) };
  const answer = await perform({ ...call, headers }, { url });
  expect(answer.headers['access-control-allow-origin']).toBe('*');
  return jsonAnswer(answer);
}

async function makeTodo(): Promise<string> {
  const { createTodo } = await app.anonymous.gql(
    'mutation { createTodo(input: { title: "Milk" }) { ... on Todo { databaseId } } }',
  );
  return String(createTodo.databaseId);
}

const isDone = async (id: string): Promise<boolean> =>
  (await app.anonymous.gql('query ($id: ID!) { todo(id: $id) { completed } }', { id })).todo.completed;

describeWith('curl', 'the documents’ commands with curl', () => {
  /** Runs curl with what the documents write after it; gives the body and the status. */
  async function curl(...args: readonly string[]): Promise<{ status: number; text: string }> {
    const { stdout } = await run('curl', ['-s', '-w', '\n%{http_code}', ...args]);
    const end = stdout.lastIndexOf('\n');
    return { status: Number(stdout.slice(end + 1)), text: stdout.slice(0, end) };
  }

  it('should get a token, show posts by it, renew it and check it', async () => {
    const { url } = app;
    await app.sql('DELETE FROM "Post"');
    const made = await curl('-X', 'POST', '-d', `username=daniel&password=${PASSWORD}`, `${url}/auth/users/create/`);
    expect(made).toEqual({
      status: 201,
      text: expect.stringMatching(/^\{"email":"","username":"daniel","id":\d+\}$/),
    });
    const login = ['-d', 'username=daniel', '-d', `password=${PASSWORD}`];
    const { status, text } = await curl(...login, `${url}/auth/obtain_token/`);
    expect(status).toBe(200);
    const { token } = JSON.parse(text);
    expect(text).toBe(JSON.stringify({ token }));

    expect(await curl(`${url}/api/posts/`)).toEqual({ status: 401, text: JSON.stringify(NO_CREDENTIALS) });
    const shown = ['-H', `Authorization: JWT ${token}`, `${url}/api/posts/`];
    expect(await curl(...shown)).toEqual({ status: 200, text: '[]' });
    await app.sql(`INSERT INTO "Post" ("title", "content") VALUES ('Grüße', 'from SQL')`);
    const posts = await curl(...shown);
    const [post] = JSON.parse(posts.text);
    const { id, created_at, updated_at } = post;
    expect([id, created_at, updated_at]).toEqual([
      expect.any(Number),
      expect.stringMatching(TIME),
      expect.stringMatching(TIME),
    ]);
    expect(posts).toEqual({
      status: 200,
      text: JSON.stringify([{ id, title: 'Grüße', content: 'from SQL', created_at, updated_at }]),
    });
    expect(await curl('-d', `token=${token}`, `${url}/auth/verify_token/`)).toEqual({ status: 200, text });
    const renewed = await curl('-H', 'Content-Type: application/json', '-d', text, `${url}/auth/refresh_token/`);
    const next = JSON.parse(renewed.text).token;
    expect(renewed).toEqual({ status: 200, text: JSON.stringify({ token: next }) });
    expect((await curl('-H', `Authorization: JWT ${next}`, `${url}/api/posts/`)).status).toBe(200);
  });

  it.each([
    ['Token', 'auth_token', '/auth/token/create/'],
    ['JWT', 'token', '/auth/jwt/create/'],
  ])('should open a chat, have somebody join, and talk, by %s', async (scheme, field, path) => {
    const { url } = app;
    const signUp = async (username: string) => {
      const fields = `username=${username}&password=${PASSWORD}`;
      const made = await curl('-d', fields, `${url}/auth/users/create/`);
      const { id } = JSON.parse(made.text);
      expect(made).toEqual({ status: 201, text: JSON.stringify({ email: '', username, id }) });
      const answer = await curl('-d', fields, `${url}${path}`);
      const credential = JSON.parse(answer.text)[field];
      expect(answer).toEqual({ status: 200, text: JSON.stringify({ [field]: credential }) });
      expect(credential).toMatch(scheme === 'Token' ? /^[0-9a-f]{40}$/ : /^[\w-]+\.[\w-]+\.[\w-]+$/);
      const user = { id, username, email: '', first_name: '', last_name: '' };
      return { user, header: `Authorization: ${scheme} ${credential}` };
    };
    const [osaetin, danidee] = [await signUp(`osaetin-${scheme}`), await signUp(`danidee-${scheme}`)];
    const { user } = danidee;

    const opened = await curl('-X', 'POST', '-H', osaetin.header, `${url}/api/chats/`);
    const { uri } = JSON.parse(opened.text);
    expect(uri).toMatch(/^[0-9a-f]{15}$/);
    expect(opened).toEqual({
      status: 200,
      text: JSON.stringify({ status: 'SUCCESS', uri, message: 'New chat session created' }),
    });
    const join = ['-X', 'PATCH', '-H', danidee.header, '-d', `username=${user.username}`, `${url}/api/chats/${uri}/`];
    const members = [osaetin.user, user];
    const joined = { status: 'SUCCESS', members, message: `${user.username} joined the chat`, user };
    for (const again of [join, join]) {
      expect(await curl(...again)).toEqual({ status: 200, text: JSON.stringify(joined) });
    }
    const messages = `${url}/api/chats/${uri}/messages/`;
    expect(await curl('-H', danidee.header, '--data-urlencode', 'message=Hello there', messages)).toEqual({
      status: 200,
      text: JSON.stringify({ status: 'SUCCESS', uri, message: 'Hello there', user }),
    });
    expect((await curl('-H', osaetin.header, '-d', 'message=Hi', messages)).status).toBe(200);
    const history = await curl('-H', osaetin.header, messages);
    const { id } = JSON.parse(history.text);
    expect(id).toEqual(expect.any(Number));
    const said = [
      { user, message: 'Hello there' },
      { user: osaetin.user, message: 'Hi' },
    ];
    expect(history).toEqual({ status: 200, text: JSON.stringify({ id, uri, messages: said }) });
    expect(await curl(messages)).toEqual({ status: 401, text: JSON.stringify(NO_CREDENTIALS) });
  });
});

describeWith('python', 'the documents’ commands with Python', (python) => {
  it('should do all that the notes app and the todo page can do', async () => {
    await app.sql('DELETE FROM "Note"');
    const todo = await makeTodo();
    const { stdout } = await run(python, [DOCUMENTED, app.url, todo]);
    const { number, answers } = JSON.parse(stdout);
    const written = (title: string, priority: number, indent: string) =>
      [
        `"title": "${title}"`,
        '"description": "for the caf\\u00e9"',
        '"created_at": "2017-08-23 00:00"',
        '"created_by": "me"',
        `"priority": ${priority}`,
      ].join(`,\n${indent}`);
    const one = (title: string, priority: number) => `{\n    ${written(title, priority, '    ')}\n}`;
    const list = (title: string, priority: number) =>
      `{\n    "notes": [\n        {\n            "id": ${number},\n            ${written(title, priority, '            ')}\n        }\n    ]\n}`;
    // The type that each request stated, none for `data=json.dumps(…)`; and its answer.
    const gone = '{\n    "not found": 404\n}';
    expect(answers).toEqual([
      [null, 200, JSON_TYPE, '{\n    "notes": []\n}'],
      [null, 201, JSON_TYPE, list('Milk', 4)],
      [null, 200, JSON_TYPE, one('Milk', 4)],
      [null, 201, JSON_TYPE, one('Oat milk', 5)],
      [null, 200, JSON_TYPE, list('Oat milk', 5)],
      [null, 204, null, ''],
      [null, 404, JSON_TYPE, gone],
      [null, 404, JSON_TYPE, gone],
      [null, 404, JSON_TYPE, gone],
      [null, 200, JSON_TYPE, '{}'],
      [JSON_TYPE, 200, JSON_TYPE, '{}'],
      [JSON_TYPE, 404, JSON_TYPE, JSON.stringify(NOT_FOUND)],
    ]);
    expect(await isDone(todo)).toBe(false);
  });
});

describe('Postman', () => {
  it('should tick a todo by PATCH', async () => {
    const todo = await makeTodo();
    const raw = '{\r\n    "completed": true\r\n}';
    const call = { call: `PATCH /api/todos/${todo}`, raw, headers: { ...POSTMAN, 'content-type': JSON_TYPE } };
    const answer = await perform(call, { url: app.url });
    expect([answer.status, answer.headers['content-type'], answer.text]).toEqual([200, JSON_TYPE, '{}']);
    expect(await isDone(todo)).toBe(true);
  });
});

describe('the front ends', () => {
  it('should tick and untick on the todo page', async () => {
    const todo = await makeTodo();
    for (const completed of [true, false, true]) {
      const answer = await browse(AXIOS, { call: `PATCH /api/todos/${todo}`, json: { completed } });
      expect(answer).toEqual({ status: 200, body: {} });
      expect(await isDone(todo)).toBe(completed);
    }
  });

  it.each([
    ['JWT', '/auth/jwt/create/', 'token'],
    ['Token', '/auth/token/create/', 'auth_token'],
  ])('should sign up, invite and talk in the Vue chat, by %s', async (scheme, path, field) => {
    const form = (call: string, fields: Record<string, string>, authorization?: string) =>
      browse(JQUERY, { call, form: new URLSearchParams(fields).toString() }, authorization);
    const signUp = async (username: string) => {
      const fields = { username, password: PASSWORD };
      const made = await form('POST /auth/users/create/', fields);
      expect(made).toEqual({ status: 201, body: { email: '', username, id: expect.any(Number) } });
      const answer = await form(`POST ${path}`, fields);
      expect(answer).toEqual({ status: 200, body: { [field]: expect.any(String) } });
      const user = { id: made.body.id, username, email: '', first_name: '', last_name: '' };
      return { user, token: answer.body[field] as string, header: `${scheme} ${answer.body[field]}` };
    };
    const [host, guest] = [await signUp(`host-${scheme}`), await signUp(`guest-${scheme}`)];
    const opened = await browse(JQUERY, { call: 'POST /api/chats/' }, host.header);
    const { uri } = opened.body;
    expect(opened).toEqual({ status: 200, body: { status: 'SUCCESS', uri, message: 'New chat session created' } });
    // The guest comes by a link, and the page looks for itself among the members.
    const { user } = guest;
    const joined = await form(`PATCH /api/chats/${uri}/`, { username: user.username }, guest.header);
    expect(joined).toEqual({
      status: 200,
      body: { status: 'SUCCESS', members: [host.user, user], message: `${user.username} joined the chat`, user },
    });
    const messages = `/api/chats/${uri}/messages/`;
    const history = await browse(JQUERY, { call: `GET ${messages}` }, guest.header);
    expect(history).toEqual({ status: 200, body: { id: expect.any(Number), uri, messages: [] } });

    const socket = new RawSocket(`${app.url}/${uri}?token=${host.token}`);
    await socket.opened;
    // The server does not acknowledge that the page's socket receives messages.
    let frame: string | null = null;
    while (frame === null) {
      await form(`POST ${messages}`, { message: 'hello' }, guest.header);
      frame = await socket.frames.next('frame', 100).catch(() => null);
    }
    const message = 'Is anybody there? Ça va & “so on” = 100 %';
    expect(await form(`POST ${messages}`, { message }, guest.header)).toEqual({
      status: 200,
      body: { status: 'SUCCESS', uri, message, user },
    });
    for (frame = null; !frame?.includes('anybody'); ) {
      frame = await socket.frames.next();
    }
    expect(frame).toBe(JSON.stringify({ user, message }));
    socket.terminate();

    let header = host.header;
    if (scheme === 'JWT') {
      const renewed = await form('POST /auth/jwt/refresh/', { token: host.token }, host.header);
      expect(renewed).toEqual({ status: 200, body: { token: expect.any(String) } });
      header = `JWT ${renewed.body.token}`;
    }
    const { status, body } = await browse(JQUERY, { call: `GET ${messages}` }, header);
    expect([status, body.id, body.uri]).toEqual([200, history.body.id, uri]);
    expect(body.messages.at(0)).toEqual({ user, message: 'hello' });
    expect(body.messages.at(-1)).toEqual({ user, message });
  });

  it('should sign in, page, edit and delete in the posts app', async () => {
    const json = { username: 'poster', password: PASSWORD };
    await browse(AXIOS, { call: 'POST /auth/users/create/', json });
    const login = await browse(AXIOS, { call: 'POST /api/auth/obtain_token/', json });
    expect(login).toEqual({ status: 200, body: { token: expect.any(String) } });
    const jwt = `JWT ${login.body.token}`;
    expect(await browse(AXIOS, { call: 'GET /api/account/' }, jwt)).toEqual({
      status: 200,
      body: {
        pk: expect.any(Number),
        username: 'poster',
        email: '',
        is_staff: false,
        is_superuser: false,
        is_active: true,
        avatar: null,
      },
    });
    await app.sql('DELETE FROM "Post"');
    const posts: { id: number }[] = [];
    for (const title of ['one', 'two', 'three']) {
      const answer = await browse(AXIOS, { call: 'POST /api/posts/', json: { title, content: 'c' } }, jwt);
      const times = { created_at: expect.stringMatching(TIME), updated_at: expect.stringMatching(TIME) };
      expect(answer).toEqual({ status: 201, body: { id: expect.any(Number), title, content: 'c', ...times } });
      posts.push(answer.body);
    }
    const [one, two, three] = posts;
    const get = (path: string) => browse(AXIOS, { call: `GET ${path}` }, jwt);
    const next = `${app.url}/api/posts?limit=2&offset=2&ordering=-id`;
    expect(await get('/api/posts?limit=2&offset=0&ordering=-id')).toEqual({
      status: 200,
      body: { count: 3, next, previous: null, results: [three, two] },
    });
    expect(await get(next.replace(app.url, ''))).toEqual({
      status: 200,
      body: { count: 3, next: null, previous: `${app.url}/api/posts?limit=2&ordering=-id`, results: [one] },
    });
    expect(await get('/api/posts/')).toEqual({ status: 200, body: [one, two, three] });

    const item = `/api/posts/${one?.id}/`;
    const edited = await browse(AXIOS, { call: `PATCH ${item}`, json: { title: 'edited' } }, jwt);
    expect(edited).toEqual({ status: 200, body: { ...one, title: 'edited', updated_at: expect.stringMatching(TIME) } });
    expect(await get(item)).toEqual(edited);
    expect(await browse(AXIOS, { call: `DELETE ${item}` }, jwt)).toEqual({ status: 204, body: null });
    expect(await get(item)).toEqual({ status: 404, body: NOT_FOUND });
    // A later login sends the old token along.
    const later = await browse(AXIOS, { call: 'POST /api/auth/obtain_token/', json }, 'JWT of.old.times');
    expect(later).toEqual({ status: 200, body: { token: expect.any(String) } });
  });
});
