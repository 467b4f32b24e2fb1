import { parse, validate } from 'graphql';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createExamples } from '../graphiql/examples.ts';
import { parseConfig } from '../src/config/config.ts';
import { buildSchema } from '../src/schema.ts';
import { startApp, type TestApp } from './kit/app.ts';
import { openPage, runInGraphiQL, startBrowser, violationsOf } from './kit/browser.ts';
import { describeWith } from './kit/present.ts';

const WAIT = { timeout: 15_000 };
const PHONE = { width: 390, height: 844 };

it('should have examples that the schema allows', () => {
  const schema = buildSchema(parseConfig({}).graphql);
  expect(createExamples().flatMap(({ query }) => validate(schema, parse(query)))).toEqual([]);
});

/** The text of a result, whose spaces the editor does not break. */
const result = async (page: Page): Promise<string> =>
  ((await page.locator('.result-window').textContent()) ?? '').replaceAll('\u00a0', ' ');

/** Opens the tab of an example, once the editors are there. */
async function openTab(page: Page, name: string): Promise<void> {
  await page.locator('.graphiql-query-editor .view-lines').waitFor();
  await page.getByRole('button', { name, exact: true }).click();
}

const run = (page: Page) => page.locator('.graphiql-execute-button').click();

/** Everything that the browser keeps of a page: its address, and what scripts can store. */
const kept = (page: Page): Promise<string> =>
  page.evaluate(
    '[location.href, history.state, document.cookie, ...[localStorage, sessionStorage].map((each) => JSON.stringify(each))].join()',
  );

