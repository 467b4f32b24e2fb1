import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { privateDatabase } from './kit/app.ts';
import { Person } from './kit/person.ts';
import { freePort, type ServerProcess, startProcess } from './kit/process.ts';
import { SocketClient } from './kit/socket.ts';

type Line = Readonly<Record<string, unknown>>;
type Init = Omit<RequestInit, 'headers'> & { readonly headers?: Record<string, string> };

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PASSWORD = 'a good long password';
const SIGN_UP = `mutation { signUp(input: { username: "ann", password: "${PASSWORD}" }) { __typename } }`;

const database = privateDatabase();
let server: ServerProcess;
let anonymous: Person;
let ann: Person;

beforeAll(async () => {
  server = await startProcess({
    DATABASE_URL: `file:${database.path}`,
    LOG_LEVEL: 'info',
    METRICS_PORT: '0',
    // Hashing a password takes longer on any machine.
    LOG_SLOW_MS: '5',
    TRUST_PROXY: '1',
  });
  anonymous = new Person(server.url, null, '', { 'x-forwarded-for': '192.0.2.7' });
  await anonymous.gql(SIGN_UP);
  ann = await anonymous.signIn('ann', PASSWORD);
});
afterAll(async () => {
  await server.stop();
  database.remove();
});

/** The lines of a process so far. */
function linesOf({ output }: ServerProcess): Line[] {
  const complete = output().split('\n').slice(0, -1);
  return complete.map((line) => JSON.parse(line) as Line);
}

/** Waits for a line with these fields. A slow machine may call any request slow. */
function line({ msg, ...fields }: Line): Promise<Line> {
  return vi.waitFor(() => {
    const found = linesOf(server).find(
      (each) =>
        (msg === undefined || each['msg'] === msg || each['msg'] === `slow ${msg}`) &&
        Object.entries(fields).every(([name, value]) => each[name] === value),
    );
    expect(found, `no line with ${JSON.stringify({ msg, ...fields })}`).toBeDefined();
    return found as Line;
  }, 5000);
}

/** Sends a request under an id, as a proxy does, and waits for its line. */
async function lineOf(person: Person, id: string, path: string, init: Init = {}): Promise<Line> {
  const response = await person.fetch(path, { ...init, headers: { ...init.headers, 'x-request-id': id } });
  expect(response.headers.get('x-request-id')).toBe(id);
  await response.text();
  return line({ reqId: id, msg: 'request' });
}

const graphql = (query: string, variables: object = {}): Init => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ query, variables }),
});

