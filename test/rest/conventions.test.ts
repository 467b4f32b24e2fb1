import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { contract, JSON_TYPE, NO_CREDENTIALS, NOT_FOUND, perform, type Row, type World } from './wire.ts';

const NOT_ACCEPTABLE = { detail: 'Could not satisfy the request Accept header.' };
const JWT = 'JWT realm="api"';

let app: TestApp;
const world: World = {};

beforeAll(async () => {
  app = await startApp({ POSTS_WRITABLE: 'true' });
  const ann = await app.signUp('ann');
  Object.assign(world, { url: app.url, ann: ann.authorization });
  const made = await ann.gql(`mutation {
    createPost(input: { title: "t", content: "c" }) { ... on Post { databaseId } }
    createChatSession { ... on ChatSession { uri } }
  }`);
  const { createTodo, createNote } = await app.anonymous.gql(`mutation {
    createTodo(input: { title: "t" }) { ... on Todo { databaseId } }
    createNote(input: { title: "t", description: "d", priority: 1 }) { ... on Note { databaseId } }
  }`);
  world['post'] = made.createPost.databaseId;
  world['uri'] = made.createChatSession.uri;
  Object.assign(world, { todo: createTodo.databaseId, note: createNote.databaseId });
});
afterAll(() => app.close());

/** Every path of `/auth` and `/api` but todos: what it allows, whether a credential is needed, and what a 401 names. */
const VIEWS: readonly (readonly [path: string, allow: string, closed: boolean, challenge?: string])[] = [
  ['/auth/obtain_token/', 'POST, OPTIONS', false],
  ['/auth/refresh_token/', 'POST, OPTIONS', false],
  ['/auth/verify_token/', 'POST, OPTIONS', false],
  ['/auth/jwt/create/', 'POST, OPTIONS', false],
  ['/auth/jwt/refresh/', 'POST, OPTIONS', false],
  ['/auth/jwt/verify/', 'POST, OPTIONS', false],
  ['/api/auth/obtain_token/', 'POST, OPTIONS', false],
  ['/api/auth/refresh_token/', 'POST, OPTIONS', false],
  ['/api/auth/verify_token/', 'POST, OPTIONS', false],
  ['/auth/users/create/', 'POST, OPTIONS', false],
  ['/auth/token/create/', 'POST, OPTIONS', false],
  ['/auth/token/destroy/', 'POST, OPTIONS', true, 'Token'],
  ['/auth/me/', 'GET, PUT, PATCH, HEAD, OPTIONS', true, 'Token'],
  ['/auth/username/', 'POST, OPTIONS', true, 'Token'],
  ['/auth/password/', 'POST, OPTIONS', true, 'Token'],
  ['/auth/users/delete/', 'POST, OPTIONS', true, 'Token'],
  ['/api/account/', 'GET, HEAD, OPTIONS', true, JWT],
  ['/api/posts/', 'GET, POST, HEAD, OPTIONS', true, JWT],
  ['/api/posts/{post}/', 'GET, PUT, PATCH, DELETE, HEAD, OPTIONS', true, JWT],
  ['/api/chats/', 'POST, PATCH, OPTIONS', true, 'Token'],
  ['/api/chats/{uri}/', 'PATCH, OPTIONS', true, 'Token'],
  ['/api/chats/{uri}/messages/', 'GET, POST, HEAD, OPTIONS', true, 'Token'],
];
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND'];

for (const [path, allow, closed, challenge] of VIEWS) {
  const shared = { allow, ...(challenge && { challenge }) };
  const wrong = METHODS.filter((method) => !allow.split(', ').includes(method));
  const [method = 'GET'] = allow.split(', ').filter((each) => each !== 'HEAD');
  contract(`${path} answers`, () => world, shared, [
    {
      name: 'what it is to OPTIONS',
      call: `OPTIONS ${path}`,
      as: 'ann',
      status: 200,
      answer:
        /^\{"name":"[^"]+","description":"[^"]+","renders":\["application\/json"\],"parses":\["application\/json","application\/x-www-form-urlencoded","multipart\/form-data"\]\}$/,
    },
    ...wrong.map(
      (each): Row => ({
        name: `no ${each}`,
        call: `${each} ${path}`,
        as: 'ann',
        status: 405,
        ...(each !== 'HEAD' && { answer: { detail: `Method "${each}" not allowed.` } }),
      }),
    ),
    {
      name: 'no other format, before who asks',
      call: `${method} ${path}?format=api`,
      status: 404,
      answer: NOT_FOUND,
    },
    { name: 'OPTIONS in JSON', call: `OPTIONS ${path}?format=json`, as: 'ann', status: 200, answer: /"renders"/ },
    {
      name: 'no XML',
      call: `${method} ${path}`,
      as: 'ann',
      headers: { accept: 'application/xml' },
      status: 406,
      answer: NOT_ACCEPTABLE,
    },
    {
      name: 'no XML to OPTIONS',
      call: `OPTIONS ${path}`,
      as: 'ann',
      headers: { accept: 'text/html' },
      status: 406,
      answer: NOT_ACCEPTABLE,
    },
    {
      name: 'of what it can’t send before who asks',
      call: `DELETE ${path}`,
      headers: { accept: 'image/png' },
      raw: '{',
      status: 406,
      answer: NOT_ACCEPTABLE,
    },
    ...(closed
      ? [...METHODS, 'OPTIONS'].map(
          (each): Row => ({
            name: `nobody’s ${each}, before it looks at method and body`,
            call: `${each} ${path}`,
            headers: { 'content-type': 'text/plain' },
            ...(!['GET', 'HEAD', 'TRACE'].includes(each) && { raw: '{' }),
            status: 401,
            ...(each !== 'HEAD' && { answer: NO_CREDENTIALS }),
          }),
        )
      : []),
  ]);
}

