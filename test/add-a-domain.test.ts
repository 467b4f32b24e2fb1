import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Person } from './kit/person.ts';
import { createDatabase, runSql } from './kit/postgres.ts';
import { describeWith } from './kit/present.ts';
import { runCommand, type ServerProcess, startProcess } from './kit/process.ts';
import { RawSocket, SocketClient } from './kit/socket.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const COPIED = [
  'src',
  'prisma',
  'public',
  'scripts',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
];
const CHANGED = `subscription ($after: String) {
  bookmarkChanged(after: $after) { action id bookmark { title owner { username } } }
}`;
const COMPILE = ['tsc', '-p', 'tsconfig.build.json', '--noCheck', 'false', '--skipLibCheck', '--incremental', 'false'];
const SECRET_KEY = '9f1c27b0e84d635a7210fbce4496d83b';

/** A fenced block of the page that names a file. */
interface Block {
  readonly language: string;
  readonly action: 'file' | 'append';
  readonly path: string;
  readonly text: string;
}

function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```(\w+) (file|append)=(\S+)\n(.*?)^```$/gms)].map(([, language, action, path, text]) => ({
    language: language ?? '',
    action: action as Block['action'],
    path: path ?? '',
    text: text ?? '',
  }));
}

/** Applies a diff of one place: the lines that it keeps or removes stand in the file once. */
function patched(before: string, diff: string): string {
  const lines = diff.trimEnd().split('\n');
  const side = (mark: string): string =>
    lines
      .filter((line) => line.startsWith(' ') || line.startsWith(mark))
      .map((line) => line.slice(1))
      .join('\n');
  expect(before.split(side('-'))).toHaveLength(2);
  return before.replace(side('-'), () => side('+'));
}

describe('docs/add-a-domain.md', { sequential: true, shuffle: false }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-domain-'));
  const TIDINGS_TEST_MAIN = join(folder, 'dist/main.js');
  const sqlite = { DATABASE_URL: `file:${folder}/data/tidings.db`, SECRET_KEY, TIDINGS_TEST_MAIN };
  let server: ServerProcess;
  let ann: Person;

  beforeAll(async () => {
    for (const name of COPIED) {
      cpSync(join(ROOT, name), join(folder, name), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    for (const { language, action, path, text } of blocksOf(readFileSync(join(ROOT, 'docs/add-a-domain.md'), 'utf8'))) {
      const file = join(folder, path);
      mkdirSync(dirname(file), { recursive: true });
      if (action === 'append') {
        appendFileSync(file, `\n${text}`);
      } else {
        writeFileSync(file, language === 'diff' ? patched(readFileSync(file, 'utf8'), text) : text);
      }
    }
    // The build of the package, with the type checker on and without GraphiQL.
    execFileSync(process.execPath, ['scripts/generate.js'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
    execFileSync('npx', COMPILE, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
    server = await startProcess(sqlite);
    const anyone = new Person(server.url, null, '');
    await anyone.gql(
      'mutation { signUp(input: { username: "ann", password: "a good long password" }) { __typename } }',
    );
    ann = await anyone.signIn('ann', 'a good long password');
  }, 180_000);
  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true });
  });

  it('should answer by GraphQL, REST and both sockets', async () => {
    const client = await SocketClient.open(server.url, ann.authorization);
    const { cursor } = await ann.gql('{ cursor }');
    const stream = client.start(CHANGED, { after: cursor });
    const legacy = new RawSocket(`${server.url}/ws/subscribe/`, {
      headers: ann.authorization ? { authorization: ann.authorization } : {},
    });
    await legacy.opened;
    legacy.send({ type: 'subscribe', id: 'all', model: 'bookmarks.Bookmark', action: 'list' });
    legacy.send({ request_id: 'no such subscription', unsubscribe: true });
    // Subscribing is not acknowledged; the error for the next frame comes after it.
    expect(await legacy.nextJson()).toMatchObject({ type: 'error' });

    const { createBookmark } = await ann.gql(
      'mutation { createBookmark(input: { title: "Docs", url: "https://example.org/" }) { ... on Bookmark { id databaseId } } }',
    );
    const { id, databaseId } = createBookmark;
    expect(await stream.event()).toMatchObject({
      action: 'CREATED',
      id,
      bookmark: { title: 'Docs', owner: { username: 'ann' } },
    });
    const body = { id: databaseId, title: 'Docs', url: 'https://example.org/' };
    expect(await legacy.nextJson()).toMatchObject({ id: 'all', instance: body });
    const READ = 'query ($id: ID!) { node(id: $id) { ... on Bookmark { url } } bookmarks { totalCount } }';
    expect(await ann.gql(READ, { id })).toEqual({ node: { url: body.url }, bookmarks: { totalCount: 1 } });

    expect(await (await ann.fetch(`/api/bookmarks/${databaseId}`)).json()).toEqual(body);
    expect((await ann.with(null).fetch(`/api/bookmarks/${databaseId}`)).status).toBe(404);
    const refused = await ann.fetch('/api/bookmarks', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"title":"x","url":"nowhere"}',
    });
    expect([refused.status, await refused.json()]).toEqual([400, { url: ['Enter a valid URL.'] }]);
    const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as { paths: object };
    expect(Object.keys(paths)).toContain('/api/bookmarks/{id}');
    await client.close();
    legacy.socket.close();
  });

  describeWith('postgres', 'and the command move', () => {
    it('should copy its table with the others', async () => {
      const target = await createDatabase();
      await ann.gql(
        'mutation { createBookmark(input: { title: "Moved", url: "https://example.org/" }) { __typename } }',
      );
      await server.stop();
      const { code, output } = await runCommand(['move', '--from', sqlite.DATABASE_URL, '--to', target.url], sqlite);
      expect(code, output).toBe(0);
      expect(await runSql(target.url, `SELECT 1 FROM "Bookmark" WHERE "title" = 'Moved'`)).toHaveLength(1);
      await target.remove();
    });
  });
});
