import { once } from 'node:events';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { DEFECT, INSIDES } from '../kit/person.ts';
import { ON_POSTGRES } from '../kit/postgres.ts';
import { among, request, URI } from './arbitraries.ts';
import { JSON_TYPE, PASSWORD, perform, type Received, type Sent, send } from './wire.ts';

/** Requests of one run, which go out together. */
const AT_ONCE = 50;
/** What the database has to do with it shows in fewer. */
const RUNS = ON_POSTGRES ? 100 : 200;
/** How many of the requests with a body must have been carried out, in each run on average. */
const LEAST_DONE = 2.5;
const RAW_RUNS = 1_500;
const TIMEOUT_MS = 240_000;
const DEADLINE_MS = 10_000;

let app: TestApp;
let token: string;
let credentials: string[];
let kept: unknown;
let ownPost: string;
const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });

/** Rows that no request may touch: they are somebody's who sends none. */
async function rowsOfOthers(): Promise<unknown> {
  const theirs = [
    ...['Todo', 'TodoList', 'Note', 'ChatSession'].map((table) => [table, 'ownerId']),
    ...[
      ['Post', 'authorId'],
      ['ChatMessage', 'userId'],
      ['ChatMember', 'userId'],
    ],
  ].map(([table, column]) =>
    app.sql(`SELECT * FROM "${table}" WHERE "${column}" = (SELECT "id" FROM "User" WHERE "username" = 'owner')`),
  );
  return Promise.all([...theirs, app.sql(`SELECT * FROM "User" WHERE "username" = 'owner'`)]);
}

beforeAll(async () => {
  app = await startApp({ POSTS_WRITABLE: 'true', MAX_FAILED_SIGN_INS: '1000000', BODY_LIMIT_BYTES: '20000' });
  const owner = await app.signUp('owner');
  const ann = await app.signUp('ann');
  for (const person of [owner, ann, app.anonymous]) {
    await person.gql(`mutation {
      createTodo(input: { title: "t" }) { __typename }
      createNote(input: { title: "n", description: "", priority: 1 }) { __typename }
    }`);
  }
  await ann.gql('mutation { createPost(input: { title: "t", content: "c" }) { __typename } createChatSession { id } }');
  await app.sql('UPDATE "ChatSession" SET "uri" = ?', URI);
  const made = await owner.gql(`mutation {
    createPost(input: { title: "t", content: "c" }) { ... on Post { databaseId } }
    createTodoList(input: { name: "l" }) { __typename }
    createChatSession { __typename }
    joinChat(uri: "${URI}") { __typename }
    sendMessage(uri: "${URI}", message: "from the owner") { __typename }
  }`);
  ownPost = String(made.createPost.databaseId);
  token = (ann.authorization ?? '').split(' ')[1] ?? '';
  const { createAuthToken } = await app.anonymous.gql(
    `mutation { createAuthToken(input: { username: "ann", password: "${PASSWORD}" }) { ... on AuthTokenKey { authToken } } }`,
  );
  credentials = [`JWT ${token}`, `Bearer ${token}`, `Token ${createAuthToken.authToken}`];
  kept = await rowsOfOthers();
  expect(JSON.stringify(kept)).toContain('from the owner');
});
afterAll(async () => {
  agent.destroy();
  await app.close();
});

