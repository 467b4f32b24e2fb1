import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import {
  contract,
  NO_NULS,
  NOT_BLANK,
  NOT_FOUND,
  NOT_NULL,
  NOT_TEXT,
  PASSWORD,
  perform,
  REQUIRED,
  type Row,
  tooLong,
  type World,
} from './wire.ts';

const LIST = { allow: 'POST, PATCH, OPTIONS', challenge: 'Token' };
const ITEM = { allow: 'PATCH, OPTIONS', challenge: 'Token' };
const MESSAGES = { allow: 'GET, POST, HEAD, OPTIONS', challenge: 'Token' };
const FORBIDDEN = { detail: 'You do not have permission to perform this action.' };
const NO_SUCH_USER = { username: ['User does not exist.'] };

let app: TestApp;
const world: World = {};

/** A user as chats show them. */
const shown = (username: string, more: Record<string, string> = {}) => ({
  id: world[`${username}Id`],
  username,
  email: '',
  first_name: '',
  last_name: '',
  ...more,
});

const ann = () => shown('ann', { email: 'ann@example.com', first_name: 'Änn', last_name: "O'Neill" });

async function ask(call: string, as: string | null, json?: unknown) {
  const { status, text } = await perform({ call, ...(as && { as }), ...(json !== undefined && { json }) }, world);
  return { status, body: JSON.parse(text) };
}

/** A new chat of ann's with these members, under a name in the world. */
async function openChat(name: string, ...members: readonly string[]): Promise<void> {
  world[name] = (await ask('POST /api/chats/', 'ann')).body.uri;
  for (const username of members) {
    await ask(`PATCH /api/chats/${world[name]}/`, 'ann', { username });
  }
}

beforeAll(async () => {
  app = await startApp();
  world['url'] = app.url;
  for (const name of ['ann', 'ben', 'cleo', 'dora', 'closed']) {
    world[name] = (await app.signUp(name)).authorization;
  }
  world['root'] = (await app.signUpStaff('root')).authorization;
  await app.sql(
    `UPDATE "User" SET "email" = 'ann@example.com', "firstName" = 'Änn', "lastName" = 'O''Neill' WHERE "username" = 'ann'`,
  );
  for (const { id, username } of await app.sql('SELECT "id", "username" FROM "User"')) {
    world[`${username}Id`] = id;
  }
  await app.sql('UPDATE "User" SET "isActive" = ? WHERE "username" = ?', false, 'closed');
  await openChat('chat', 'ben');
  const { body } = await ask('GET /api/chats/{chat}/messages/', 'ann');
  world['chatId'] = body.id;
});
afterAll(() => app.close());

describe('opening a chat', () => {
  const opened = /^\{"status":"SUCCESS","uri":"[0-9a-f]{12}4[0-9a-f]{2}","message":"New chat session created"\}$/;
  const opens = (name: string, parts: Partial<Row>): Row => ({
    name,
    call: 'POST /api/chats/',
    as: 'ann',
    status: 200,
    answer: opened,
    ...parts,
  });
  contract('answers', () => world, LIST, [
    opens('with a uri of its own', {}),
    opens('whatever the body says', { json: { uri: 'mine', owner: 7 } }),
    opens('whatever the form says', { form: 'uri=mine' }),
    opens('even a broken body', { raw: '{', headers: { 'content-type': 'application/json' } }),
    {
      name: 'nobody to PATCH',
      call: 'PATCH /api/chats/',
      as: 'ann',
      form: 'username=ben',
      status: 404,
      answer: NOT_FOUND,
    },
  ]);

  it('should give every chat another uri', async () => {
    const uris = await Promise.all(Array.from({ length: 20 }, () => ask('POST /api/chats/', 'ann')));
    expect(new Set(uris.map(({ body }) => body.uri)).size).toBe(20);
  });

  it.each(['JWT', 'Token', 'Bearer'])('should take a credential with %s in front', async (scheme) => {
    const login = { username: 'ann', password: PASSWORD };
    const { body } = await ask('POST /auth/token/create/', null, login);
    const token = scheme === 'Token' ? body.auth_token : String(world['ann']).split(' ')[1];
    const me = { ...world, me: `${scheme} ${token}` };
    expect((await perform({ call: 'POST /api/chats/', as: 'me' }, me)).status).toBe(200);
  });
});

