import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { initGraphQLTada } from 'gql.tada';
import { buildClientSchema, type IntrospectionQuery, print, printSchema } from 'graphql';
import { createSession, createTransport, resumable } from 'tidings-client';
import { introspection } from 'tidings-client/introspection';
import { possibleTypes } from 'tidings-client/possible-types';
import { build, type Rollup } from 'vite';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { WebSocket } from 'ws';
import { startApp } from '../kit/app.ts';

const require = createRequire(import.meta.url);
const ROOT = new URL('../..', import.meta.url);
const MAX_BYTES = 15 * 1024;
const CORE = `export { createSession, createTransport } from 'tidings-client';`;
const manifest = JSON.parse(readFileSync(new URL('clients/package.json', ROOT), 'utf8'));

/** Bundles a module as an application does, without the packages that the application has anyway. */
async function bundle(source: string): Promise<string> {
  // Where packages of the repository are found.
  const cache = new URL('node_modules/.cache/', ROOT).pathname;
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'tidings-bundle-'));
  writeFileSync(join(folder, 'entry.js'), source);
  const output = (await build({
    root: new URL('.', ROOT).pathname,
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: true,
      lib: { entry: join(folder, 'entry.js'), formats: ['es'] },
      rollupOptions: {
        external: (id) =>
          Object.keys(manifest.peerDependencies).some((name) => id === name || id.startsWith(`${name}/`)),
      },
    },
  })) as Rollup.RollupOutput[];
  rmSync(folder, { recursive: true });
  return output.flatMap(({ output: files }) => files.map((file) => ('code' in file ? file.code : ''))).join('');
}

describe('what a page loads of tidings-client', () => {
  it.each([
    ['plain JavaScript', `${CORE} export { snapshotThenStream } from 'tidings-client';`],
    ['Apollo Client', `${CORE} export * from 'tidings-client/apollo'; export * from 'tidings-client/possible-types';`],
    [
      'urql',
      `${CORE} export * from 'tidings-client/urql'; export * from 'tidings-client/graphcache'; export * from 'tidings-client/graphcache-schema';`,
    ],
    ['Relay', `${CORE} export * from 'tidings-client/relay';`],
  ])('should be at most 15 KB for %s', async (_name, source) => {
    const bytes = gzipSync(await bundle(source)).length;
    expect(bytes).toBeGreaterThan(2_000);
    expect(bytes).toBeLessThan(MAX_BYTES);
  });

  it('should be nothing of what a page does not use', async () => {
    const code = await bundle(`export { applyChange } from 'tidings-client';`);
    expect(code.length).toBeLessThan(4_000);
    expect(code).not.toMatch(/import|WebSocket|BroadcastChannel/);
  });
});

describe('the schema in tidings-client', () => {
  const graphql = initGraphQLTada<{ introspection: typeof introspection; scalars: { DateTime: string } }>();

  it('should be that of the server', () => {
    const sdl = readFileSync(new URL('schema.graphql', ROOT), 'utf8');
    expect(readFileSync(require.resolve('tidings-client/schema.graphql'), 'utf8')).toBe(sdl);
    const described = printSchema(buildClientSchema(introspection as unknown as IntrospectionQuery));
    expect(described).toContain('createTodo(');
    expect(possibleTypes['CreateTodoResult']).toEqual(expect.arrayContaining(['Todo', 'ValidationError']));
    expect(JSON.parse(readFileSync(require.resolve('tidings-client/possibleTypes.json'), 'utf8'))).toEqual(
      possibleTypes,
    );
  });

  it('should type operations, which a server with a list of operations executes with those of the package', async () => {
    const TODOS = graphql(`query Todos { cursor todos(first: 2) { nodes { id title } } }`);
    const CHANGES = graphql(
      `subscription Changes($after: String) { todoChanged(after: $after) { action cursor id todo { title } } }`,
    );
    const folder = mkdtempSync(join(tmpdir(), 'tidings-list-'));
    const list = JSON.parse(readFileSync(require.resolve('tidings-client/operations.json'), 'utf8'));
    const own = Object.fromEntries([TODOS, CHANGES].map((document, index) => [`own${index}`, print(document)]));
    writeFileSync(join(folder, 'operations.json'), JSON.stringify({ ...list, ...own }));
    const app = await startApp({ OPERATION_LIST: join(folder, 'operations.json') });
    const session = createSession({ url: `${app.url}/graphql` });
    const transport = createTransport({ url: `${app.url}/graphql`, session, webSocketImpl: WebSocket, print });
    try {
      const data = await transport.request(TODOS);
      expectTypeOf(data.todos.nodes).toEqualTypeOf<{ id: string; title: string }[]>();
      expect(data.todos.nodes).toEqual([]);
      const events = resumable(transport, CHANGES);
      const first = events.next();
      await app.subscribed(1);
      await app.sql('INSERT INTO "Todo" ("title", "updatedAt") VALUES (?, ?)', 'typed', new Date().toISOString());
      const { value } = await first;
      expect(value?.todoChanged.todo?.title).toBe('typed');
      await events.return();
      await session.signOut();
    } finally {
      transport.close();
      await app.close();
      rmSync(folder, { recursive: true });
    }
  });
});
