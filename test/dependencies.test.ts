import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const manifest = JSON.parse(read('package.json'));
/** What npm installs, by its folder. */
const locked: Readonly<Record<string, { resolved?: string; link?: true; optionalDependencies?: object }>> = JSON.parse(
  read('package-lock.json'),
).packages;

/** The packages that have a row of their own in a section of docs/dependencies.md. */
function documented(section: string): string[] {
  const text = read('docs/dependencies.md').split(`\n## ${section}\n`)[1]?.split('\n## ')[0] ?? '';
  return text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name));
}

describe('docs/dependencies.md', () => {
  it.each([
    ['Dependencies', { ...manifest.dependencies, ...manifest.optionalDependencies }],
    ['Development dependencies', manifest.devDependencies],
    ['Overrides', manifest.overrides],
    ['Install scripts', manifest.allowScripts],
  ])('should give the reason for each of: %s', (section, declared) => {
    const names = Object.keys(declared).map((name) => name.replace(/(?<=.)@.*/, ''));
    expect(documented(section).sort()).toEqual(names.sort());
  });
});

describe('package-lock.json', () => {
  const packages = Object.entries(locked).filter(([folder, { link }]) => folder.includes('node_modules/') && !link);

  it('should name no address but the public registry’s', () => {
    const elsewhere = packages.filter(
      ([, { resolved = '' }]) => !/^($|https:\/\/registry\.npmjs\.org\/)/.test(resolved),
    );
    expect(elsewhere.map(([folder]) => folder)).toEqual([]);
  });

  it('should name the packages of every platform, without which `npm ci` refuses it', () => {
    const optional = packages.flatMap(([, { optionalDependencies = {} }]) => Object.keys(optionalDependencies));
    const known = new Set(packages.map(([folder]) => folder.split('node_modules/').at(-1)));
    expect(optional.length).toBeGreaterThan(20);
    expect(optional.filter((name) => !known.has(name))).toEqual([]);
  });
});