describe('a request', () => {
  it('should have one line, with its operation, its user and its size', async () => {
    const query = 'query Mine($id: ID!) { viewer { username } todo(id: $id) { title } }';
    const found = await lineOf(ann, 'one', '/graphql', graphql(query, { id: '77' }));
    expect(found).toMatchObject({
      transport: 'HTTP',
      address: '192.0.2.7',
      method: 'POST',
      route: '/graphql',
      status: 200,
      operation: 'Mine',
      operationType: 'query',
      userId: 1,
      ms: expect.any(Number),
      bytes: expect.any(Number),
      level: expect.stringMatching(/^(info|warn)$/),
    });
    expect(found).not.toHaveProperty('codes');
    expect(linesOf(server).filter(({ reqId }) => reqId === 'one')).toHaveLength(1);
  });

  it.each([
    ['an invalid document', '/graphql', graphql('{ nope }'), ['GRAPHQL_VALIDATION_FAILED'], 200],
    ['a syntax error', '/graphql', graphql('{'), ['GRAPHQL_PARSE_FAILED'], 200],
    ['a missing variable', '/graphql', graphql('query ($id: ID!) { todo(id: $id) { id } }'), expect.any(Array), 200],
    ['a body that is no JSON', '/graphql', { ...graphql(''), body: '{' }, ['BAD_INPUT'], 400],
    ['no operation', '/graphql', { ...graphql(''), body: '{}' }, ['BAD_INPUT'], 400],
    ['a note that is not there', '/notes/12345', {}, ['NOT_FOUND'], 404],
    ['a method that is not there', '/notes', { method: 'PATCH' }, ['METHOD_NOT_ALLOWED'], 405],
  ])('should have the codes of its errors: %s', async (name, path, init, codes, status) => {
    expect(await lineOf(anonymous, name.replaceAll(' ', '-'), path, init)).toMatchObject({ codes, status });
  });

  it('should be marked when it is slow, with the hash by which its document is known', async () => {
    const query = `mutation Slow { obtainToken(input: { username: "ann", password: "${PASSWORD}" }) { __typename } }`;
    expect(await lineOf(anonymous, 'slow', '/graphql', graphql(query))).toMatchObject({
      msg: 'slow request',
      level: 'warn',
      documentHash: createHash('sha256').update(query).digest('hex'),
    });
  });

  it.each([
    ['x-request-id', 'x'.repeat(200)],
    ['x-request-id', 'a b"}'],
    ['traceparent', 'nonsense'],
  ])('should have an id of the server’s own when the proxy’s cannot be used: %s %s', async (name, value) => {
    const response = await anonymous.fetch('/notes', { headers: { [name]: value } });
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('should have the id of the trace when the proxy names that', async () => {
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    const response = await anonymous.fetch('/notes', { headers: { traceparent: `00-${trace}-00f067aa0ba902b7-01` } });
    expect(response.headers.get('x-request-id')).toBe(trace);
  });
});

describe('a sign-in', () => {
  it('should have a line for each outcome, without the name', async () => {
    expect(await line({ msg: 'sign-in accepted' })).toMatchObject({ userId: 1, address: '192.0.2.7', level: 'info' });
    const wrong = '{ username: "hunter2hunter2", password: "hunter3hunter3" }';
    await anonymous.gql(`mutation { obtainToken(input: ${wrong}) { __typename } }`);
    expect(await line({ msg: 'sign-in refused' })).not.toHaveProperty('userId');
    for (let time = 0; time < 20; time += 1) {
      await anonymous.ask(`mutation { obtainToken(input: ${wrong}) { __typename } }`);
    }
    expect(await line({ msg: 'sign-in limited' })).toMatchObject({ level: 'warn' });
    expect(server.output()).not.toContain('hunter');
  });

  it('should have a line when its credential is refused later, without the credential', async () => {
    await anonymous.with('Bearer not.a.token').ask('{ __typename }');
    expect(await line({ msg: 'refused' })).toMatchObject({ reason: 'credential', detail: expect.any(String) });
    expect(server.output()).not.toMatch(/not\.a\.token|a good long password|eyJ/);
  });
});

describe('a connection', () => {
  it('should have a line when it opens and when it closes, and its operations one each', async () => {
    const client = await SocketClient.open(server.url, ann.authorization);
    await client.execute('query OverSocket { viewer { username } }');
    const subscription = client.start('subscription Watch { todoChanged { action } }');
    await client.execute('{ __typename }');
    await ann.gql('mutation { createTodo(input: { title: "kept private" }) { __typename } }');
    await subscription.results.next('event');
    client.stop(subscription);
    const ended = await line({ operation: 'Watch' });
    await client.execute('query Refused { nope }').catch(() => undefined);
    await client.close();

    const closed = await line({ msg: 'connection closed', protocol: 'graphql-ws' });
    expect(closed).toMatchObject({ code: 1005, userId: 1, ms: expect.any(Number) });
    const { connectionId } = closed;
    expect(await line({ msg: 'connection opened', connectionId })).toBeDefined();
    expect(await line({ operation: 'OverSocket' })).toMatchObject({ transport: 'WebSocket', connectionId, userId: 1 });
    expect(ended).toMatchObject({ operationType: 'subscription', events: 1, connectionId });
    expect(ended['bytes']).toBeGreaterThan(0);
  });

  it('should say with what code and why the server closed it', async () => {
    const client = await SocketClient.open(server.url, ann.authorization);
    client.raw.send({ type: 'connection_init' });
    expect(await client.closed).toMatchObject({ code: 4429 });
    expect(await line({ msg: 'connection closed', code: 4429 })).toMatchObject({ reason: expect.stringMatching(/./) });
  });

  it('should count as one operation when it is an event stream', async () => {
    const query = 'subscription Stream { todoChanged { action } }';
    const response = await ann.fetch(`/graphql?query=${encodeURIComponent(query)}`, {
      headers: { accept: 'text/event-stream' },
    });
    await ann.gql('mutation { createTodo(input: { title: "kept private" }) { __typename } }');
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString();
      if (text.includes('data: {')) {
        break;
      }
    }
    expect(await line({ operation: 'Stream' })).toMatchObject({ transport: 'SSE', events: 1, userId: 1 });
    expect(await line({ msg: 'connection closed', protocol: 'sse' })).toMatchObject({ userId: 1 });
    expect(server.output()).not.toContain('kept private');
  });

  it('should say that a client has to load its data again', async () => {
    const client = await SocketClient.open(server.url, ann.authorization);
    const operation = client.start('subscription Old { todoChanged(after: "0000000000000000:5-1") { action } }');
    await operation.ended;
    expect(await line({ operation: 'Old' })).toMatchObject({ codes: ['RESYNC_REQUIRED'] });
    await client.close();
  });
});

describe('the end of an operation', () => {
  it('should be reported once, whether the client waits for it or leaves', async () => {
    const sse = { accept: 'text/event-stream' };
    const streamed = await ann.fetch(`/graphql?query=${encodeURIComponent('query Streamed { __typename }')}`, {
      headers: sse,
    });
    expect(await streamed.text()).toContain('complete');
    // Hashing the password takes longer than the client waits.
    const leaving = new AbortController();
    const slow =
      'mutation Left { signUp(input: { username: "bob", password: "a good long password" }) { __typename } }';
    const left = anonymous.fetch('/graphql', { ...graphql(slow), signal: leaving.signal }).catch(() => null);
    setTimeout(() => leaving.abort(), 10);
    await left;
    await line({ operation: 'Left' });
    await lineOf(ann, 'afterwards', '/notes');
    const ends = linesOf(server).filter(({ operation }) => operation === 'Left' || operation === 'Streamed');
    expect(ends.map(({ operation, msg, status }) => [operation, String(msg).replace('slow ', ''), status])).toEqual([
      ['Streamed', 'operation', undefined],
      ['Left', 'request', 499],
    ]);
    const metrics = await (await fetch(server.metricsUrl)).text();
    const running = metrics.match(/^tidings_operations_running\{.*$/gm) ?? [];
    expect(running.length).toBeGreaterThan(2);
    expect(running.filter((each) => !each.endsWith(' 0'))).toEqual([]);
  });
});

describe('standard output', () => {
  const other = privateDatabase();
  afterAll(() => other.remove());
  const settings = {
    ...process.env,
    PORT: '0',
    HOST: '127.0.0.1',
    LOG_LEVEL: 'info',
    DATABASE_URL: `file:${other.path}`,
  };

  it.each([
    ['is a full disk', '> /dev/full'],
    ['has a reader that leaves', '| head -n 1 > /dev/null'],
  ])('should not keep the server from serving and from ending when it %s', { timeout: 30_000 }, async (_, output) => {
    const port = await freePort();
    const script = `node dist/main.js 2>&1 ${output} & wait`;
    const shell = spawn('sh', ['-c', script], { cwd: ROOT, env: { ...settings, PORT: String(port) }, detached: true });
    const ended = once(shell, 'exit');
    const ask = () => fetch(`http://127.0.0.1:${port}/notes`).then(({ status }) => status);
    await vi.waitFor(async () => expect(await ask()).toBe(200), { timeout: 15_000, interval: 200 });
    for (let time = 0; time < 50; time += 1) {
      expect(await ask()).toBe(200);
    }
    process.kill(-(shell.pid ?? 0), 'SIGTERM');
    await ended;
    await vi.waitFor(() => expect(ask()).rejects.toThrow(), { timeout: 5000 });
  });

  it('should have whole lines when workers share it', { timeout: 30_000 }, async () => {
    const cluster = await startProcess({ DATABASE_URL: `file:${other.path}`, LOG_LEVEL: 'info', WEB_CONCURRENCY: '2' });
    const name = `Long${'x'.repeat(100)}`;
    const someone = new Person(cluster.url, null, '');
    const asked = Array.from({ length: 400 }, () => someone.gql(`query ${name} { __typename }`));
    await Promise.all(asked).finally(() => cluster.stop());
    expect(linesOf(cluster).filter(({ operation }) => operation === name)).toHaveLength(400);
  });
});

describe('LOG_SAMPLE_RATE, LOG_FORMAT and health checks', () => {
  it('should leave out successful requests, and nothing else', async () => {
    const other = privateDatabase();
    const quiet = await startProcess({
      DATABASE_URL: `file:${other.path}`,
      LOG_LEVEL: 'info',
      LOG_FORMAT: 'pretty',
      LOG_SAMPLE_RATE: '0',
      LOG_SLOW_MS: '60000',
    });
    try {
      const someone = new Person(quiet.url, null, '');
      await someone.fetch('/ready');
      await someone.gql('{ __typename }');
      await someone.fetch('/notes/4711', { headers: { 'x-request-id': 'chosen-by-a-caller' } });
      await vi.waitFor(() => expect(quiet.output()).toMatch(/INFO: request\n(?:.*\n)*?.*NOT_FOUND/));
      expect(quiet.output().match(/INFO: request/g)).toHaveLength(1);
      expect(quiet.output()).not.toContain('chosen-by-a-caller');
    } finally {
      await quiet.stop();
      other.remove();
    }
  });
});
