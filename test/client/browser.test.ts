import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import type { Session, Transport } from 'tidings-client';
import { build, type Rollup } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { BROWSER_ARGUMENTS } from '../kit/browser.ts';
import { describeWith } from '../kit/present.ts';

const PASSWORD = 'a good long password';
const WAIT = { timeout: 15_000, interval: 20 };
const ROOT = new URL('../..', import.meta.url).pathname;
/** What runs in each tab. */
const PAGE = `
import { createSession, createTransport, snapshotThenStream } from 'tidings-client';
const mode = new URL(location.href).searchParams.get('mode');
globalThis.session = createSession({ url: '/graphql', mode });
globalThis.transport = createTransport({ url: '/graphql', session });
globalThis.shown = { titles: null, error: null };
globalThis.show = async () => {
  try {
    const query = 'query { cursor todos(first: 9) { nodes { id title } } }';
    const subscription = 'subscription ($after: String) { todoChanged(after: $after) { action cursor id todo { id title } } }';
    for await (const { data } of snapshotThenStream(transport, { query, subscription })) {
      shown.titles = data.todos.nodes.map(({ title }) => title);
    }
  } catch (error) {
    shown.error = error.name;
  }
};
globalThis.ready = true;
`;

declare global {
  var session: Session;
  var transport: Transport;
  var shown: { titles: string[] | null; error: string | null };
  var show: () => Promise<void>;
  var ready: true | undefined;
}

async function bundlePage(): Promise<string> {
  // Where packages of the repository are found.
  mkdirSync(join(ROOT, 'node_modules/.cache'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'node_modules/.cache/tidings-page-'));
  writeFileSync(join(folder, 'page.js'), PAGE);
  const output = (await build({
    root: ROOT,
    configFile: false,
    logLevel: 'silent',
    build: { write: false, lib: { entry: join(folder, 'page.js'), formats: ['es'] } },
  })) as Rollup.RollupOutput[];
  rmSync(folder, { recursive: true });
  return output[0]?.output[0].code ?? '';
}

describeWith('chromium', 'two tabs of a browser', (executablePath) => {
  let app: TestApp;
  let browser: Browser;
  let context: BrowserContext;
  let code: string;
  const requests: string[] = [];

  beforeAll(async () => {
    [app, browser, code] = await Promise.all([
      startApp({ ALLOW_ANONYMOUS: 'false' }),
      // Otherwise a page that the test answers may not open a socket to this machine.
      chromium.launch({ executablePath, args: [...BROWSER_ARGUMENTS, '--disable-features=LocalNetworkAccessChecks'] }),
      bundlePage(),
    ]);
    await app.signUp('ann');
  });
  afterAll(async () => {
    await browser.close();
    await app.close();
  });
  beforeEach(async () => {
    requests.length = 0;
    context = await browser.newContext();
    // A page of the server's own origin, as a front end behind the same proxy is.
    await context.route(`${app.url}/page*`, (route) =>
      route.fulfill({ contentType: 'text/html', body: '<script type="module" src="/bundle.js"></script>' }),
    );
    await context.route(`${app.url}/bundle.js`, (route) =>
      route.fulfill({ contentType: 'text/javascript', body: code }),
    );
    context.on('request', (request) => requests.push(request.postData() ?? ''));
  });
  afterEach(() => context.close());

  async function openTab(mode: string): Promise<Page> {
    const page = await context.newPage();
    await page.goto(`${app.url}/page?mode=${mode}`);
    await page.waitForFunction(() => globalThis.ready === true);
    return page;
  }

  const signIn = (page: Page) => page.evaluate((password) => session.signIn('ann', password), PASSWORD);
  const stateOf = (page: Page) => page.evaluate(() => `${session.getState().status} ${session.getState().username}`);
  const statusOf = (page: Page) => page.evaluate(() => transport.getState().status);
  const shownBy = (page: Page) => page.evaluate(() => shown);
  const show = (page: Page) => page.evaluate(() => void globalThis.show());
  const IN = 'signed-in ann';
  const OUT = 'signed-out null';

  it.each(['token', 'cookie'])('should be signed in and out together, by a %s', async (mode) => {
    const [first, second] = [await openTab(mode), await openTab(mode)];
    await expect.poll(() => stateOf(first), WAIT).toBe(OUT);
    await signIn(first);
    await expect.poll(() => stateOf(second), WAIT).toBe(IN);
    await show(first);
    await show(second);
    for (const page of [first, second]) {
      await expect.poll(() => statusOf(page), WAIT).toBe('live');
      expect(await shownBy(page)).toEqual({ titles: [], error: null });
    }
    // A reloaded page finds the session again.
    const third = await openTab(mode);
    await expect.poll(() => stateOf(third), WAIT).toBe(IN);

    await second.evaluate(() => session.signOut());
    for (const page of [first, second, third]) {
      await expect.poll(() => stateOf(page), WAIT).toBe(OUT);
    }
    for (const page of [first, second]) {
      await expect.poll(async () => (await shownBy(page)).error, WAIT).toBe('SignedOutError');
    }
    expect(await first.evaluate(() => JSON.stringify({ ...localStorage }))).toBe('{}');
  });

  it('should refresh a token once', async () => {
    const [first, second] = [await openTab('token'), await openTab('token')];
    await signIn(first);
    const token = await first.evaluate(() => session.getToken());
    const tokens = await Promise.all(
      [first, second, first, second].map((page) => page.evaluate((refused) => session.refresh(refused ?? ''), token)),
    );
    expect(new Set(tokens).size).toBe(1);
    expect(tokens[0]).not.toBe(token);
    expect(requests.filter((body) => body.includes('refreshToken('))).toHaveLength(1);
  });
});
