import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { openPage, runInGraphiQL, startBrowser } from './kit/browser.ts';
import { describeWith } from './kit/present.ts';

describeWith('chromium', 'a person with a browser', (executablePath) => {
  let app: TestApp;
  let browser: Browser;

  beforeAll(async () => {
    app = await startApp();
    browser = await startBrowser(executablePath);
  });
  afterAll(async () => {
    await browser.close();
    await app.close();
  });

  const open = (path: string) => openPage(browser, `${app.url}${path}`);

  it('should type a query into GraphiQL and see its result, from this server alone', async () => {
    const { page, errors, strangers } = await open('/graphql');
    await runInGraphiQL(page, 'mutation { createTodo(input: { title: "typed by hand" }) { ... on Todo { title } } }');
    const result = page.locator('.result-window');
    await expect.poll(() => result.textContent(), { timeout: 10_000 }).toMatch(/typed\sby\shand/);
    const workers = () => page.workers().map((worker) => worker.url());
    await expect.poll(workers, { timeout: 10_000 }).toContainEqual(expect.stringMatching(/graphql\.worker/));
    expect(workers().filter((url) => !url.startsWith(app.url))).toEqual([]);
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
