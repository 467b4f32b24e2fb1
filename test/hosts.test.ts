import { afterEach, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';

const apps: TestApp[] = [];
const start = async (env: Record<string, string>): Promise<TestApp> => {
  const app = await startApp(env);
  apps.push(app);
  return app;
};
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
});

describe('PUBLIC_URL', () => {
  /** The links of a first page of posts, and the servers of the OpenAPI document. */
  async function linksOf(app: TestApp, headers: Record<string, string> = {}) {
    const ann = await app.signUp('ann');
    for (const title of ['one', 'two']) {
      await ann.gql(
        'mutation ($title: String!) { createPost(input: { title: $title, content: "x" }) { __typename } }',
        { title },
      );
    }
    const page = await ann.fetch('/api/posts/?limit=1', { headers });
    const keyed = await ann.fetch('/api/posts/?limit=1&cursor=', { headers });
    const { servers } = await (await app.anonymous.fetch('/openapi.json')).json();
    await keyed.body?.cancel();
    return { next: (await page.json()).next, link: keyed.headers.get('link'), servers };
  }

  it('should be what links start with, whatever the request names', async () => {
    const app = await start({ PUBLIC_URL: 'https://tidings.example.org', TRUST_PROXY: '1' });
    const { next, link, servers } = await linksOf(app, { 'x-forwarded-host': 'evil.example' });
    expect(next).toBe('https://tidings.example.org/api/posts/?limit=1&offset=1');
    expect(link).toMatch(/^<https:\/\/tidings\.example\.org\/api\/posts\/\?cursor=/);
    expect(servers).toEqual([{ url: 'https://tidings.example.org' }]);
  });

  it('should otherwise be the scheme and host of the request', async () => {
    const app = await start({});
    const { next, servers } = await linksOf(app);
    expect(next).toBe(`${app.url}/api/posts/?limit=1&offset=1`);
    expect(servers).toBeUndefined();
  });
});
