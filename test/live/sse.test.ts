import { createClient, type ExecutionResult } from 'graphql-sse';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { SocketClient } from '../kit/socket.ts';
import { EventStream, endOfLog } from './streams.ts';

const WATCH = 'subscription ($after: String) { todoChanged(after: $after) { cursor action todo { title } } }';
const MAKE = 'mutation ($title: String!) { createTodo(input: { title: $title }) { __typename } }';
const COMPLETE = { id: null, event: 'complete', data: '' };
const URQL =
  'application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed';

let app: TestApp;
let ann: Person;
const streams: EventStream[] = [];

beforeAll(async () => {
  app = await startApp({ KEEP_ALIVE_MS: '100', USER_MAX_SOCKETS: '4' });
  ann = await app.signUp('ann');
});
afterAll(() => app.close());
afterEach(() => Promise.all(streams.splice(0).map((stream) => stream.close())));

async function open(query: string, options: { variables?: object; headers?: object; person?: Person } = {}) {
  const { variables = {}, headers = {}, person = ann } = options;
  const { authorization } = person;
  const stream = await EventStream.open(app.url, {
    query,
    variables: { ...variables },
    headers: { ...headers },
    authorization,
  });
  streams.push(stream);
  return stream;
}

const make = (title: string, person = ann): Promise<unknown> => person.gql(MAKE, { title });
const ask = (accept: string, query: string): Promise<Response> =>
  ann.fetch('/graphql', {
    method: 'POST',
    headers: { accept, 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });

describe('a stream', () => {
  it('should carry each event under its cursor', async () => {
    const stream = await open(WATCH, { variables: { after: await endOfLog(app) } });
    expect(stream.response.statusCode).toBe(200);
    expect(stream.response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': expect.stringContaining('no-store'),
      'access-control-allow-origin': '*',
      'x-request-id': expect.any(String),
    });
    await make('one\ntwo\r\n: three');
    const { id, event, data } = await stream.frames.next();
    const { todoChanged } = JSON.parse(data).data;
    expect(event).toBe('next');
    expect(todoChanged).toEqual({ action: 'CREATED', cursor: id, todo: { title: 'one\ntwo\r\n: three' } });
  });

  it('should carry its cursor also where the client asks for it by another name or not at all', async () => {
    const after = await endOfLog(app);
    const shapes = ['action', 'place: cursor', 'cursor: id place: cursor'];
    const opened = await Promise.all(
      shapes.map((shape) =>
        open(`subscription ($after: String) { todoChanged(after: $after) { ${shape} } }`, { variables: { after } }),
      ),
    );
    const reference = await open(WATCH, { variables: { after } });
    await make('x');
    const { id } = await reference.frames.next();
    for (const stream of opened) {
      expect((await stream.frames.next()).id).toBe(id);
    }
  });

  it('should go on after Last-Event-ID, whatever its variables say', async () => {
    const after = await endOfLog(app);
    const first = await open(WATCH, { variables: { after } });
    await make('one');
    await make('two');
    const { id } = await first.frames.next();
    const second = await open(WATCH, { variables: { after }, headers: { 'last-event-id': id } });
    expect(await second.event()).toMatchObject({ todo: { title: 'two' } });
    const third = await open(WATCH, { variables: { after }, headers: { 'last-event-id': '' } });
    expect(await third.event()).toMatchObject({ todo: { title: 'one' } });
  });

  it('should say now and then that it is alive', async () => {
    const stream = await open(WATCH);
    const before = stream.comments;
    await expect.poll(() => stream.comments - before, { timeout: 5000 }).toBeGreaterThan(3);
    expect(stream.frames.drain()).toEqual([]);
  });

  it('should be read by fetch as it comes', async () => {
    const response = await ask('text/event-stream', 'subscription { todoChanged { todo { title } } }');
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('"by fetch"')) {
      await make('by fetch');
      text += (await reader?.read())?.value ?? '';
    }
    expect(text).toMatch(/event: next\ndata: \{"data":\{"todoChanged":\{"todo":\{"title":"by fetch"\}\}\}\}\n\n/);
    await reader?.cancel();
  });

  it('should answer a query or mutation and complete', async () => {
    const query = await open('{ viewer { username } }');
    expect(await query.result()).toEqual({ data: { viewer: { username: 'ann' } } });
    expect(await query.frames.next()).toEqual(COMPLETE);
    const mutation = await open(MAKE, { variables: { title: 'x' } });
    expect(await mutation.result()).toEqual({ data: { createTodo: { __typename: 'Todo' } } });
    expect(await mutation.frames.next()).toEqual(COMPLETE);
    await Promise.all([query.ended, mutation.ended]);
  });

  it.each([
    ['a syntax error', 'subscription {', {}, 'GRAPHQL_PARSE_FAILED'],
    ['an unknown field', 'subscription { nothing { id } }', {}, 'GRAPHQL_VALIDATION_FAILED'],
    ['a malformed cursor', WATCH, { after: 'junk' }, 'BAD_CURSOR'],
    ['the cursor of another log', WATCH, { after: '0123456789abcdef:0-0' }, 'RESYNC_REQUIRED'],
    ['an unknown chat', 'subscription { chatMessageChanged(uri: "0123456789abcde") { id } }', {}, 'NOT_FOUND'],
    ['a failing query', '{ nodes(ids: ["junk"]) { id } }', {}, 'BAD_INPUT'],
  ])('should report %s and complete', async (_what, query, variables, code) => {
    const stream = await open(query, { variables });
    const { errors } = await stream.result();
    expect(errors[0].message).toEqual(expect.any(String));
    expect(errors[0].extensions?.code).toBe(code);
    expect(await stream.frames.next()).toEqual(COMPLETE);
    await stream.ended;
  });

  it('should report a missing or refused credential and complete', async () => {
    for (const person of [app.anonymous, ann.with('Bearer junk'), ann.with('Token 0')]) {
      const stream = await open('subscription { postChanged { id } }', { person });
      expect(stream.response.statusCode).toBe(200);
      expect(await stream.result()).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
      expect(await stream.frames.next()).toEqual(COMPLETE);
    }
  });

  it('should count among what a user may keep open, and only while it is', async () => {
    const ben = await app.signUp('ben');
    const socket = await SocketClient.open(app.url, ben.authorization);
    const [first] = [
      await open(WATCH, { person: ben }),
      await open(WATCH, { person: ben }),
      await open(WATCH, { person: ben }),
    ];
    const refused = await open(WATCH, { person: ben });
    expect(await refused.result()).toMatchObject({ errors: [{ extensions: { code: 'RATE_LIMITED' } }] });
    expect(await refused.frames.next()).toEqual(COMPLETE);
    await expect(SocketClient.open(app.url, ben.authorization)).rejects.toThrow('4429');
    await first.close();
    const seen = async (): Promise<boolean> => {
      const stream = await open('{ viewer { username } }', { person: ben });
      return (await stream.result()).data !== undefined;
    };
    while (!(await seen())) {}
    const strangers = await Promise.all(Array.from({ length: 6 }, () => open(WATCH, { person: app.anonymous })));
    expect(strangers.map(({ frames }) => frames.drain())).toEqual(Array(6).fill([]));
    await socket.close();
  });
});

