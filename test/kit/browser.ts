import axe from 'axe-core';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

/** With these, Chromium runs as root in a container, and calls nobody by itself. */
export const BROWSER_ARGUMENTS = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-gpu',
  '--disable-component-update',
];

export function startBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: BROWSER_ARGUMENTS });
}

/** A page with everything that it asks for and every error that it meets. */
export interface OpenPage {
  readonly page: Page;
  /** Exceptions, and what the browser reports as an error: violations of the Content Security Policy among them. */
  readonly errors: readonly string[];
  /** What it asked of other origins than its own. */
  readonly strangers: () => readonly string[];
  /** The addresses that the page has had: those of the browser's history. */
  readonly addresses: () => readonly string[];
}

/** Opens a page. */
export async function openPage(browser: Browser | BrowserContext, url: string): Promise<OpenPage> {
  const page = await browser.newPage();
  const requested: string[] = [];
  const errors: string[] = [];
  const addresses: string[] = [];
  page.on('framenavigated', (frame) => addresses.push(frame.url()));
  page.on('request', (request) => requested.push(request.url()));
  page.on('pageerror', ({ message }) => errors.push(message));
  page.on('console', (message) => {
    if (message.type() === 'error') {
      errors.push(message.text());
    }
  });
  await page.goto(url);
  const { origin } = new URL(url);
  return {
    page,
    errors,
    addresses: () => addresses,
    strangers: () => requested.filter((each) => !/^(data|blob):/.test(each) && new URL(each).origin !== origin),
  };
}

/** Puts a document in the place of that of GraphiQL's editor, and runs it. */
export async function runInGraphiQL(page: Page, document: string): Promise<void> {
  const editor = page.locator('.graphiql-query-editor .monaco-editor').first();
  await editor.waitFor();
  await editor.click();
  await page.keyboard.press('Control+a');
  await page.keyboard.press('Delete');
  await page.keyboard.insertText(document);
  await page.locator('.graphiql-execute-button').click();
}

/** What axe-core finds against a page, or a part of it: the id of each rule that is broken, with the elements. */
export async function violationsOf(page: Page, selector = 'html'): Promise<readonly string[]> {
  // The Content Security Policy of the page would refuse a script element.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<axe.AxeResults>(`axe.run(${JSON.stringify(selector)})`);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}
