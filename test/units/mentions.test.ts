import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mentionedBy, startsOf } from '../../src/chat/mentions.ts';
import { usernameKey } from '../../src/identity/usernames.ts';

const NAMES = ['ann', 'ann.', 'ann-marie', 'Ben@home', '@eve', 'dan_', 'zoë', '李', 'a', 'b.b'] as const;

const idsOf = (names: readonly string[]): ReadonlyMap<string, number> =>
  new Map(names.map((name, index) => [usernameKey(name), index]));

function mentionsIn(text: string, names: readonly string[] = NAMES): string[] {
  return mentionedBy(startsOf(text), idsOf(names)).map((index) => names[index] ?? '');
}

/** The rule in other words: at each `@`, from left to right, the longest name that fits. */
function expectedIn(text: string, names: readonly string[]): string[] {
  const isWord = (character = ' '): boolean => /[\p{L}\p{N}\p{M}_]/u.test(character);
  const found = new Set<string>();
  const characters = [...text];
  for (let at = 0; at < characters.length; at++) {
    if (characters[at] !== '@' || isWord(characters[at - 1])) {
      continue;
    }
    const fitting = names.filter((name) => {
      const end = at + 1 + [...name].length;
      const written = characters.slice(at + 1, end).join('');
      return written.toLowerCase() === name.toLowerCase() && !isWord(characters[end]);
    });
    const [longest] = fitting.sort((left, right) => right.length - left.length);
    if (longest) {
      found.add(longest);
      at += [...longest].length;
    }
  }
  return [...found];
}

describe('the mentions of a text', () => {
  it.each([
    ['@ann', ['ann']],
    ['hello @ANN, and @ann!', ['ann']],
    ['(@ben@home)', ['Ben@home']],
    ['@ben@homer', []],
    ['ann@ann.org _@ann', []],
    ['@anna @annä @ann_ @ann1', []],
    ['@ann.', ['ann.']],
    ['@ann-marie', ['ann-marie']],
    ['@ann-maria', ['ann']],
    ['@@eve @eve', ['@eve']],
    ['@@ann', ['ann']],
    ['@dan_ @dan', ['dan_']],
    ['@ZOË @zoe\u0308', ['zoë']],
    ['@李，你好', ['李']],
    ['@ ann @', []],
    ['@ann@ann', ['ann']],
  ])('should be found by the documented rule in %j', (text, names) => {
    expect(mentionsIn(text)).toEqual(names);
    expect(expectedIn(text.normalize('NFC'), NAMES)).toEqual(names);
  });

  it('should be those of the rule in any text', () => {
    const pieces = fc.constantFrom(
      '@',
      '@',
      'ann',
      'a',
      'b',
      '.',
      '_',
      '-',
      ' ',
      'ben',
      'home',
      'eve',
      'dan',
      '李',
      'Ë',
      '😀',
    );
    const texts = fc.array(pieces, { maxLength: 30 }).map((all) => all.join(''));
    fc.assert(
      fc.property(texts, fc.subarray([...NAMES]), (text, names) => {
        expect(mentionsIn(text, names)).toEqual(expectedIn(text, names));
      }),
      { numRuns: 500 },
    );
  });

  it('should be found up to fifty, and in little time whatever the text', () => {
    const names = Array.from({ length: 60 }, (_, index) => `u${index}`);
    expect(mentionsIn(names.map((name) => `@${name}`).join(' '), names)).toEqual(names.slice(0, 50));
    const begun = performance.now();
    for (const text of [
      '@'.repeat(2000),
      '@.'.repeat(1000),
      `@${'a.'.repeat(999)}`,
      '@ﷺ'.repeat(1000),
      ' @a-'.repeat(500),
    ]) {
      startsOf(text);
    }
    expect(performance.now() - begun).toBeLessThan(1000);
  });

  it('should not be longer than a username', () => {
    const name = 'x'.repeat(150);
    expect(mentionsIn(`@${name}`, [name])).toEqual([name]);
    expect(mentionsIn(`@${name}.`, [name])).toEqual([name]);
    expect(mentionsIn(`@${name}y`, [name])).toEqual([]);
  });
});
