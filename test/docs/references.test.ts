import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse, validate } from 'graphql';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/config.ts';
import { ERROR_CATALOGUE } from '../../src/errors.ts';
import { buildSchema } from '../../src/schema.ts';
import { anchorsOf, blocksOf, isFile, ROOT, readPage, readPages } from './markdown.ts';

const pages = readPages();
const schema = buildSchema(parseConfig({}).graphql);

/** The cells of all rows of a page's tables. */
function rowsOf(text: string): string[][] {
  return [...text.matchAll(/^\| (.*) \|$/gm)].map(([, row = '']) => row.split(' | ').map((cell) => cell.trim()));
}

/** The texts between backticks. */
const quoted = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);

describe.each(pages)('the page $path', ({ path, text, blocks }) => {
  it('should link to files and headings that exist', () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)];
    const broken = links.filter(([, target = '', anchor]) => {
      const file = target === '' ? path : join(dirname(path), target);
      return !isFile(file) || (anchor !== undefined && !anchorsOf(readPage(file).text).includes(anchor));
    });
    expect(broken.map(([link]) => link)).toEqual([]);
  });

  it('should name paths of the repository that exist', () => {
    const paths = quoted(text).filter((code) =>
      /^(src|test|bench|docs|examples|prisma|drivers|scripts|bin|deploy)\/[\w./-]*$/.test(code),
    );
    // docs/add-a-domain.md makes the files of its example.
    const missing = paths.filter((code) => !isFile(code) && !text.includes(` file=${code}\n`));
    expect(missing).toEqual([]);
  });

  it('should contain GraphQL that the schema allows', () => {
    const documents = blocks.filter(({ language }) => language === 'graphql');
    expect(documents.flatMap(({ text }) => validate(schema, parse(text)).map(({ message }) => message))).toEqual([]);
  });
});

describe('the pages', () => {
  it('should list every error code with its status', () => {
    const documented = rowsOf(readPage('docs/clients.md').text)
      .filter(([code = '']) => /^`[A-Z_]+`$/.test(code))
      .map(([code = '', status]) => [code.slice(1, -1), Number(status)]);
    expect(Object.fromEntries(documented)).toEqual(
      Object.fromEntries(Object.entries(ERROR_CATALOGUE).map(([code, { status }]) => [code, status])),
    );
  });

  it('should list every folder of src/ in the README, and no other', () => {
    const documented = rowsOf(readPage('README.md').text)
      .flatMap(([names = '']) => quoted(names))
      .filter((name) => /^[\w-]+\/$/.test(name));
    const folders = (within: string): string[] =>
      readdirSync(`${ROOT}${within}`, { withFileTypes: true })
        .filter((entry) => entry.isDirectory() && entry.name !== 'generated')
        .map(({ name }) => `${name}/`);
    const others = [
      'prisma/',
      'graphiql/',
      'public/',
      'drivers/',
      'clients/',
      'examples/',
      'bench/',
      'bin/',
      'deploy/',
      'test/',
      'src/',
    ];
    expect(documented.filter((name) => !others.includes(name)).sort()).toEqual(folders('src').sort());
  });

  it('should list every path of the OpenAPI document in docs/rest.md', async () => {
    const { startApp } = await import('../kit/app.ts');
    const app = await startApp();
    const { paths } = (await (await fetch(`${app.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, { responses?: unknown }> & { 'x-aliases'?: string[] }>;
    };
    await app.close();
    const served = Object.entries(paths).flatMap(([path, { 'x-aliases': aliases = [], ...item }]) => {
      const methods = Object.keys(item).filter((method) => item[method]?.responses);
      return [path, ...aliases].map((each) => [each, methods.map((method) => method.toUpperCase()).sort()]);
    });
    const documented = rowsOf(readPage('docs/rest.md').text).flatMap(([paths = '', methods = '']) =>
      quoted(paths)
        .filter((path) => path.startsWith('/'))
        .map((path) => [path, methods.split(', ').sort()]),
    );
    expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(served));
  });
});

describe('the reader of pages', () => {
  it('should find blocks inside lists, and anchors with code', () => {
    expect(blocksOf('- a\n\n  ```sh\n  ls\n  ```\n')).toEqual([{ language: 'sh', text: 'ls\n' }]);
    expect(anchorsOf('## /ws/subscribe/\n```sh\n# no\n```\n### RESYNC_REQUIRED now')).toEqual([
      'wssubscribe',
      'resync_required-now',
    ]);
  });
});