describe('joining a chat', () => {
  const refused = (name: string, parts: Partial<Row>): Row => ({
    name,
    call: 'PATCH /api/chats/{chat}/',
    as: 'ann',
    status: 400,
    ...parts,
  });

  it('should list the owner first, then the members in the order of joining, however often somebody joins', async () => {
    await openChat('order');
    const join = async (as: string, username: string) => ask('PATCH /api/chats/{order}/', as, { username });
    const answer = (username: string, ...members: readonly string[]) => ({
      status: 200,
      body: {
        status: 'SUCCESS',
        members: [ann(), ...members.map((name) => shown(name))],
        message: `${username} joined the chat`,
        user: username === 'ann' ? ann() : shown(username),
      },
    });
    expect(await join('dora', 'dora')).toEqual(answer('dora', 'dora'));
    expect(await join('dora', 'ben')).toEqual(answer('ben', 'dora', 'ben'));
    expect(await join('ann', 'cleo')).toEqual(answer('cleo', 'dora', 'ben', 'cleo'));
    // The same again changes nothing, nor does the owner become a member.
    expect(await join('ben', 'ben')).toEqual(answer('ben', 'dora', 'ben', 'cleo'));
    expect(await join('ann', 'dora')).toEqual(answer('dora', 'dora', 'ben', 'cleo'));
    expect(await join('ann', 'ann')).toEqual(answer('ann', 'dora', 'ben', 'cleo'));
    expect(await join('cleo', 'ann')).toEqual(answer('ann', 'dora', 'ben', 'cleo'));
    const [{ count } = {}] = await app.sql(
      'SELECT count(*) AS "count" FROM "ChatMember" WHERE "chatSessionId" = (SELECT "id" FROM "ChatSession" WHERE "uri" = ?)',
      world['order'],
    );
    expect(Number(count)).toBe(3);
  });

  it('should make one member of somebody who joins twenty times at once', async () => {
    await openChat('rush');
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => ask('PATCH /api/chats/{rush}/', 'ben', { username: 'ben' })),
    );
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 200, body: { members: [ann(), shown('ben')] } });
    }
  });

  it('should write its answer as the original did', async () => {
    const { text } = await perform({ call: 'PATCH /api/chats/{chat}/', as: 'ben', form: 'username=ben' }, world);
    const [owner, ben] = [JSON.stringify(ann()), JSON.stringify(shown('ben'))];
    expect(text).toBe(`{"status":"SUCCESS","members":[${owner},${ben}],"message":"ben joined the chat","user":${ben}}`);
  });

  const joins = (name: string, parts: Partial<Row>): Row => ({
    name,
    call: 'PATCH /api/chats/{chat}/',
    as: 'ben',
    status: 200,
    answer: /"message":"ben joined the chat"/,
    ...parts,
  });
  contract('takes', () => world, ITEM, [
    joins('a form', { form: 'username=ben' }),
    joins('JSON', { json: { username: 'ben' } }),
    joins('multipart', { parts: [['username', 'ben']] }),
    joins('the name in another case', { json: { username: 'BEN' } }),
    joins('spaces around the name', { json: { username: ' ben ' } }),
    joins('the last of repeated fields', { form: 'username=ann&username=ben' }),
    joins('more fields than it knows', { json: { username: 'ben', uri: 'x' } }),
  ]);

  contract('refuses', () => world, ITEM, [
    refused('a user who does not exist', { json: { username: 'nobody' }, answer: NO_SUCH_USER }),
    refused('an account that is closed', { form: 'username=closed', answer: NO_SUCH_USER }),
    refused('no name', { answer: { username: [REQUIRED] } }),
    refused('an empty name', { form: 'username=', answer: { username: [NOT_BLANK] } }),
    refused('null', { json: { username: null }, answer: { username: [NOT_NULL] } }),
    refused('a list', { json: { username: ['ben'] }, answer: { username: [NOT_TEXT] } }),
    refused('too long a name', { json: { username: 'x'.repeat(151) }, answer: { username: [tooLong(150)] } }),
    refused('a NUL', { json: { username: 'ben\0' }, answer: { username: [NO_NULS] } }),
    refused('somebody else’s name from a stranger', {
      as: 'dora',
      json: { username: 'ben' },
      status: 403,
      answer: FORBIDDEN,
    }),
    refused('a name that is nobody’s from a stranger', {
      as: 'dora',
      json: { username: 'nobody' },
      status: 403,
      answer: FORBIDDEN,
    }),
    refused('even staff who would add others', {
      as: 'root',
      json: { username: 'ben' },
      status: 403,
      answer: FORBIDDEN,
    }),
  ]);
});

