import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { openPage, runInGraphiQL, startBrowser } from './kit/browser.ts';
import { describeWith } from './kit/present.ts';

const PASSWORD = 'a good long password';
const WAIT = { timeout: 15_000 };

describeWith('chromium', 'a browser that is signed in by a cookie', (executablePath) => {
  let app: TestApp;
  let browser: Browser;
  let context: BrowserContext;
  /** Another site of the same host: of the same site to `SameSite`, so its requests carry the cookie. */
  let evil: Server;
  let evilUrl: string;

  beforeAll(async () => {
    app = await startApp();
    await app.signUp('ann');
    browser = await startBrowser(executablePath);
    evil = createServer((_request, response) => response.setHeader('content-type', 'text/html').end('<body></body>'));
    evil.listen(0, '127.0.0.1');
    await once(evil, 'listening');
    evilUrl = `http://127.0.0.1:${(evil.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    await browser.close();
    evil.closeAllConnections();
    evil.close();
    await app.close();
  });
  beforeEach(async () => {
    context = await browser.newContext();
  });
  afterEach(() => context.close());

  async function signIn(page: Page, password = PASSWORD): Promise<void> {
    await page.locator('#sign-in [name=username]').fill('ann');
    await page.locator('#sign-in [name=password]').fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
  }

  const result = (page: Page) => page.locator('.result-window').textContent();

  it('should sign in on the page of GraphiQL, query, subscribe, and sign out', async () => {
    const { page, errors, strangers } = await openPage(context, `${app.url}/graphql`);
    await signIn(page, 'wrong');
    await expect.poll(() => page.locator('#account-problem').textContent(), WAIT).toContain('Unable to log in');
    await signIn(page);
    await expect.poll(() => page.locator('#sign-out').textContent(), WAIT).toContain('Signed in as ann');

    await runInGraphiQL(page, '{ viewer { username email } }');
    await expect.poll(() => result(page), WAIT).toMatch(/"ann"/);
    await runInGraphiQL(page, 'subscription { postChanged { action post { title } } }');
    // Whoever writes it, until the subscription has begun.
    const writer = await app.anonymous.signIn('ann', PASSWORD);
    const write = () =>
      writer
        .gql('mutation { createPost(input: { title: "received", content: "x" }) { __typename } }')
        .then(() => result(page));
    await expect.poll(write, { ...WAIT, interval: 500 }).toContain('received');
    await page.locator('.graphiql-execute-button').click();

    // No script can read what signs in, and nothing of it is kept.
    expect(await page.evaluate('document.cookie')).toBe('');
    expect(await page.evaluate('JSON.stringify([localStorage, sessionStorage])')).not.toMatch(
      /a good long password|token|eyJ/i,
    );
    const [cookie] = await context.cookies();
    expect(cookie).toMatchObject({ name: 'tidings-session', httpOnly: true, sameSite: 'Lax', path: '/' });

    const again = await openPage(context, `${app.url}/graphql`);
    await expect.poll(() => again.page.locator('#sign-out').textContent(), WAIT).toContain('Signed in as ann');
    await again.page.locator('#sign-out button').click();
    await again.page.locator('#sign-in').waitFor();
    expect(await context.cookies()).toEqual([]);
    await runInGraphiQL(page, '{ viewer { id } }');
    await expect.poll(() => result(page), WAIT).toMatch(/"viewer":\snull/);
    expect([...strangers(), ...again.strangers()]).toEqual([]);
    expect([...errors, ...again.errors]).toEqual([]);
  });

  it('should find GraphiQL at work after its session has ended', async () => {
    const first = await openPage(context, `${app.url}/graphql`);
    await signIn(first.page);
    await first.page.locator('#sign-out').waitFor();
    await app.sql('DELETE FROM "Session"');
    const { page, errors } = await openPage(context, `${app.url}/graphql`);
    await page.locator('#sign-in').waitFor();
    expect(await context.cookies()).toEqual([]);
    await runInGraphiQL(page, '{ viewer { id } }');
    await expect.poll(() => result(page), WAIT).toMatch(/"viewer":\snull/);
    expect(errors).toEqual([]);
  });

  it('should write by a documented path at /docs', async () => {
    const { page } = await openPage(context, `${app.url}/graphql`);
    await signIn(page);
    await page.locator('#sign-out').waitFor();
    const docs = await openPage(context, `${app.url}/docs`);
    const operation = docs.page.locator('.opblock-post', { hasText: '/api/chats' }).first();
    await operation.click();
    await operation.locator('button.execute').click();
    const answer = operation.locator('.live-responses-table .response').first();
    await expect.poll(() => answer.textContent(), WAIT).toContain('SUCCESS');
    expect(docs.errors).toEqual([]);
  });

  it('should send the cookie in vain for pages of another origin', async () => {
    const { page } = await openPage(context, `${app.url}/graphql`);
    await signIn(page);
    await page.locator('#sign-out').waitFor();
    const before = await app.sql('SELECT count(*) AS "count" FROM "ChatSession"');
    const { page: attacker } = await openPage(context, evilUrl);

    const fetched = await attacker.evaluate(async (url) => {
      const ask = (path: string, init: object) =>
        fetch(`${url}${path}`, { credentials: 'include', ...init }).then(
          (response) => response.text(),
          () => 'blocked',
        );
      return [
        await ask('/graphql', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }),
        await ask('/graphql?query={viewer{username}}', {}),
        await ask('/api/chats/', { method: 'POST', body: new URLSearchParams() }),
        await ask('/auth/me/', { method: 'PATCH', body: '{}' }),
      ];
    }, app.url);
    expect(fetched).toEqual(['blocked', 'blocked', 'blocked', 'blocked']);

    const overSocket = await attacker.evaluate(
      (url) =>
        new Promise((resolve) => {
          const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
          socket.onopen = () => socket.send('{"type":"connection_init"}');
          socket.onmessage = ({ data }) => {
            if (data.includes('connection_ack')) {
              socket.send('{"type":"subscribe","id":"1","payload":{"query":"{ viewer { username } }"}}');
            } else {
              resolve(data);
            }
          };
        }),
      app.url,
    );
    expect(overSocket).toContain('"viewer":null');

    // A form needs no CORS preflight: the browser sends it, with the cookie.
    const [sent] = await Promise.all([
      attacker.waitForResponse((response) => response.url().endsWith('/api/chats/')),
      attacker.evaluate((url) => {
        const form = Object.assign(document.createElement('form'), { method: 'POST', action: `${url}/api/chats/` });
        document.body.append(form);
        form.submit();
      }, app.url),
    ]);
    expect((await sent.request().allHeaders())['cookie']).toContain('tidings-session');
    expect(sent.status()).toBe(403);
    expect(await app.sql('SELECT count(*) AS "count" FROM "ChatSession"')).toEqual(before);
  });
});
