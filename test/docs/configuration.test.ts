import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/config.ts';
import { environment, VARIABLES } from '../../src/config/environment.ts';
import { configurationPage } from '../../src/config/reference.ts';
import { readPage } from './markdown.ts';

const page = readPage('docs/configuration.md').text;
const ROW = /^\| `([A-Z_]+)` \| (.*?) \| (.*?) ?\| (.*?) \| (.*) \|$/gm;

/** The rows of the page, one for each variable. */
const rows = [...page.matchAll(ROW)].map(([, name = '', fallback = '', unit = '', values = '']) => ({
  name,
  fallback: /^`([^`]+)`(?:, \d+ \w+)?$/.exec(fallback)?.[1],
  unit,
  values,
}));
const numbers = rows.flatMap(({ name, values }) => {
  const [, min, max] = /^(\d+) to (\d+)$/.exec(values) ?? [];
  return min === undefined ? [] : [{ name, min: Number(min), max: Number(max) }];
});
const listed = rows.filter(({ values }) => /^(`\w+`(, )?)+$/.test(values));

const UNITS: Readonly<Record<string, string>> = { MS: 'ms', PER_S: 'bytes/s', S: 's', BYTES: 'bytes' };

describe('docs/configuration.md', () => {
  it('should be what `npm run configuration` writes', () => {
    expect(page, 'Run `npm run configuration`.').toBe(configurationPage());
  });

  it('should have a row for every variable that the parser knows', () => {
    expect(rows.map(({ name }) => name)).toEqual([...VARIABLES.keys()]);
    expect(rows.map(({ name }) => name).sort()).toEqual(Object.keys(environment.shape).sort());
  });

  it('should name the default that the parser has', () => {
    const defaults = environment.parse({}) as Record<string, unknown>;
    const stated = rows.filter(({ fallback }) => fallback !== undefined);
    expect(stated.length).toBeGreaterThan(40);
    for (const { name, fallback } of stated) {
      expect([name, (environment.parse({ [name]: fallback }) as Record<string, unknown>)[name]]).toEqual([
        name,
        defaults[name],
      ]);
    }
    for (const { name } of rows.filter(({ fallback }) => fallback === undefined)) {
      expect([name, defaults[name]]).toEqual([name, undefined]);
    }
  });

  it('should name the bounds that the parser has', () => {
    expect(numbers.length).toBeGreaterThan(40);
    for (const { name, min, max } of numbers) {
      expect(() => parseConfig({ [name]: String(min) })).not.toThrow();
      expect(() => parseConfig({ [name]: String(max) })).not.toThrow();
      expect(() => parseConfig({ [name]: String(max + 1) })).toThrow(`${name} must be between ${min} and ${max}`);
      expect(() => parseConfig({ [name]: String(min - 1) })).toThrow(`${name} must be`);
    }
  });

  it('should name the words that the parser accepts', () => {
    expect(listed.map(({ name }) => name)).toEqual(expect.arrayContaining(['LOG_LEVEL', 'SQLITE_SYNCHRONOUS']));
    for (const { name, values } of listed) {
      for (const [, word] of values.matchAll(/`(\w+)`/g)) {
        expect(() => parseConfig({ [name]: word })).not.toThrow();
      }
      expect(() => parseConfig({ [name]: 'another' })).toThrow(`${name} must be`);
    }
  });

  it('should name the unit that is in the name of a variable', () => {
    for (const { name, unit } of rows) {
      const suffix = Object.keys(UNITS).find((each) => name.endsWith(`_${each}`));
      expect([name, unit]).toEqual([name, suffix === undefined ? '' : UNITS[suffix]]);
    }
  });
});
