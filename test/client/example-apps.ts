import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import fastify from 'fastify';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { expect } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** On a busy machine, in milliseconds. */
export const WAIT = { timeout: 20_000, interval: 25 };

/** The built example apps, as a front end of another origin serves them. */
export interface Site {
  readonly origin: string;
  /** Builds an app for a server. */
  readonly build: (app: string, serverUrl: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function startSite(): Promise<Site> {
  const root = mkdtempSync(join(tmpdir(), 'tidings-apps-'));
  const server = fastify();
  server.register(fastifyStatic, { root });
  const origin = await server.listen({ host: '127.0.0.1', port: 0 });
  return {
    origin,
    build: async (app, serverUrl) => {
      const vite = join(ROOT, 'node_modules/vite/bin/vite.js');
      const options = ['--base', './', '--outDir', join(root, app), '--logLevel', 'error'];
      const child = spawn(process.execPath, [vite, 'build', join(ROOT, 'clients/examples', app), ...options], {
        cwd: ROOT,
        env: {
          ...process.env,
          // What Vitest sets, which is no production.
          NODE_ENV: 'production',
          PATH: `${ROOT}/node_modules/.bin:${process.env['PATH']}`,
          VITE_TIDINGS_URL: `${serverUrl}/graphql`,
        },
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const [code] = await once(child, 'exit');
      expect(code).toBe(0);
    },
    close: async () => {
      await server.close();
      rmSync(root, { recursive: true });
    },
  };
}

/** Refreshes of tabs that follow within this time belong together, in milliseconds. */
const ROUND_MS = 2_000;

/** What a tab shows of the list. */
export interface Shown {
  readonly todos: readonly string[];
  readonly hasMore: boolean;
}

/** A tab of a browser with an app. */
export class Tab {
  readonly page: Page;
  /** How many WebSockets it has opened. */
  sockets = 0;
  /** Exceptions of the app. */
  readonly errors: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.on('websocket', () => {
      this.sockets += 1;
    });
    page.on('pageerror', ({ message }) => this.errors.push(message));
  }

  async signIn(username: string, password: string): Promise<void> {
    await this.page.getByLabel('Username').fill(username);
    await this.page.getByLabel('Password').fill(password);
    await this.page.getByRole('button', { name: 'Sign in' }).click();
  }

  async add(title: string): Promise<void> {
    await this.page.getByLabel('Title').fill(title);
    await this.page.getByRole('button', { name: 'Add' }).click();
  }

  toggle(title: string): Promise<void> {
    return this.page.getByRole('checkbox', { name: title, exact: true }).click();
  }

  delete(title: string): Promise<void> {
    return this.page.getByRole('button', { name: `Delete ${title}`, exact: true }).click();
  }

  loadMore(): Promise<void> {
    return this.page.getByRole('button', { name: 'Load more' }).click();
  }

  async loadAll(): Promise<void> {
    while ((await this.shown()).hasMore) {
      const { length } = (await this.shown()).todos;
      await this.loadMore();
      await expect.poll(async () => (await this.shown()).todos.length, WAIT).toBeGreaterThan(length);
    }
  }

  shown(): Promise<Shown> {
    return this.page.evaluate(() => ({
      todos: [...document.querySelectorAll('li')].map(
        (item) => `${item.querySelector('input')?.checked ? '[x]' : '[ ]'} ${item.textContent?.slice(1, -1)}`,
      ),
      hasMore: [...document.querySelectorAll('button')].some((button) => button.textContent === 'Load more'),
    }));
  }

  /** The state of the connection, in words. */
  status(): Promise<string | null> {
    return this.page.evaluate(() => document.querySelector('[role=status]')?.textContent ?? null);
  }

  failure(): Promise<string | null> {
    return this.page.evaluate(() => document.querySelector('[role=alert]')?.textContent ?? null);
  }

  becomes(status: string): Promise<void> {
    return expect.poll(() => this.status(), WAIT).toContain(status);
  }

  shows(expected: Shown): Promise<void> {
    return expect.poll(() => this.shown(), WAIT).toEqual(expected);
  }
}

/** An app in a browser of its own, with the tabs of one user. */
export class OpenApp {
  readonly name: string;
  readonly #context: BrowserContext;
  readonly #url: string;
  /** The operations that its tabs have sent by HTTP, and when. */
  readonly sent: { readonly operation: string; readonly at: number }[] = [];

  constructor(name: string, context: BrowserContext, url: string) {
    this.name = name;
    this.#context = context;
    this.#url = url;
    context.on('request', (request) => {
      const operation = /\b(?:query|mutation) (\w+)/.exec(request.postData() ?? '')?.[1];
      if (operation) {
        this.sent.push({ operation, at: Date.now() });
      }
    });
  }

  async openTab(): Promise<Tab> {
    const tab = new Tab(await this.#context.newPage());
    await tab.page.goto(this.#url);
    return tab;
  }

  /** What a page shows that is loaded now: the first page of the list, or all of it. */
  async fresh(extent: 'first' | 'all'): Promise<Shown> {
    const tab = await this.openTab();
    await tab.becomes('Live');
    if (extent === 'all') {
      await tab.loadAll();
    }
    const shown = await tab.shown();
    await tab.page.close();
    return shown;
  }

  /** How often its tabs have refreshed their token since a time, at about the same moment each. */
  refreshRounds(since: number): readonly number[] {
    const times = this.sent
      .filter(({ operation, at }) => operation === 'RefreshToken' && at > since)
      .map(({ at }) => at);
    const firsts = times.filter((at, index) => at - (times[index - 1] ?? 0) > ROUND_MS);
    return firsts.map(
      (first, index) => times.filter((at) => at >= first && at < (firsts[index + 1] ?? Infinity)).length,
    );
  }
}

export async function openApp(browser: Browser, site: Site, name: string): Promise<OpenApp> {
  const context = await browser.newContext();
  return new OpenApp(name, context, `${site.origin}/${name}/index.html`);
}
