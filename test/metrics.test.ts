import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { SocketClient } from './kit/socket.ts';

let app: TestApp;

beforeAll(async () => {
  app = await startApp({ METRICS_PORT: '0' });
});
afterAll(() => app.close());

const scrape = (): Promise<string> => app.metrics();

const readingOf = (series: string): Promise<number> => app.metric(series);

describe('/metrics', () => {
  it('should not exist on the public port, with a port of its own or without', async () => {
    const without = await startApp();
    try {
      expect(without.app.metricsUrl()).toBeNull();
      for (const { anonymous } of [without, app]) {
        for (const path of ['/metrics', '/metrics/', '/%6Detrics', '//metrics']) {
          const response = await anonymous.fetch(path);
          expect([path, response.status]).toEqual([path, 404]);
          expect(await response.text()).not.toContain('tidings_');
        }
      }
    } finally {
      await without.close();
    }
  });

  it('should be the only thing on its port, and readable by no other site', async () => {
    const url = app.app.metricsUrl() ?? '';
    const crossSite = { origin: 'https://evil.example' };
    const preflight = { ...crossSite, 'access-control-request-method': 'GET' };
    for (const [method, headers] of [
      ['GET', crossSite],
      ['HEAD', crossSite],
      ['OPTIONS', preflight],
      ['POST', crossSite],
    ] as const) {
      const response = await fetch(url, { method, headers });
      expect([method, response.status]).toEqual([method, method === 'GET' || method === 'HEAD' ? 200 : 404]);
      const names = [...response.headers.keys()];
      expect(names.filter((name) => name.startsWith('access-control-'))).toEqual([]);
      expect(response.headers.get('cache-control')).toBe('no-store');
    }
    for (const path of ['/', '/graphql', '/notes', '/metrics/x', '/ready']) {
      expect((await fetch(new URL(path, url))).status).toBe(404);
    }
  });

  it('should free its port when the server closes', async () => {
    const brief = await startApp({ METRICS_PORT: '0' });
    const url = brief.app.metricsUrl() ?? '';
    expect(await brief.metrics()).toContain('tidings_subscriptions 0');
    await brief.close();
    await expect(fetch(url)).rejects.toThrow();
  });

  it('should be served while the database cannot be read, without what it would have to say', async () => {
    const broken = await startApp({ METRICS_PORT: '0' });
    try {
      expect(await broken.metrics()).toMatch(/^tidings_log_oldest_age_seconds 0$/m);
      await broken.sql('DROP TABLE "Change"');
      const response = await fetch(broken.app.metricsUrl() ?? '');
      expect(response.status).toBe(200);
      const text = await response.text();
      expect(text).toContain('tidings_feed_failing_seconds');
      expect(text).not.toMatch(/^tidings_log_oldest_age_seconds /m);
    } finally {
      await broken.close();
    }
  });

  it('should count the events that could not be rendered, by the name of the subscription', async () => {
    const broken = await startApp({ METRICS_PORT: '0' });
    try {
      const ann = await broken.signUp('ann');
      const { createTodoList } = await ann.gql(
        'mutation { createTodoList(input: { name: "a" }) { ... on TodoList { id } } }',
      );
      const add = 'mutation ($list: ID!) { createTodo(input: { title: "x", listId: $list }) { __typename } }';
      const client = await SocketClient.open(broken.url, ann.authorization);
      const subscription = client.start('subscription Broken { todoChanged { todo { list { name } } } }');
      await client.execute('{ __typename }');
      await ann.gql(add, { list: createTodoList.id });
      expect((await subscription.results.next('event')).errors).toBeUndefined();
      await broken.sql('ALTER TABLE "TodoList" RENAME COLUMN "name" TO "renamed"');
      await broken.sql(`UPDATE "Todo" SET "title" = 'y'`);
      expect((await subscription.results.next('event')).errors).toHaveLength(1);
      expect(await broken.metric('tidings_errors_total{operation="Broken",code="INTERNAL"}')).toBe(1);
      await client.close();
    } finally {
      await broken.close();
    }
  });

  it('should be what Prometheus reads', async () => {
    const response = await fetch(app.app.metricsUrl() ?? '');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    for (const line of (await response.text()).trim().split(/\n+/)) {
      expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{[^}]*\})? \S+)$/);
    }
  });

  it('should count requests by their route, never by the path of the request', async () => {
    await app.anonymous.fetch('/notes/secret');
    await app.anonymous.fetch('/nope/secret');
    const text = await scrape();
    expect(text).toContain(
      'tidings_http_request_duration_seconds_count{method="GET",route="/notes/:id",status="404"} 1',
    );
    expect(text).toContain('route="unknown",status="404"');
    expect(text).not.toContain('secret');
  });

  it('should report how many subscriptions are open, and how far the log is read', async () => {
    const client = await SocketClient.open(app.url, null);
    const stream = client.start('subscription { todoChanged { todo { title } } }');
    await app.subscribed(1);
    const [position, changes] = [await readingOf('tidings_log_position'), await readingOf('tidings_log_changes_total')];
    expect(await readingOf('tidings_subscriptions')).toBe(1);
    await app.anonymous.gql('mutation { createTodo(input: { title: "x" }) { __typename } }');
    await stream.event();
    expect(await readingOf('tidings_log_position')).toBeGreaterThan(position);
    expect(await readingOf('tidings_log_changes_total')).toBe(changes + 1);
    await client.close();
    await expect.poll(() => readingOf('tidings_subscriptions')).toBe(0);
  });
});
