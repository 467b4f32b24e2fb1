import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { privateDatabase } from '../kit/app.ts';
import { startBrowser } from '../kit/browser.ts';
import { runHere } from '../kit/command.ts';
import { Person } from '../kit/person.ts';
import { describeWith } from '../kit/present.ts';
import { freePort, type ServerProcess, startProcess } from '../kit/process.ts';
import { type OpenApp, openApp, type Site, startSite, type Tab, WAIT } from './example-apps.ts';

const NAMES = ['apollo', 'urql', 'relay'];
const PASSWORD = 'a good long password';
const PAGE_SIZE = 10;
const SHORT_LIFE_S = '5';
const LONG_LIFE_S = '1800';
/** Attempts of two tabs to connect during an outage of a minute at most. */
const MOST_ATTEMPTS = 40;
/** How long nothing may happen, in milliseconds. */
const QUIET_MS = 1_500;

/** An app that one user has open in two tabs. */
interface Case {
  readonly app: OpenApp;
  readonly user: Person;
  readonly first: Tab;
  readonly second: Tab;
}

describeWith('chromium', 'the example apps in a browser', (executablePath) => {
  vi.setConfig({ testTimeout: 90_000 });
  const database = privateDatabase();
  const backup = join(database.folder, 'backup.db');
  const env = { DATABASE_URL: `file:${database.path}` };
  let port: number;
  let site: Site;
  let server: ServerProcess;
  let browser: Browser;
  let cases: readonly Case[];

  const start = (accessTokenLifeS: string): Promise<ServerProcess> =>
    startProcess({
      ...env,
      PORT: String(port),
      ALLOW_ANONYMOUS: 'false',
      CORS_ORIGINS: site.origin,
      ACCESS_TOKEN_LIFE_S: accessTokenLifeS,
    });
  const make = (user: Person, title: string) =>
    user.gql('mutation ($title: String!) { createTodo(input: { title: $title }) { ... on Todo { id } } }', { title });
  const tokenOf = async (name: string) => new Person(server.url, null, '').signIn(name, PASSWORD);
  /** Does the same with all apps at a time. */
  const each = (work: (it: Case) => Promise<void>) => Promise.all(cases.map(work));

  beforeAll(async () => {
    port = await freePort();
    site = await startSite();
    [server, browser] = await Promise.all([
      start(SHORT_LIFE_S),
      startBrowser(executablePath),
      ...NAMES.map((name) => site.build(name, `http://127.0.0.1:${port}`)),
    ]);
    const visitor = new Person(server.url, null, '');
    cases = await Promise.all(
      NAMES.map(async (name) => {
        await visitor.gql('mutation ($input: SignUpInput!) { signUp(input: $input) { __typename } }', {
          input: { username: name, password: PASSWORD },
        });
        const user = await visitor.signIn(name, PASSWORD);
        for (let count = 1; count <= PAGE_SIZE + 3; count += 1) {
          await make(user, `todo ${count}`);
        }
        const app = await openApp(browser, site, name);
        const first = await app.openTab();
        return { app, user, first, second: await app.openTab() };
      }),
    );
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await server?.stop('SIGKILL');
    await site?.close();
    database.remove();
  });

  it('should sign in, in all tabs, or say why not', () =>
    each(async ({ app, first, second }) => {
      await first.signIn(app.name, 'not the password');
      await expect.poll(() => first.failure(), WAIT).toMatch(/credentials|password/i);
      await first.signIn(app.name, PASSWORD);
      await Promise.all([first.becomes('Live'), second.becomes('Live')]);
      const todos = Array.from({ length: PAGE_SIZE }, (_, index) => `[ ] todo ${index + 1}`);
      await Promise.all([first, second].map((tab) => tab.shows({ todos, hasMore: true })));
    }));

  it('should show the changes of one tab in the other, and the reason of a refusal', () =>
    each(async ({ app, first, second }) => {
      await first.toggle('todo 2');
      await first.delete('todo 3');
      const todos = ['[ ] todo 1', '[x] todo 2', ...Array.from({ length: 7 }, (_, index) => `[ ] todo ${index + 4}`)];
      await Promise.all([first, second].map((tab) => tab.shows({ todos, hasMore: true })));
      await first.add(' ');
      await expect.poll(() => first.failure(), WAIT).toContain('title: This field may not be blank.');
      await Promise.all([first.loadAll(), second.loadAll()]);
      await first.add('the last one');
      await expect.poll(() => first.failure(), WAIT).toBeNull();
      await agree(app, first, second, 'the last one');
    }));

  it('should apply the changes that happen while a page is loaded', () =>
    each(async ({ app, user, second }) => {
      const tab = await app.openTab();
      await tab.becomes('Live');
      // The answer is held back after the server has read the page.
      let isRead = false;
      let release: () => void = () => undefined;
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      await tab.page.route(
        '**/graphql',
        async (route) => {
          const response = await route.fetch();
          isRead = true;
          await released;
          await route.fulfill({ response });
        },
        { times: 1 },
      );
      await tab.loadMore();
      await expect.poll(() => isRead, WAIT).toBe(true);
      const me = await tokenOf(user.username);
      const { todos } = await me.gql('{ todos(first: 15) { nodes { id } } }');
      const [deleted, changed] = todos.nodes.slice(-2);
      await me.gql(
        'mutation ($deleted: ID!, $changed: ID!) { deleteTodo(id: $deleted) { __typename } updateTodo(id: $changed, input: { completed: true }) { __typename } }',
        { deleted: deleted.id, changed: changed.id },
      );
      await make(me, 'while a page is loaded');
      await expect.poll(async () => (await second.shown()).todos.at(-1), WAIT).toBe('[ ] while a page is loaded');
      release();
      await tab.shows(await second.shown());
      await tab.page.close();
    }));

  it('should refresh an expired token once for all tabs, over the open sockets', () =>
    each(async ({ app, first, second }) => {
      const sockets = socketsOf(first, second);
      const startedAt = Date.now();
      await expect.poll(() => app.refreshRounds(startedAt).length, WAIT).toBeGreaterThan(2);
      // Tabs that refresh by themselves would do so at the same times.
      expect(app.refreshRounds(startedAt).map((count) => count === 1)).toContain(true);
      await first.add('after two refreshes');
      await agree(app, first, second, 'after two refreshes');
      expect(socketsOf(first, second)).toBe(sockets);
    }));

  it('should go on after the server was killed', async () => {
    const sockets = cases.map(({ first, second }) => socketsOf(first, second));
    await server.stop('SIGKILL');
    await each(async ({ first, second }) => {
      await Promise.all([first.becomes('Offline'), second.becomes('Offline')]);
      await first.add('lost');
      await expect.poll(() => first.failure(), WAIT).toBe('The server cannot be reached.');
    });
    // From now on tokens outlast the test, so that the restored database knows the last refresh token.
    server = await start(LONG_LIFE_S);
    await each(async ({ app, user, first, second }) => {
      await make(await tokenOf(user.username), 'during the outage');
      await agree(app, first, second, 'during the outage');
      await expect.poll(() => tokenLifeOf(first), WAIT).toBeGreaterThan(Number(SHORT_LIFE_S));
    });
    // The delays between attempts grow: a loop without them would open hundreds.
    for (const [index, { first, second }] of cases.entries()) {
      expect(socketsOf(first, second) - (sockets[index] ?? 0)).toBeLessThanOrEqual(MOST_ATTEMPTS);
    }
  });

  it('should load the list again after an older backup was restored', async () => {
    expect(await runHere(['backup', backup], env)).toMatchObject({ code: 0 });
    await each(async ({ app, first, second }) => {
      await first.add('after the backup');
      await agree(app, first, second, 'after the backup');
    });
    await server.stop();
    expect(await runHere(['restore', '--force', backup], env)).toMatchObject({ code: 0 });
    server = await start(LONG_LIFE_S);
    await each(async ({ app, first, second }) => {
      await Promise.all([first.becomes('Live'), second.becomes('Live')]);
      const fresh = await app.fresh('first');
      await Promise.all([first.shows(fresh), second.shows(fresh)]);
      await Promise.all([first.loadAll(), second.loadAll()]);
      expect((await first.shown()).todos).not.toContain('[ ] after the backup');
      await first.add('after the restoration');
      await agree(app, first, second, 'after the restoration');
    });
  });

  it('should stay quiet while nothing happens', async () => {
    const count = () => cases.map(({ app, first, second }) => [app.sent.length, socketsOf(first, second)]);
    const before = count();
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    expect(count()).toEqual(before);
  });

  it('should sign out in all tabs, and send nothing afterwards', async () => {
    await each(async ({ first, second }) => {
      await second.page.getByRole('button', { name: 'Sign out' }).click();
      await expect.poll(() => first.page.getByRole('heading').textContent(), WAIT).toBe('Sign in');
      await expect.poll(() => second.page.getByRole('heading').textContent(), WAIT).toBe('Sign in');
    });
    const count = () => cases.map(({ app, first, second }) => [app.sent.length, socketsOf(first, second)]);
    await expect
      .poll(() => cases.map(({ app }) => app.sent.at(-1)?.operation), WAIT)
      .toEqual(NAMES.map(() => 'EndSession'));
    const before = count();
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    expect(count()).toEqual(before);
    expect(cases.flatMap(({ first, second }) => [...first.errors, ...second.errors])).toEqual([]);
  });
});

const socketsOf = (...tabs: readonly Tab[]) => tabs.reduce((sum, { sockets }) => sum + sockets, 0);

/** When the token of a tab expires, in seconds from now. */
function tokenLifeOf(tab: Tab): Promise<number> {
  return tab.page.evaluate(() => {
    const { token } = JSON.parse(Object.values(localStorage)[0]);
    return JSON.parse(atob(token.split('.')[1])).exp - Date.now() / 1000;
  });
}

/** Waits until both tabs show what a page shows that is loaded now: the whole list, with a last todo. */
async function agree(app: OpenApp, first: Tab, second: Tab, last: string): Promise<void> {
  for (const tab of [first, second]) {
    await expect.poll(async () => (await tab.shown()).todos.at(-1), WAIT).toBe(`[ ] ${last}`);
    await tab.becomes('Live');
  }
  const fresh = await app.fresh('all');
  expect(await first.shown()).toEqual(fresh);
  expect(await second.shown()).toEqual(fresh);
  expect(new Set(fresh.todos).size).toBe(fresh.todos.length);
}