describe('what a client accepts', () => {
  const SUBSCRIPTION = 'subscription { todoChanged { id } }';

  it.each([
    ['*/*', SUBSCRIPTION, 200, 'text/event-stream'],
    ['text/event-stream', SUBSCRIPTION, 200, 'text/event-stream'],
    ['text/event-stream', '{ __typename }', 200, 'text/event-stream'],
    [URQL, SUBSCRIPTION, 200, 'text/event-stream'],
    [URQL, '{ __typename }', 200, 'application/graphql-response+json'],
    ['*/*', '{ __typename }', 200, 'application/'],
    ['multipart/mixed', '{ __typename }', 200, 'multipart/mixed'],
    ['application/json', SUBSCRIPTION, 406, ''],
    ['application/graphql-response+json', SUBSCRIPTION, 406, ''],
    [URQL, '{ broken', 400, 'application/graphql-response+json'],
  ])('should decide, for %s and %s, on %i', async (accept, query, status, type) => {
    const response = await ask(accept, query);
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type') ?? '').toContain(type);
    await response.body?.cancel();
  });

  it('should make no difference to what HTTP says of a broken document afterwards', async () => {
    const query = 'subscription { broken at a place of its own';
    await (await ask('text/event-stream', query)).text();
    const response = await ask('application/graphql-response+json', query);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'GRAPHQL_PARSE_FAILED' } }] });
  });

  it('should be a stream for a GET, but never of a mutation', async () => {
    const titles = async (): Promise<unknown> =>
      (await ann.gql('{ todos(filter: { titleContains: "forged" }) { totalCount } }')).todos;
    const mutation = 'mutation { createTodo(input: { title: "forged" }) { __typename } }';
    for (const accept of ['text/event-stream', '*/*', URQL]) {
      const response = await ann.fetch(`/graphql?query=${encodeURIComponent(mutation)}`, { headers: { accept } });
      const text = await response.text();
      expect(text).toContain('errors');
      expect(response.status === 405 || text.includes('event: complete')).toBe(true);
    }
    expect(await titles()).toEqual({ totalCount: 0 });
    const query = encodeURIComponent('{ viewer { username } }');
    const response = await ann.fetch(`/graphql?query=${query}`, { headers: { accept: 'text/event-stream' } });
    expect(await response.text()).toContain('event: next\ndata: {"data":{"viewer":{"username":"ann"}}}\n\n');
  });
});

describe('graphql-sse', () => {
  it('should get events, errors and the end', async () => {
    const client = createClient({
      url: `${app.url}/graphql`,
      headers: () => ({ authorization: ann.authorization ?? '' }),
      retryAttempts: 0,
    });
    const after = await endOfLog(app);
    await make('for graphql-sse');
    for await (const { data } of client.iterate<{ todoChanged: { todo: { title: string } } }>({
      query: WATCH,
      variables: { after },
    })) {
      expect(data?.todoChanged.todo.title).toBe('for graphql-sse');
      break;
    }
    const results: ExecutionResult[] = [];
    for await (const result of client.iterate({ query: '{ viewer { username } }' })) {
      results.push(result as ExecutionResult);
    }
    for await (const result of client.iterate({ query: WATCH, variables: { after: 'junk' } })) {
      results.push(result as ExecutionResult);
    }
    expect(results).toMatchObject([
      { data: { viewer: { username: 'ann' } } },
      { errors: [{ extensions: { code: 'BAD_CURSOR' } }] },
    ]);
    client.dispose();
  });
});