describe('HEAD', () => {
  it.each([
    '/auth/me/',
    '/api/account/',
    '/api/posts/',
    '/api/posts?limit=1',
    '/api/posts?limit=1&cursor=',
    '/api/posts/{post}/',
    '/api/posts/0/',
    '/api/chats/{uri}/messages/',
    '/api/chats/x/messages/',
    '/notes',
    '/notes/{note}',
    '/notes/0',
  ])('should have the headers of GET, and no body: %s', async (path) => {
    const [get, head] = await Promise.all(
      ['GET', 'HEAD'].map((method) => perform({ call: `${method} ${path}`, as: 'ann' }, world)),
    );
    const described = ({ status, headers }: Awaited<ReturnType<typeof perform>>) => [
      status,
      headers['content-type'],
      headers.allow,
      headers['link'],
    ];
    expect(get && described(get)).toEqual(head && described(head));
    expect(head?.text).toBe('');
  });
});

describe('the format parameter', () => {
  contract('chooses JSON or nothing', () => world, {}, [
    ...['?format=json', '?format=', '?format=xml&format=json'].map(
      (query): Row => ({
        name: query,
        call: `GET /api/posts/{post}/${query}`,
        as: 'ann',
        status: 200,
        answer: /"title":"t"/,
      }),
    ),
    ...['?format=JSON', '?format=xml', '?format=json&format=api', '?a=b&format=%00'].map(
      (query): Row => ({
        name: query,
        call: `GET /api/posts/{post}/${query}`,
        as: 'ann',
        status: 404,
        answer: NOT_FOUND,
      }),
    ),
    {
      name: 'not of todos',
      call: 'PATCH /api/todos/{todo}?format=xml',
      json: { completed: true },
      status: 200,
      answer: {},
    },
    { name: 'not of notes', call: 'GET /notes?format=xml', status: 200, answer: /"notes"/ },
  ]);
});

describe('leading zeros', () => {
  contract('are part of a number', () => world, {}, [
    { name: 'of a post', call: 'GET /api/posts/000{post}/', as: 'ann', status: 200, answer: /"title":"t"/ },
    { name: 'of a todo', call: 'PATCH /api/todos/00{todo}', json: { completed: true }, status: 200, answer: {} },
    { name: 'of a note', call: 'GET /notes/0{note}', status: 200, answer: /"title"/ },
    { name: 'of none', call: 'GET /api/posts/000/', as: 'ann', status: 404, answer: NOT_FOUND },
    { name: 'of a negative number', call: 'GET /api/posts/-01/', as: 'ann', status: 404, answer: NOT_FOUND },
  ]);
});

describe('an unknown path', () => {
  const paths = [
    '/nope',
    '/api/',
    '/auth/',
    '/api/post/',
    '/api/posts/1/x/',
    '/api/todos/',
    '/auth/obtain_tokens/',
    '/notes/1/2',
    '/API/posts/',
    '/api//posts/',
    '/api/chats/x/y/',
    '/%',
    '/%ff',
    '/api%2Fposts/',
    '/wp-admin/../api',
  ];
  contract('answers 404', () => world, {}, [
    ...paths.map((path): Row => ({ name: path, call: `GET ${path}`, status: 404, answer: NOT_FOUND })),
    ...['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'].map(
      (method): Row => ({ name: method, call: `${method} /nope`, status: 404, answer: NOT_FOUND }),
    ),
    { name: 'HEAD', call: 'HEAD /nope', status: 404, has: { 'content-type': JSON_TYPE } },
    {
      name: 'broken JSON',
      call: 'POST /nope',
      raw: '{',
      headers: { 'content-type': JSON_TYPE },
      status: 404,
      answer: NOT_FOUND,
    },
    {
      name: 'no JSON',
      call: 'POST /nope',
      raw: '<a/>',
      headers: { 'content-type': 'text/xml' },
      status: 404,
      answer: NOT_FOUND,
    },
    { name: 'what has no type', call: 'POST /nope', raw: 'x', status: 404, answer: NOT_FOUND },
    {
      name: 'a type that is none',
      call: 'POST /nope',
      raw: 'x',
      headers: { 'content-type': 'nonsense' },
      status: 404,
      answer: NOT_FOUND,
    },
    {
      name: 'whatever is accepted, except a page',
      call: 'GET /nope',
      headers: { accept: 'application/xml, text/html;q=0' },
      status: 404,
      answer: NOT_FOUND,
    },
    {
      name: 'whatever the credential',
      call: 'GET /nope',
      headers: { authorization: 'JWT garbage' },
      status: 404,
      answer: NOT_FOUND,
    },
  ]);
});
