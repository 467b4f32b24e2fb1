import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Person } from './kit/person.ts';
import { createDatabase } from './kit/postgres.ts';
import { describeWith } from './kit/present.ts';
import { startProcess } from './kit/process.ts';

const ROOT = join(import.meta.dirname, '..');
/** The largest size of the packages in the image, in bytes. */
const MAX_BYTES = 150_000_000;
const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { dependencies: object };

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

describe('the built program', () => {
  it('should import no package but its dependencies', () => {
    const sources = filesOf(join(ROOT, 'dist')).filter((path) => path.endsWith('.js') && !path.includes('/graphiql/'));
    const imported = sources.flatMap((path) =>
      [
        ...readFileSync(path, 'utf8').matchAll(
          /(?:from |import\(|require\(|resolve\(|^import )\s*['"]([^'"./][^'"]*)['"]/gm,
        ),
      ].map(([, name = '']) => name),
    );
    const packages = new Set(
      imported.filter((name) => !name.startsWith('node:')).map((name) => /^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name),
    );
    expect(packages.size).toBeGreaterThan(20);
    expect([...packages].filter((name) => !(name in dependencies) && !builtinModules.includes(name))).toEqual([]);
  });
});

describe('the files of the image', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-image-'));
  const main = join(folder, 'dist/main.js');
  beforeAll(() => {
    execFileSync(process.execPath, [join(ROOT, 'scripts/image-tree.js'), folder], { stdio: 'pipe' });
  }, 60_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function serves(env: Record<string, string>): Promise<void> {
    const server = await startProcess({ ...env, TIDINGS_TEST_MAIN: main });
    const anyone = new Person(server.url, null, '');
    await anyone.gql('mutation { createTodo(input: { title: "from the image" }) { __typename } }');
    const { todos } = await anyone.gql('{ todos(first: 1) { nodes { title } } }');
    expect(todos.nodes).toEqual([{ title: 'from the image' }]);
    const pages = ['/graphql', '/openapi.json', '/ready'].map((path) =>
      fetch(`${server.url}${path}`, { headers: { accept: 'text/html, application/json' } }),
    );
    expect((await Promise.all(pages)).map(({ status }) => status)).toEqual([200, 200, 200]);
    expect((await server.stop()).code).toBe(0);
  }

  it('should be few', () => {
    const bytes = filesOf(join(folder, 'node_modules')).reduce((sum, path) => sum + statSync(path).size, 0);
    expect(bytes).toBeLessThan(MAX_BYTES);
    for (const name of ['prisma', 'typescript', 'react', 'vite']) {
      expect(readdirSync(join(folder, 'node_modules'))).not.toContain(name);
    }
  });

  it('should serve a SQLite file', () => serves({ DATABASE_URL: `file:${folder}/tidings.db` }));

  describeWith('postgres', 'with PostgreSQL', () => {
    it('should serve a database', async () => {
      const { url, remove } = await createDatabase();
      await serves({ DATABASE_URL: url, SECRET_KEY: 'b7e1c0d94a58f36271e5d8a0c93f4b62' });
      await remove();
    });
  });
});
