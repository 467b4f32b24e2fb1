import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { SocketClient } from './kit/socket.ts';

let app: TestApp;

beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.close());

const scrape = async (): Promise<string> => (await app.anonymous.fetch('/metrics')).text();

/** The value of a series; NaN when there is none. */
async function readingOf(series: string): Promise<number> {
  const line = (await scrape()).split('\n').find((each) => each.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1));
}

describe('/metrics', () => {
  it('should be what Prometheus reads', async () => {
    const response = await app.anonymous.fetch('/metrics');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    for (const line of (await response.text()).trim().split(/\n+/)) {
      expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{[^}]*\})? \S+)$/);
    }
  });

  it('should tell of requests by their route, never by what somebody wrote in its place', async () => {
    await app.anonymous.fetch('/notes/secret');
    await app.anonymous.fetch('/nope/secret');
    const text = await scrape();
    expect(text).toContain(
      'tidings_http_request_duration_seconds_count{method="GET",route="/notes/:id",status="404"} 1',
    );
    expect(text).toContain('route="unknown",status="404"');
    expect(text).not.toContain('secret');
  });

  it('should tell how many subscriptions are open, and how far the log is read', async () => {
    const client = await SocketClient.open(app.url, null);
    const stream = client.start('subscription { todoChanged { todo { title } } }');
    await client.settle();
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