const UNKNOWN = ['000000000000000', 'x', '0', '%00', '%ff', 'x'.repeat(300), "'; DROP TABLE x; --"].map(encodeURI);

describe('a chat that is not there', () => {
  const missing = (call: string, parts: Partial<Row> = {}): Row => ({
    name: call,
    call,
    as: 'ann',
    status: 404,
    answer: NOT_FOUND,
    ...parts,
  });
  contract(
    'is not found by PATCH',
    () => world,
    ITEM,
    UNKNOWN.map((uri) => missing(`PATCH /api/chats/${uri}/`, { form: 'username=ann' })),
  );
  contract('is not found by its messages', () => world, MESSAGES, [
    ...UNKNOWN.map((uri) => missing(`GET /api/chats/${uri}/messages/`)),
    ...UNKNOWN.map((uri) => missing(`POST /api/chats/${uri}/messages/`, { form: 'message=x' })),
  ]);
});

describe('a message', () => {
  const says = (name: string, parts: Partial<Row>, message: string): Row => ({
    name,
    call: 'POST /api/chats/{talk}/messages/',
    as: 'ben',
    status: 200,
    answer: `{"status":"SUCCESS","uri":"{talk}","message":${JSON.stringify(message)},"user":{"id":{benId},"username":"ben","email":"","first_name":"","last_name":""}}`,
    ...parts,
  });
  const refused = (name: string, parts: Partial<Row>, answer: unknown, status = 400): Row => ({
    name,
    call: 'POST /api/chats/{talk}/messages/',
    as: 'ben',
    ...parts,
    status,
    answer,
  });

  beforeAll(() => openChat('talk', 'ben'));

  contract('is said', () => world, MESSAGES, [
    says('by form', { form: 'message=Hello+there' }, 'Hello there'),
    says('by JSON', { json: { message: 'Hello there' } }, 'Hello there'),
    says('by multipart', { parts: [['message', 'Hello there']] }, 'Hello there'),
    says('as it is, spaces and line breaks included', { json: { message: '  a\r\n\tb  \n' } }, '  a\r\n\tb  \n'),
    says('of nothing but spaces', { json: { message: '   ' } }, '   '),
    says('in any script', { json: { message: 'Grüße 🍏 \u2028 مرحبا' } }, 'Grüße 🍏 \u2028 مرحبا'),
    says('with what means something elsewhere', { json: { message: '<b>"&amp;\\' } }, '<b>"&amp;\\'),
    says('of one character', { json: { message: 'x' } }, 'x'),
    says('of 2000 characters', { json: { message: '🍏'.repeat(2000) } }, '🍏'.repeat(2000)),
    says('that is a number', { json: { message: 4 } }, '4'),
  ]);

  contract('is refused', () => world, MESSAGES, [
    refused('without a text', {}, { message: [REQUIRED] }),
    refused('that is empty', { form: 'message=' }, { message: [NOT_BLANK] }),
    refused('of 2001 characters', { json: { message: 'x'.repeat(2001) } }, { message: [tooLong(2000)] }),
    refused('that is null', { json: { message: null } }, { message: [NOT_NULL] }),
    refused('that is an object', { json: { message: { text: 'x' } } }, { message: [NOT_TEXT] }),
    refused('that is true', { json: { message: true } }, { message: [NOT_TEXT] }),
    refused('with a NUL', { json: { message: 'a\0b' } }, { message: [NO_NULS] }),
    refused('with half a character', { json: { message: '\ud800' } }, { message: [NOT_TEXT] }),
    refused('from somebody who does not take part', { as: 'dora', form: 'message=x' }, FORBIDDEN, 403),
    refused('from staff who do not take part', { as: 'root', form: 'message=x' }, FORBIDDEN, 403),
  ]);

  contract('has no other method', () => world, MESSAGES, [
    refused('PUT', { call: 'PUT /api/chats/{talk}/messages/' }, { detail: 'Method "PUT" not allowed.' }, 405),
    refused('DELETE', { call: 'DELETE /api/chats/{talk}/messages/' }, { detail: 'Method "DELETE" not allowed.' }, 405),
  ]);
  contract('is not posted to the chat itself', () => world, ITEM, [
    refused(
      'POST',
      { call: 'POST /api/chats/{talk}/', form: 'message=x' },
      { detail: 'Method "POST" not allowed.' },
      405,
    ),
    refused('GET', { call: 'GET /api/chats/{talk}/' }, { detail: 'Method "GET" not allowed.' }, 405),
  ]);
});

