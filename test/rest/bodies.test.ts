import { afterAll, beforeAll, describe } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import {
  type Call,
  contract,
  FORM_TYPE,
  indented,
  JSON_TYPE,
  NO_CREDENTIALS,
  NO_NULS,
  NOT_BLANK,
  NOT_FOUND,
  NOT_NULL,
  NOT_TEXT,
  PASSWORD,
  REQUIRED,
  type Row,
  tooLong,
  type World,
} from './wire.ts';

const BODY_LIMIT_BYTES = 500_000;

let app: TestApp;
const world: World = {};

beforeAll(async () => {
  app = await startApp({ POSTS_WRITABLE: 'true', BODY_LIMIT_BYTES: String(BODY_LIMIT_BYTES) });
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

describe('bodies', () => {
  const bare = { allow: 'POST, OPTIONS' };
  const call = 'POST /auth/verify_token/';
  const missing = { token: [REQUIRED] };
  const refused = (name: string, parts: Partial<Row>, answer: unknown, status = 400): Row => ({
    name,
    call,
    ...parts,
    status,
    answer,
  });
  const typed = (type: string, raw: string | Buffer): Pick<Call, 'headers' | 'raw'> => ({
    headers: { 'content-type': type },
    raw,
  });
  const garbage = { non_field_errors: ['Error decoding signature.'] };
  const notAnObject = (type: string) => ({
    non_field_errors: [`Invalid data. Expected a dictionary, but got ${type}.`],
  });
  const unsupported = (type: string) => ({ detail: `Unsupported media type "${type}" in request.` });

  const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le');

  contract('are read', () => world, bare, [
    ...[
      'application/json',
      'Application/JSON',
      'application/json; charset=utf-8',
      'application/json;charset=UTF-8',
      ' application/json ; x="y;z"',
    ].map((type) => refused(`as ${type}`, typed(type, '{"token":"x"}'), garbage)),
    ...[FORM_TYPE, `${FORM_TYPE}; charset=UTF-8`].map((type) => refused(`as ${type}`, typed(type, 'token=x'), garbage)),
    refused(
      'as multipart with a boundary in quotes',
      typed(
        'multipart/form-data; boundary="b c"',
        '--b c\r\nContent-Disposition: form-data; name="token"\r\n\r\nx\r\n--b c--\r\n',
      ),
      garbage,
    ),
    refused(
      'in pieces',
      { raw: '{"token":"x"}', headers: { 'content-type': JSON_TYPE, 'transfer-encoding': 'chunked' } },
      garbage,
    ),
    ...['utf-16', 'UTF-16', '"utf-16"', 'utf_16', 'utf-16le'].map((label) =>
      refused(`as JSON in ${label}`, typed(`application/json; charset=${label}`, utf16('{"token":"é"}')), garbage),
    ),
    refused(
      'as JSON in UTF-16 of the other byte order',
      typed('application/json; charset=utf-16', utf16('\ufeff{"token":"é"}').swap16()),
      garbage,
    ),
    ...['latin-1', 'latin1', 'ISO-8859-1', 'iso8859_1'].map((label) =>
      refused(
        `as JSON in ${label}`,
        typed(`application/json; charset=${label}`, Buffer.from('{"token":"é"}', 'latin1')),
        garbage,
      ),
    ),
    refused('as a form in UTF-16', typed(`${FORM_TYPE}; charset=utf-16`, utf16('token=x')), garbage),
    refused('as nothing when there is none', {}, missing),
    refused('as nothing when it is empty', typed(JSON_TYPE, ''), missing),
    refused('as nothing when it is an empty form', typed(FORM_TYPE, ''), missing),
    refused('as nothing when it is empty, whatever its type', typed('text/plain', ''), missing),
    refused(
      'with fields that nobody knows',
      { json: { __proto__: { token: 'x' }, constructor: 1, toString: null } },
      missing,
    ),
    refused('with the last of repeated fields', { form: 'token=&token=x' }, garbage),
    refused('with the last of repeated fields, empty', { form: 'token=x&token=' }, { token: [NOT_BLANK] }),
    refused(
      'with the last of repeated parts',
      {
        parts: [
          ['token', 'x'],
          ['token', ''],
        ],
      },
      { token: [NOT_BLANK] },
    ),
    refused('with the last of repeated names', typed(JSON_TYPE, '{"token":"x","token":null}'), { token: [NOT_NULL] }),
    refused(
      'with a file in place of a text',
      typed(
        'multipart/form-data; boundary=b',
        '--b\r\nContent-Disposition: form-data; name="token"; filename="f"\r\n\r\nx\r\n--b--\r\n',
      ),
      { token: [NOT_TEXT] },
    ),
  ]);

  contract('keep their characters', () => world, {}, [
    ...(
      [
        [`${JSON_TYPE}; charset=utf-16`, utf16('{"title":"é€👋","content":"c"}'), 'é€👋'],
        [`${JSON_TYPE}; charset=latin-1`, Buffer.from('{"title":"é\x80","content":"c"}', 'latin1'), 'é\x80'],
        [`${FORM_TYPE}; charset=latin-1`, Buffer.from('title=\xe9%E9+%C3&content=c', 'latin1'), 'éé Ã'],
        [`${FORM_TYPE}; charset=utf-16`, utf16('title=é%E9%00+€&content=c'), 'éé €'],
        [
          'multipart/form-data; boundary=b; charset=latin-1',
          Buffer.from(
            `${['title', 'content']
              .map((name) => `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n\xe9\r\n`)
              .join('')}--b--\r\n`,
            'latin1',
          ),
          'é',
        ],
      ] as const
    ).map(
      ([type, raw, title]): Row => ({
        name: type,
        call: 'POST /api/posts/',
        as: 'ann',
        ...typed(type, raw),
        status: 201,
        answer: new RegExp(`"title":"${title}"`),
      }),
    ),
    {
      name: 'of todos',
      call: 'PATCH /api/todos/{todo}',
      ...typed('text/plain; charset=utf-16', utf16('{"completed":true}')),
      status: 200,
      answer: {},
    },
    {
      name: 'of notes',
      call: 'PUT /notes/{note}',
      ...typed(
        'text/plain; charset=latin-1',
        Buffer.from('{"title":"é","description":"d","created_at":"","created_by":"","priority":1}', 'latin1'),
      ),
      status: 201,
      answer: /"title": "\\u00e9"/,
    },
  ]);

  contract('are refused', () => world, bare, [
    ...['application/json; charset=klingon', `${FORM_TYPE}; charset=utf-1`, 'application/json; charset=utf-7'].map(
      (type) => refused(`as ${type}`, typed(type, '{"token":"x"}'), unsupported(type), 415),
    ),
    refused(
      'as JSON that is not the UTF-16 of its label',
      typed('application/json; charset=utf-16', Buffer.from('{"x"}')),
      /^\{"detail":"JSON parse error - /,
    ),
    ...[
      'text/plain',
      'text/plain; charset=utf-8',
      'application/xml',
      'application/json2',
      'application/vnd.api+json',
      'nonsense',
      ';',
      'a/b/c',
    ].map((type) => refused(`as ${type}`, typed(type, '{"token":"x"}'), unsupported(type), 415)),
    refused('without a type', { raw: '{"token":"x"}' }, unsupported('text/plain'), 415),
    ...[
      '{',
      '{"token":"x"',
      "{'token':'x'}",
      'token=x',
      '{"token":"x",}',
      '\0',
      '{"token":"\n"}',
      '{}{}',
      '{"token":NaN}',
      'undefined',
    ].map((raw) =>
      refused(
        `as the JSON ${JSON.stringify(raw)}`,
        typed(JSON_TYPE, raw),
        /^\{"detail":"JSON parse error - [^\n]+"\}$/,
      ),
    ),
    refused(
      'as JSON that is not UTF-8',
      typed(JSON_TYPE, Buffer.from('{"token":"\xff"}', 'latin1')),
      /^\{"detail":"JSON parse error - /,
    ),
    refused(
      'as JSON that is too deep to be anything',
      typed(JSON_TYPE, '['.repeat(100_000)),
      /^\{"detail":"JSON parse error - /,
    ),
    refused('as a list', { json: [] }, notAnObject('list')),
    refused('as a list of objects', { json: [{ token: 'x' }] }, notAnObject('list')),
    refused('as a text', { json: 'token' }, notAnObject('str')),
    refused('as a number', { json: 7 }, notAnObject('int')),
    refused('as a fraction', { json: 0.5 }, notAnObject('float')),
    refused('as true', { json: true }, notAnObject('bool')),
    refused('as null', { json: null }, { non_field_errors: ['No data provided'] }),
    refused(
      'as multipart without a boundary',
      typed('multipart/form-data', '--b\r\n\r\n--b--'),
      /^\{"detail":"Multipart form parse error - /,
    ),
    refused(
      'as multipart with another boundary',
      typed('multipart/form-data; boundary=b', '--c\r\n\r\n--c--'),
      /^\{"detail":"Multipart form parse error - /,
    ),
    refused(
      'as broken multipart',
      typed('multipart/form-data; boundary=b', '--b\r\nContent-Disposition: form-data; name="token"\r\n\r\nx'),
      /^\{"detail":"Multipart form parse error - /,
    ),
  ]);

  const huge = JSON.stringify({ token: 'x'.repeat(BODY_LIMIT_BYTES) });
  const tooLarge = ([path, allow]: readonly [string, string | null]): Row[] => [
    {
      name: `${path} by its length`,
      call: `POST ${path}`,
      as: 'ann',
      ...typed(JSON_TYPE, huge),
      status: 413,
      answer: /^\{\s*"detail":\s*"[^"]+"\s*\}$/,
      has: { allow },
    },
    {
      name: `${path} in pieces`,
      call: `POST ${path}`,
      as: 'ann',
      raw: huge,
      headers: { 'content-type': JSON_TYPE, 'transfer-encoding': 'chunked' },
      status: 413,
      answer: /^\{\s*"detail":\s*"[^"]+"\s*\}$/,
      has: { allow },
    },
  ];
  contract(
    'are too large',
    () => world,
    {},
    (
      [
        ['/auth/verify_token/', 'POST, OPTIONS'],
        ['/api/posts/', 'GET, POST, HEAD, OPTIONS'],
        ['/api/chats/{uri}/messages/', 'GET, POST, HEAD, OPTIONS'],
        ['/notes', null],
      ] as const
    ).flatMap(tooLarge),
  );

  contract('are not looked at where none is needed', () => world, {}, [
    ...[
      typed(JSON_TYPE, '{'),
      typed('text/plain', 'x'),
      typed('nonsense', 'x'),
      { raw: '\0' },
      typed('multipart/form-data', 'x'),
    ].map(
      (parts): Row => ({
        name: JSON.stringify(parts),
        call: 'POST /api/chats/',
        as: 'ann',
        ...parts,
        status: 200,
        answer: /"SUCCESS"/,
      }),
    ),
    {
      name: 'with GET',
      call: 'GET /api/posts/{post}/',
      as: 'ann',
      ...typed('nonsense', '{'),
      status: 200,
      answer: /"title":"t"/,
    },
    {
      name: 'with DELETE',
      call: 'DELETE /api/posts/999999/',
      as: 'ann',
      ...typed('nonsense', '{'),
      status: 404,
      answer: NOT_FOUND,
    },
  ]);
  contract('are looked at last', () => world, {}, [
    {
      name: 'after the credential',
      call: 'POST /api/chats/{uri}/messages/',
      ...typed('nonsense', 'x'),
      status: 401,
      answer: NO_CREDENTIALS,
    },
    {
      name: 'after the method',
      call: 'PUT /api/chats/{uri}/messages/',
      as: 'ann',
      ...typed('nonsense', 'x'),
      status: 405,
      answer: { detail: 'Method "PUT" not allowed.' },
    },
    {
      name: 'after the right to the row',
      call: 'POST /api/chats/000000000000000/messages/',
      as: 'ann',
      ...typed('nonsense', 'x'),
      status: 404,
      answer: NOT_FOUND,
    },
  ]);
});

/** Every text field: its request, the others that it needs, its limit and what its rules leave out. */
interface TextField {
  readonly call: string;
  readonly field: string;
  readonly others?: Record<string, string>;
  readonly limit?: number;
  readonly optional?: true;
  readonly maybeBlank?: true;
}

const TEXTS: readonly TextField[] = [
  { call: 'POST /auth/obtain_token/', field: 'username', others: { password: 'x' } },
  { call: 'POST /auth/obtain_token/', field: 'password', others: { username: 'x' } },
  { call: 'POST /auth/verify_token/', field: 'token' },
  { call: 'POST /auth/refresh_token/', field: 'token' },
  { call: 'POST /auth/users/create/', field: 'username', others: { password: PASSWORD }, limit: 150 },
  { call: 'POST /auth/users/create/', field: 'password', others: { username: 'x' } },
  {
    call: 'POST /auth/users/create/',
    field: 'email',
    others: { username: 'x', password: PASSWORD },
    optional: true,
    maybeBlank: true,
  },
  { call: 'PATCH /auth/me/', field: 'email', optional: true, maybeBlank: true },
  { call: 'POST /auth/username/', field: 'new_username', others: { current_password: PASSWORD }, limit: 150 },
  { call: 'POST /auth/username/', field: 'current_password', others: { new_username: 'x' } },
  { call: 'POST /auth/password/', field: 'new_password', others: { current_password: PASSWORD } },
  { call: 'POST /auth/password/', field: 'current_password', others: { new_password: PASSWORD } },
  { call: 'POST /auth/users/delete/', field: 'current_password' },
  { call: 'POST /api/posts/', field: 'title', others: { content: 'x' }, limit: 50 },
  { call: 'POST /api/posts/', field: 'content', others: { title: 'x' }, limit: 100_000 },
  { call: 'PUT /api/posts/{post}/', field: 'title', others: { content: 'x' }, limit: 50 },
  { call: 'PATCH /api/posts/{post}/', field: 'content', limit: 100_000, optional: true },
  { call: 'PATCH /api/chats/{uri}/', field: 'username', limit: 150 },
  { call: 'POST /api/chats/{uri}/messages/', field: 'message', limit: 2000 },
  { call: 'POST /notes', field: 'title', others: { description: 'd', priority: '1' }, limit: 50 },
  { call: 'POST /notes', field: 'description', others: { title: 't', priority: '1' }, limit: 50, maybeBlank: true },
  {
    call: 'POST /notes',
    field: 'created_at',
    others: { title: 't', description: 'd', priority: '1' },
    limit: 50,
    optional: true,
    maybeBlank: true,
  },
  {
    call: 'PUT /notes/{note}',
    field: 'created_by',
    others: { title: 't', description: 'd', priority: '1', created_at: '' },
    limit: 50,
    maybeBlank: true,
  },
];

describe.each(TEXTS)('the text $field of $call', ({ call, field, others, limit, optional, maybeBlank }) => {
  const refused = (name: string, value: unknown, sentence: string): Row => ({
    name,
    call,
    as: 'ann',
    json: { ...others, [field]: value },
    status: 400,
    answer: { [field]: [sentence] },
  });
  const shared = call.includes('/notes') ? { write: indented } : {};
  contract(
    'may not',
    () => world,
    shared,
    [
      ...[true, false, [], ['x'], {}, { x: 'y' }].map((value) =>
        refused(`be ${JSON.stringify(value)}`, value, NOT_TEXT),
      ),
      refused('be null', null, NOT_NULL),
      refused('have half a character', 'a\ud800b', NOT_TEXT),
      refused('have a NUL', 'abc\0def gh', NO_NULS),
      ...(optional ? [] : [refused('be missing', undefined, REQUIRED)]),
      ...(maybeBlank ? [] : [refused('be empty', '', NOT_BLANK)]),
      ...(maybeBlank || field === 'message' ? [] : [refused('be spaces', ' \t\n', NOT_BLANK)]),
      ...(limit ? [refused('be too long', '🍏'.repeat(limit + 1), tooLong(limit))] : []),
    ].filter(({ name }) => !(call.endsWith('create/') && field === 'username' && name === 'be too long')),
  );
});
