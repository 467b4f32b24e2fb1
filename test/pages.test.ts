import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { signInPage } from './kit/person.ts';

/** What Chromium and Firefox send for an address that somebody enters. */
const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8' };
const QUERY = encodeURIComponent('{ viewer { username } }');

let app: TestApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.close());

const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  app.anonymous.fetch(path, { headers, method });

describe('GET /graphql', () => {
  it.each(['', '?', `?query=${QUERY}`, '?query=', '?query=a&query=b', '?variables={', '?documentId=x', '?a[b]=c'])(
    'should be GraphiQL in the address bar: %s',
    async (query) => {
      const response = await get(`/graphql${query}`, BROWSER);
      expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
      expect(response.headers.get('vary')).toContain('accept');
      expect(await response.text()).toContain('<title>GraphiQL · Tidings</title>');
    },
  );

  it.each([
    '*/*',
    'application/json',
    'application/graphql-response+json',
    'application/json, text/html;q=0.9',
    'application/json, */*',
    'text/html;q=0, */*',
    'text/htmlx, */*;q=0.1',
  ])('should be a result for a program that accepts %s', async (accept) => {
    const response = await get(`/graphql?query=${QUERY}`, { accept });
    expect(await response.json()).toEqual({ data: { viewer: null } });
  });

  it('should be an event stream for a program that asks for one', async () => {
    const response = await get(`/graphql?query=${QUERY}`, { accept: 'text/event-stream' });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    await response.body?.cancel();
  });

  it('should execute nothing as a page, whoever follows a link to it', async () => {
    await app.signUp('ann');
    const page = await signInPage(app.url, 'ann');
    const response = await page.fetch(`/graphql?query=${QUERY}`, { headers: BROWSER });
    expect(await response.text()).not.toContain('ann');
  });

  it('should allow HEAD for the page alone', async () => {
    const [page, operation] = [await get('/graphql', BROWSER, 'HEAD'), await get('/graphql', {}, 'HEAD')];
    expect([page.status, operation.status]).toEqual([200, 405]);
    expect(await page.text()).toBe('');
  });
});

describe('GET /', () => {
  it('should be a page in a browser, which is fetched again only when it has changed', async () => {
    const response = await get('/', BROWSER);
    expect(response.headers.get('content-type')).toMatch('text/html; charset=utf-8');
    expect(response.headers.get('vary')).toContain('accept');
    expect(response.headers.get('cache-control')).toBe('no-cache');
    expect(await response.text()).toContain('href="/graphql"');
    // Without this header, `fetch` adds one that forbids an answer from a cache.
    const revalidation = { 'if-none-match': response.headers.get('etag') ?? '', 'cache-control': 'max-age=0' };
    const again = await get('/', { ...BROWSER, ...revalidation });
    expect(again.status).toBe(304);
    const head = await get('/', BROWSER, 'HEAD');
    expect([head.status, head.headers.get('etag'), await head.text()]).toEqual([200, response.headers.get('etag'), '']);
  });

  it.each(['*/*', 'application/json', 'application/xml'])('should be JSON for a program: %s', async (accept) => {
    const response = await get('/', { accept });
    const { name, version, links } = (await response.json()) as Record<string, string> & { links: object };
    expect([name, version]).toEqual(['Tidings', expect.stringMatching(/^\d+\.\d+\.\d+/)]);
    const statuses = await Promise.all(
      Object.values(links).map(async (path) => [path, (await get(`${path}?query=${QUERY}`)).status]),
    );
    expect(statuses).toEqual(Object.values(links).map((path) => [path, 200]));
  });

  it.each(['/', '/reset-password', '/favicon.ico'])('should be all that is allowed: %s', async (path) => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const response = await app.anonymous.fetch(path, { method, body: '{' });
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
      expect(await response.json()).toEqual({ detail: `Method "${method}" not allowed.` });
    }
  });
});

describe('an unknown path', () => {
  it.each(['/nope', '/pages/nope.html', '/pages/../package.json', '/graphql/graphiql/nope.js', '/%zz'])(
    'should be a page for a browser, and JSON for a program: %s',
    async (path) => {
      const page = await get(path, BROWSER);
      expect([page.status, page.headers.get('content-type')]).toEqual([404, 'text/html; charset=utf-8']);
      expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
      expect(await page.text()).toContain('<h1>Not found</h1>');
      const answer = await get(path);
      expect([answer.status, await answer.json()]).toEqual([404, { detail: 'Not found.' }]);
    },
  );

  it('should be JSON for the form of a page, and for the id of a REST path', async () => {
    const posted = await get('/nope', BROWSER, 'POST');
    const unknown = await get('/notes/99999', BROWSER);
    expect([posted, unknown].map(({ headers }) => headers.get('content-type'))).toEqual(
      Array(2).fill(expect.stringContaining('application/json')),
    );
    await Promise.all([posted.text(), unknown.text()]);
  });
});

describe('the files that browsers and crawlers ask for', () => {
  it.each([
    ['/favicon.svg', 'image/svg+xml'],
    ['/favicon.ico', 'image/vnd.microsoft.icon'],
    ['/robots.txt', 'text/plain; charset=utf-8'],
  ])('should be there: %s', async (path, type) => {
    const response = await get(path);
    expect([response.status, response.headers.get('content-type')]).toEqual([200, type]);
    expect(response.headers.get('etag')).not.toBeNull();
    expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(20);
  });

  it('should keep crawlers out', async () => {
    expect(await (await get('/robots.txt')).text()).toBe('User-agent: *\nDisallow: /\n');
  });
});

describe('/docs', () => {
  it('should have the name of the server', async () => {
    const html = await (await get('/docs', BROWSER)).text();
    expect(html).toContain('<title>REST API · Tidings</title>');
    expect(html).toContain('theme/favicon.svg');
  });

  it('should describe a resource once, with the other paths of older clients', async () => {
    const { paths } = (await (await get('/openapi.json')).json()) as Record<string, Record<string, object>>;
    expect(paths?.['/auth/obtain_token']).toMatchObject({
      'x-aliases': ['/auth/jwt/create', '/api/auth/obtain_token'],
      post: { description: 'Also at `/auth/jwt/create` and `/api/auth/obtain_token`.' },
    });
    expect(paths).not.toHaveProperty('/auth/jwt/create');
  });
});