describe('the history', () => {
  const SAID = Array.from({ length: 450 }, (_, index) => `message ${index}`);
  const entry = (username: string, message: string) => ({
    user: username === 'ann' ? ann() : shown(username),
    message,
  });
  const speaker = (index: number): string => (index % 2 === 0 ? 'ann' : 'ben');
  const entries = (from: number, to: number) =>
    SAID.slice(from, to).map((message, index) => entry(speaker(from + index), message));

  beforeAll(async () => {
    await openChat('long', 'ben');
    for (const [index, message] of SAID.entries()) {
      await ask('POST /api/chats/{long}/messages/', speaker(index), { message });
    }
    world['longId'] = (await ask('GET /api/chats/{long}/messages/?limit=1', 'ann')).body.id;
  }, 60_000);

  const reads = (name: string, query: string, answer: () => unknown): void => {
    it(name, async () => {
      const { status, body } = await ask(`GET /api/chats/{long}/messages/${query}`, 'ben');
      expect(status).toBe(200);
      expect(Object.keys(body)).toEqual(['id', 'uri', 'messages']);
      expect(body).toEqual({ id: world['longId'], uri: world['long'], messages: answer() });
    });
  };
  reads('should be all that was said, oldest first', '', () => entries(0, SAID.length));
  reads('should take no notice of a limit that is none', '?limit=0', () => entries(0, SAID.length));
  reads('should begin with the oldest page', '?limit=10', () => entries(0, 10));
  reads('should have at most 1000 messages', '?limit=5000', () => entries(0, SAID.length));

  contract('is refused', () => world, MESSAGES, [
    { name: 'to strangers', call: 'GET /api/chats/{long}/messages/', as: 'dora', status: 403, answer: FORBIDDEN },
    { name: 'to staff', call: 'GET /api/chats/{long}/messages/', as: 'root', status: 403, answer: FORBIDDEN },
    {
      name: 'after a cursor that is none',
      call: 'GET /api/chats/{long}/messages/?limit=2&cursor=x',
      as: 'ann',
      status: 400,
      answer: /^\{"detail":"[^"]+"\}$/,
    },
  ]);

  contract('of a new chat', () => world, MESSAGES, [
    {
      name: 'is empty',
      call: 'GET /api/chats/{chat}/messages/',
      as: 'ben',
      status: 200,
      answer: '{"id":{chatId},"uri":"{chat}","messages":[]}',
    },
  ]);

  it.each([1, 7, 100])('should be walked by its links, %i at a time, while more is said', async (limit) => {
    const seen: string[] = [];
    let path = `/api/chats/${world['long']}/messages/?limit=${limit}`;
    let pages = 0;
    while (path !== '' && seen.length < SAID.length) {
      const { status, text, headers } = await perform({ call: `GET ${path}`, as: 'ben' }, world);
      expect(status, text).toBe(200);
      seen.push(...JSON.parse(text).messages.map(({ message }: { message: string }) => message));
      path = (/^<([^>]+)>; rel="next"$/.exec(String(headers['link'] ?? ''))?.[1] ?? '').replace(app.url, '');
      pages += 1;
      if (pages % 5 === 0) {
        await ask('POST /api/chats/{long}/messages/', 'ann', { message: 'one more' });
      }
    }
    await app.sql('DELETE FROM "ChatMessage" WHERE "message" = ?', 'one more');
    expect(seen.slice(0, SAID.length)).toEqual(SAID);
  });
});
