import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { BROWSER_ARGUMENTS } from './kit/browser.ts';
import { describeWith } from './kit/present.ts';

describeWith('chromium', 'a person with a browser', (executablePath) => {
  let app: TestApp;
  let browser: Browser;

  beforeAll(async () => {
    app = await startApp();
    browser = await chromium.launch({ executablePath, args: BROWSER_ARGUMENTS });
  });
  afterAll(async () => {
    await browser.close();
    await app.close();
  });

  /** Opens a page, and gives it with everything that it asks for and every error that it meets. */
  async function open(path: string) {
    const page = await browser.newPage();
    const requested: string[] = [];
    const errors: string[] = [];
    page.on('request', (request) => requested.push(request.url()));
    page.on('pageerror', ({ message }) => errors.push(message));
    await page.goto(`${app.url}${path}`);
    return {
      page,
      errors,
      strangers: () => requested.filter((url) => !/^(data|blob):/.test(url) && new URL(url).origin !== app.url),
    };
  }

  it('should type a query into GraphiQL and see its result, from this server alone', async () => {
    const { page, errors, strangers } = await open('/graphql');
    const editor = page.locator('.graphiql-query-editor .monaco-editor').first();
    await editor.waitFor();
    await editor.click();
    await page.keyboard.press('Control+a');
    await page.keyboard.press('Delete');
    await page.keyboard.insertText(
      'mutation { createTodo(input: { title: "typed by hand" }) { ... on Todo { title } } }',
    );
    await page.locator('.graphiql-execute-button').click();
    const result = page.locator('.result-window');
    await expect.poll(() => result.textContent(), { timeout: 10_000 }).toMatch(/typed\sby\shand/);
    await page.close();
    expect(strangers()).toEqual([]);
    expect(errors).toEqual([]);
    const { todos } = await app.anonymous.gql('{ todos { nodes { title } } }');
    expect(todos.nodes).toEqual([{ title: 'typed by hand' }]);
  });

  it('should authorise and try a documented path at /docs, from this server alone', async () => {
    const ann = await app.signUp('ann');
    const { page, errors, strangers } = await open('/docs');
    await page.locator('button.authorize').first().click();
    await page.locator('#api_key_value').fill(ann.authorization ?? '');
    await page.locator('.auth-btn-wrapper .authorize').first().click();
    await page.locator('.btn-done').first().click();
    const operation = page.locator('.opblock', { hasText: '/auth/me' }).first();
    await operation.click();
    await operation.locator('button.execute').click();
    const answer = operation.locator('.live-responses-table .response').first();
    await expect.poll(() => answer.textContent(), { timeout: 10_000 }).toContain('"ann"');
    await page.close();
    expect(strangers()).toEqual([]);
    expect(errors).toEqual([]);
  });
});
