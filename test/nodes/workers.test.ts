import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { privateDatabase } from '../kit/app.ts';
import { Person } from '../kit/person.ts';
import { type ServerProcess, startProcess } from '../kit/process.ts';
import { firstTyping, SocketClient } from '../kit/socket.ts';

const WORKERS = 3;
/** Far more connections than workers, so that each worker has some. */
const CLIENTS = 12;
const DRAIN_MS = 1_500;

const database = privateDatabase();
let server: ServerProcess;
let anyone: Person;

beforeAll(async () => {
  server = await startProcess({
    WEB_CONCURRENCY: String(WORKERS),
    DATABASE_URL: `file:${database.path}`,
    METRICS_PORT: '0',
  });
  anyone = new Person(server.url, null, '');
});
afterAll(async () => {
  await server.stop();
  database.remove();
});

const make = (title: string): Promise<unknown> =>
  anyone.gql('mutation ($title: String!) { createTodo(input: { title: $title }) { ... on Todo { id } } }', { title });

/** The processes that a process has started. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}

describe('several workers on one file', () => {
  it('should each send their subscribers what the others write', async () => {
    const { cursor } = await anyone.gql('{ cursor }');
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => SocketClient.open(server.url, null)));
    const streams = clients.map((client) =>
      client.start('subscription ($after: String) { todoChanged(after: $after) { action todo { title } } }', {
        after: cursor,
      }),
    );
    const titles = Array.from({ length: 20 }, (_, index) => `todo ${index}`);
    for (const title of titles) {
      await make(title);
    }
    for (const stream of streams) {
      for (const title of titles) {
        expect(await stream.event()).toEqual({ action: 'CREATED', todo: { title } });
      }
    }
    await Promise.all(clients.map((client) => client.close()));
  });

  it('should have their metrics served together', async () => {
    const scrape = async (): Promise<string> => (await fetch(server.metricsUrl)).text();
    const readingOf = async (series: string): Promise<number> =>
      Number(
        (await scrape())
          .split('\n')
          .find((line) => line.startsWith(`${series} `))
          ?.slice(series.length + 1),
      );
    const answered = 'tidings_http_request_duration_seconds_count{method="GET",route="/notes/:id",status="404"}';
    for (let time = 0; time < CLIENTS; time += 1) {
      // A connection each, so that several workers answer.
      await fetch(`${server.url}/notes/0`, { headers: { connection: 'close' } });
    }
    await expect.poll(() => readingOf(answered)).toBe(CLIENTS);
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => SocketClient.open(server.url, null)));
    for (const client of clients) {
      client.start('subscription { todoChanged { action } }');
    }
    await expect.poll(() => readingOf('tidings_subscriptions')).toBe(CLIENTS);
    const position = await readingOf('tidings_log_position');
    await make('one more');
    await expect.poll(() => readingOf('tidings_log_position')).toBe(position + 1);
    await Promise.all(clients.map((client) => client.close()));
  });

  it('should each send who is typing, in whatever process the signal was sent', async () => {
    await anyone.gql(
      'mutation { signUp(input: { username: "ann", password: "a good long password" }) { __typename } }',
    );
    const ann = await anyone.signIn('ann', 'a good long password');
    const { uri } = (await ann.gql('mutation { createChatSession { uri } }')).createChatSession;
    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, () => SocketClient.open(server.url, ann.authorization)),
    );
    const streams = clients.map((client) =>
      client.start('subscription ($uri: String!) { chatTyping(uri: $uri) { users { username } } }', { uri }),
    );
    const signal = () => ann.gql('mutation ($uri: String!) { setTyping(uri: $uri) }', { uri });
    for (const stream of streams) {
      expect(await firstTyping(stream, signal)).toEqual({ users: [{ username: 'ann' }] });
    }
    await ann.gql('mutation ($uri: String!) { sendMessage(uri: $uri, message: "done") { __typename } }', { uri });
    for (const stream of streams) {
      expect(await stream.event()).toEqual({ users: [] });
    }
    await Promise.all(clients.map((client) => client.close()));
  });

  it('should go on when one of them dies, and get another one', async () => {
    const [victim = 0, ...others] = childrenOf(server.pid);
    expect(others).toHaveLength(WORKERS - 1);
    process.kill(victim, 'SIGKILL');
    await expect
      .poll(() => childrenOf(server.pid).filter((pid) => pid !== victim), { timeout: 10_000 })
      .toHaveLength(WORKERS);
    await make('after the death');
    const { todos } = await anyone.gql('{ todos(filter: { titleContains: "after the death" }) { totalCount } }');
    expect(todos.totalCount).toBe(1);
  });

  it('should all stop with the first one, cleanly', async () => {
    const brief = await startProcess({
      WEB_CONCURRENCY: '2',
      DATABASE_URL: `file:${database.path}`,
      DRAIN_MS: String(DRAIN_MS),
    });
    const children = childrenOf(brief.pid);
    expect(children).toHaveLength(2);
    const startedAt = performance.now();
    // As Ctrl-C in a terminal does, which signals the whole process group.
    for (const pid of children) {
      process.kill(pid, 'SIGINT');
    }
    const stopped = brief.stop('SIGINT');
    // Each connection is another worker's turn.
    const statuses = () =>
      Promise.all(
        children.map(() => fetch(`${brief.url}/ready`, { headers: { connection: 'close' } }).then((it) => it.status)),
      );
    await expect.poll(statuses, { timeout: 10_000 }).toEqual(children.map(() => 503));
    expect((await stopped).code).toBe(0);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(DRAIN_MS);
    for (const pid of children) {
      expect(() => process.kill(pid, 0)).toThrow();
    }
  });

  it('should not try for ever when none can start', async () => {
    await expect(startProcess({ WEB_CONCURRENCY: '2', DATABASE_URL: 'file:/dev/null/no.db' })).rejects.toThrow(
      'ended before it listened',
    );
  });
});