describeWith('chromium', 'a stranger who opens GraphiQL', (executablePath) => {
  let app: TestApp;
  let browser: Browser;
  let context: BrowserContext;

  beforeAll(async () => {
    app = await startApp();
    browser = await startBrowser(executablePath);
  });
  afterAll(async () => {
    await browser.close();
    await app.close();
  });
  beforeEach(async () => {
    context = await browser.newContext();
  });
  afterEach(() => context.close());

  const open = (path = '/graphql') => openPage(context, `${app.url}${path}`);

  it('should run each example as it stands, and leave the password nowhere', async () => {
    const { page, errors, strangers, addresses } = await open();
    const variables = page.locator('.graphiql-editor-tool .view-lines').first();
    await expect.poll(() => variables.textContent(), WAIT).toMatch(/"password"/);
    const [, password = ''] = /"password":\s"(\w+)"/.exec((await variables.textContent()) ?? '') ?? [];
    expect(password).toHaveLength(16);

    await run(page);
    await expect.poll(() => result(page), WAIT).toMatch(/"signIn": \{\s*"username": "guest-/);
    await expect.poll(() => page.locator('#sign-out').textContent(), WAIT).toContain('Signed in as guest-');

    await openTab(page, 'TodoList');
    await run(page);
    await expect.poll(() => result(page), WAIT).toMatch(/"totalCount": 0/);
    await openTab(page, 'CreateChat');
    await run(page);
    await expect.poll(() => result(page), WAIT).toMatch(/"uri": "/);

    const { page: second } = await open();
    for (const [subscription, mutation, received] of [
      ['TodoChanges', 'CreateTodo', /"title": "Say hello"/],
      ['ChatMessages', 'SendMessage', /"message": "Hello!"/],
    ] as const) {
      const before = app.subscriptions();
      await openTab(page, subscription);
      await run(page);
      await app.subscribed(before + 1);
      await openTab(second, mutation);
      await run(second);
      await expect.poll(() => result(second), WAIT).toMatch(received);
      await expect.poll(() => result(page), WAIT).toMatch(received);
      await run(page);
      await app.subscribed(before);
    }
    expect(await page.locator('.graphiql-tab').count()).toBe(7);

    // What was typed and run is stored after half a second.
    await expect.poll(() => kept(page), WAIT).toMatch(/SendMessage/);
    expect(await kept(page)).not.toContain(password);
    expect(await kept(second)).not.toContain(password);
    await page.reload();
    await expect.poll(() => page.locator('#sign-out').textContent(), WAIT).toContain('Signed in as guest-');
    expect(await kept(page)).not.toContain(password);
    expect(new Set(addresses())).toEqual(new Set([`${app.url}/graphql`]));
    expect(strangers()).toEqual([]);
    expect(errors).toEqual([]);
  }, 60_000);

  it('should find an operation of a link in a tab, and neither in the address nor executed', async () => {
    const variables = JSON.stringify({ input: { username: 'ben', password: 'linked secret' } });
    const query = 'mutation Linked($input: SignUpInput!) { signUp(input: $input) { __typename } }';
    const { page, addresses } = await open(`/graphql?${new URLSearchParams({ query, variables })}`);
    await expect.poll(() => page.locator('.graphiql-query-editor').textContent(), WAIT).toContain('Linked');
    await expect.poll(() => kept(page), WAIT).toMatch(/Linked/);
    expect(await kept(page)).not.toContain('linked secret');
    expect(addresses().at(-1)).toBe(`${app.url}/graphql`);
    expect(await app.sql('SELECT "id" FROM "User" WHERE "username" = ?', 'ben')).toEqual([]);
    await page.goBack();
    expect(page.url()).toBe('about:blank');
  });

  it('should sign up, read why a name is refused, and sign out, with keyboard and form', async () => {
    const { page } = await open();
    const submit = async (username: string, password: string, button: string): Promise<void> => {
      await page.getByLabel('Username').fill(username);
      await page.getByLabel('Password').fill(password);
      await page.getByRole('button', { name: button }).press('Enter');
    };
    await submit('cleo', 'short', 'Sign up');
    await expect.poll(() => page.getByRole('alert').first().textContent(), WAIT).toMatch(/at least 8 characters/);
    await submit('cleo', 'a good long password', 'Sign up');
    await expect.poll(() => page.locator('#sign-out').textContent(), WAIT).toContain('Signed in as cleo');
    // An operation of the editor signs out as well.
    await runInGraphiQL(page, 'mutation { signOut }');
    await page.locator('#sign-in').waitFor();
    await submit('cleo', 'a good long password', 'Sign in');
    await expect.poll(() => page.locator('#sign-out').textContent(), WAIT).toContain('Signed in as cleo');
    expect(await kept(page)).not.toContain('a good long password');
  });

  it('should meet pages that axe-core finds accessible, on a phone, in light and dark', async () => {
    const phone = await browser.newContext({ viewport: PHONE, hasTouch: true });
    for (const [path, part] of [
      ['/', 'html'],
      ['/nope', 'html'],
      ['/reset-password#token=x', 'html'],
      ['/verify-email#token=x', 'html'],
      ['/graphql', '#account'],
      ['/docs', '.site'],
    ] as const) {
      const { page } = await openPage(phone, `${app.url}${path}`);
      await page.locator(part).first().waitFor();
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        expect([path, colorScheme, await violationsOf(page, part)]).toEqual([path, colorScheme, []]);
      }
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(PHONE.width);
      if (path === '/') {
        const state = () => page.locator('#state').textContent();
        await expect.poll(state, WAIT).toMatch(/The server is ready\.\s+Version \d/);
      }
      await page.close();
    }
    await phone.close();
  }, 60_000);

  it('should use GraphiQL on a phone', async () => {
    const phone = await browser.newContext({ viewport: PHONE, hasTouch: true });
    const { page } = await openPage(phone, `${app.url}/graphql`);
    await openTab(page, 'TodoList');
    await run(page);
    await expect.poll(() => result(page), WAIT).toMatch(/"totalCount"/);
    for (const selector of ['.graphiql-query-editor', '.graphiql-response']) {
      const box = await page.locator(selector).boundingBox();
      expect([selector, (box?.width ?? 0) > 300, (box?.height ?? 0) > 150]).toEqual([selector, true, true]);
    }
    await phone.close();
  });
});