/** Puts in the credentials, which are others each time the test runs. */
function withCredential(sent: Sent): Sent {
  const { authorization, ...rest } = sent.headers ?? {};
  const known = (stated: string) => stated.replace(/^#(\d)$/, (_, index) => credentials[Number(index)] ?? '');
  const filled = Array.isArray(authorization) ? authorization.map(known) : known(String(authorization));
  const body = typeof sent.body === 'string' ? sent.body.replace('THE-TOKEN', token) : sent.body;
  return {
    ...sent,
    headers: authorization === undefined ? rest : { ...rest, authorization: filled },
    ...(body !== undefined && { body }),
  };
}

/** Answers that have nothing to say. */
const isSilent = (method: string, status: number): boolean =>
  method === 'HEAD' || status === 204 || (status === 201 && method === 'POST') || status === 405;

function expectSound({ status, headers, text }: Received, { method, path }: Sent): void {
  const summary = `${method} ${path}: ${status} ${text.slice(0, 300)}`;
  expect(status, summary).toBeLessThan(500);
  expect(text, summary).not.toMatch(INSIDES);
  expect(text, summary).not.toMatch(DEFECT);
  const type = String(headers['content-type'] ?? '');
  if (/^\/(api|auth|notes)(\/|\?|$)/.test(path) && !(text === '' && isSilent(method, status))) {
    expect(type, summary).toBe(JSON_TYPE);
  }
  if (type.includes('json') && method !== 'HEAD') {
    expect(() => JSON.parse(text), summary).not.toThrow();
  }
}

/** That all is as it was for somebody who had nothing to do with it. */
async function expectUnharmed(): Promise<void> {
  expect(await rowsOfOthers()).toEqual(kept);
  const json = { username: 'owner', password: PASSWORD };
  const login = await perform({ call: 'POST /auth/obtain_token/', json }, { url: app.url });
  expect(login.status).toBe(200);
  const headers = { authorization: `JWT ${JSON.parse(login.text).token}` };
  const read = async (path: string) => {
    const { status, text } = await perform({ call: `GET ${path}`, headers }, { url: app.url });
    return { status, body: JSON.parse(text) };
  };
  const { status, body } = await read(`/api/posts/${ownPost}/`);
  expect({ status, body }).toMatchObject({ status: 200, body: { id: Number(ownPost), title: 't', content: 'c' } });
  const posts = await read('/api/posts/');
  expect(posts.status).toBe(200);
  expect(posts.body).toContainEqual(body);
  const { messages } = (await read(`/api/chats/${URI}/messages/?limit=1`)).body;
  expect(messages).toHaveLength(1);
  expect((await fetch(`${app.url}/ready`)).status).toBe(200);
}

describe('whatever is sent', () => {
  it('should be answered, and not with a failure of ours', { timeout: TIMEOUT_MS }, async () => {
    let done = 0;
    const property = fc.asyncProperty(
      fc.array(request, { minLength: AT_ONCE, maxLength: AT_ONCE }),
      async (requests) => {
        const sent = requests.map(withCredential);
        const received = await Promise.all(sent.map((one) => send(app.url, { ...one, agent })));
        for (const [index, answer] of received.entries()) {
          expectSound(answer, sent[index] as Sent);
          done += answer.status < 300 && sent[index]?.body !== undefined ? 1 : 0;
        }
      },
    );
    await fc.assert(property, { numRuns: RUNS, endOnFailure: true });
    // Requests that all fail before the handler would not test the handler.
    expect(done).toBeGreaterThan(LEAST_DONE * RUNS);
    await expectUnharmed();
  });

  it('should be answered or cut off where it is not even HTTP', { timeout: TIMEOUT_MS }, async () => {
    const start = among('GET / HTTP/1.1|POST /notes HTTP/1.1|GET /ws/subscribe/ HTTP/1.1|PATCH /api/todos/1 HTTP/1.0');
    const line = fc.oneof(
      start,
      among('Host: x|Content-Length: 5|Content-Length: -1|Content-Length: 99999999999999|Expect: 100-continue||5'),
      among('Transfer-Encoding: chunked|Transfer-Encoding: gzip, chunked|ffffffffffff|{"title":"x"}'),
      among(
        'Upgrade: websocket|Connection: Upgrade|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      ),
      fc.string({ unit: 'binary', maxLength: 30 }),
    );
    const head = fc.tuple(fc.oneof({ weight: 4, arbitrary: start }, { weight: 1, arbitrary: line }), fc.array(line));
    const { hostname, port } = new URL(app.url);
    const property = fc.asyncProperty(head, async ([first, lines]) => {
      const socket = connect(Number(port), hostname);
      let response = '';
      socket.setEncoding('latin1').on('data', (chunk) => {
        response += chunk;
      });
      socket.on('error', () => undefined);
      const closed = once(socket, 'close', { signal: AbortSignal.timeout(DEADLINE_MS) });
      socket.end(`${[first, ...lines].join('\r\n')}\r\n\r\n`);
      await closed;
      expect(response).toMatch(/^(HTTP\/1\.1 [1-5]|$)/);
      expect(response).not.toMatch(/HTTP\/1\.1 5(?!05)/);
      expect(response).not.toMatch(INSIDES);
      expect(response).not.toMatch(DEFECT);
    });
    await fc.assert(property, { numRuns: RAW_RUNS, endOnFailure: true });
    await expectUnharmed();
  });
});
