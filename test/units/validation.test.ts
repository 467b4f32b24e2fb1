import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { NotFoundError, ValidationError } from '../../src/errors.ts';
import {
  boolean,
  filterText,
  idsByColumn,
  int32,
  lengthInCharacters,
  oneOf,
  parseId,
  requireId,
  text,
  unwritableProblem,
  validate,
} from '../../src/validation.ts';

const LONE_SURROGATE = '\ud83d';

/** Returns the problems of one value of a field, in the order of the response. */
function problemsOf(schema: z.ZodType, value: unknown): string[] {
  try {
    validate(z.object({ field: schema }), value === undefined ? {} : { field: value });
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ValidationError);
    const { fields } = error as ValidationError;
    expect(fields.every(({ path }) => path === 'field')).toBe(true);
    return fields.map(({ message }) => message);
  }
}

describe('a field', () => {
  it.each([
    ['text', () => text(10), 'Not a valid string.', 5],
    ['boolean', () => boolean(), 'Must be a valid boolean.', 'true'],
    ['choice', () => oneOf(['ONE', 'TWO']), 'Not a valid choice.', 'THREE'],
    ['integer', () => int32(), 'A valid integer is required.', '1'],
  ])('should say whether a %s is absent, null or of another type', (_, schemaOf, sentence, other) => {
    const schema = schemaOf();
    expect(problemsOf(schema, undefined)).toEqual(['This field is required.']);
    expect(problemsOf(schema, null)).toEqual(['This field may not be null.']);
    expect(problemsOf(schema, other)).toEqual([sentence]);
  });

  it('should accept what it is declared for', () => {
    const schema = z.object({ done: boolean(), size: oneOf(['S', 'M']), count: int32() });
    const input = { done: false, size: 'M', count: -(2 ** 31) };
    expect(validate(schema, input)).toEqual(input);
    expect(validate(int32().array(), [2 ** 31 - 1])).toEqual({ 0: 2 ** 31 - 1 });
  });

  it.each([1.5, 2 ** 31, -(2 ** 31) - 1, Number.NaN])('should refuse %s as an integer of 32 bits', (value) => {
    expect(problemsOf(int32(), value)).toEqual(['A valid integer is required.']);
  });
});

describe('a text', () => {
  it('should have at most as many characters as are allowed, however many UTF-16 units they take', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii', maxLength: 12 }), fc.nat({ max: 6 }), (ascii, pairs) => {
        const value = `x${ascii}${'😀'.repeat(pairs)}x`;
        const tooLong = [...value].length > 10;
        expect(problemsOf(text(10), value)).toEqual(
          tooLong ? ['Ensure this field has no more than 10 characters.'] : [],
        );
      }),
    );
  });

  it.each([
    ['letters', 'a'],
    ['pairs of surrogates', '😀'],
  ])('should accept exactly its limit of %s', (_, character) => {
    expect(problemsOf(text(10), character.repeat(10))).toEqual([]);
    expect(problemsOf(text(10), character.repeat(11))).toEqual(['Ensure this field has no more than 10 characters.']);
  });

  it('should lose surrounding white space before it is measured, unless that is kept', () => {
    const trimmed = z.object({ title: text(3) });
    const kept = z.object({ title: text(5, { trim: false }) });
    expect(validate(trimmed, { title: '  \tabc\n ' })).toEqual({ title: 'abc' });
    expect(validate(kept, { title: ' abc ' })).toEqual({ title: ' abc ' });
    expect(problemsOf(text(3, { trim: false }), ' abc ')).toHaveLength(1);
  });

  it('should be blank only where that is allowed', () => {
    const blank = ['This field may not be blank.'];
    expect(problemsOf(text(10), '')).toEqual(blank);
    expect(problemsOf(text(10), ' \n ')).toEqual(blank);
    expect(problemsOf(text(10, { blank: true }), ' ')).toEqual([]);
    expect(problemsOf(text(10, { trim: false }), ' ')).toEqual([]);
    expect(problemsOf(text(10, { trim: false }), '')).toEqual(blank);
  });

  it('should not be one that a database cannot store', () => {
    expect(problemsOf(text(10), 'a\0b')).toEqual(['Null characters are not allowed.']);
    expect(problemsOf(text(10), LONE_SURROGATE)).toEqual(['Not a valid string.']);
    expect(unwritableProblem('a\0b')).toBe('Null characters are not allowed.');
    expect(unwritableProblem(`a${LONE_SURROGATE}b`)).toBe('Not a valid string.');
    expect(unwritableProblem('a😀b')).toBeNull();
  });

  it('should have all its problems named', () => {
    expect(problemsOf(text(2), 'a\0b')).toEqual([
      'Ensure this field has no more than 2 characters.',
      'Null characters are not allowed.',
    ]);
  });

  it('should have its limits in the schema, from which the REST documentation is made', () => {
    expect(text(50).meta()).toMatchObject({ minLength: 1, maxLength: 50 });
    expect(text(50, { blank: true }).meta()).toMatchObject({ minLength: 0, maxLength: 50 });
  });

  it('should be measured in characters', () => {
    expect([lengthInCharacters(''), lengthInCharacters('ab'), lengthInCharacters('😀é')]).toEqual([0, 2, 2]);
  });
});

describe('the text of a filter', () => {
  it('should be taken as it is, blank or with white space', () => {
    expect([filterText('title', '', 5), filterText('title', ' a ', 5)]).toEqual(['', ' a ']);
  });

  it('should be refused with the path of the filter', () => {
    expect(() => filterText('title.contains', 'abc\0', 3)).toThrow(
      expect.objectContaining({
        code: 'VALIDATION',
        fields: [
          { path: 'filter.title.contains', message: 'Ensure this field has no more than 3 characters.' },
          { path: 'filter.title.contains', message: 'Null characters are not allowed.' },
        ],
      }),
    );
  });
});

describe('an input', () => {
  it('should have all fields validated, with dotted paths', () => {
    const schema = z.object({ title: text(3), usernames: z.array(text(3)) });
    expect(() => validate(schema, { title: null, usernames: ['ann', 'robert'] })).toThrow(
      expect.objectContaining({
        fields: [
          { path: 'title', message: 'This field may not be null.' },
          { path: 'usernames.1', message: 'Ensure this field has no more than 3 characters.' },
        ],
      }),
    );
  });

  it('should have no keys for fields that were left out, so that an update does not touch them', () => {
    const schema = z.object({ title: text(3).optional(), note: text(3).nullish() });
    expect(Object.keys(validate(schema, { title: undefined }))).toEqual([]);
    expect(validate(schema, { title: undefined, note: null })).toStrictEqual({ note: null });
  });
});

describe('an id from a client', () => {
  it('should be the key for each that a row can have, as a number or as text', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 - 1 }), (id) => {
        expect([parseId(id), parseId(String(id)), requireId(String(id))]).toEqual([id, id, id]);
      }),
    );
    expect(parseId('2147483647')).toBe(2_147_483_647);
  });

  it.each(['', '0', '-1', '01', '1.0', '1e3', ' 1', '1 ', '+1', 'x1', '1x', '٣', '2147483648', '11111111111', '0x1'])(
    'should be none for %j',
    (id) => {
      expect(parseId(id)).toBeNull();
      expect(() => requireId(id)).toThrow(NotFoundError);
    },
  );

  it('should match no row in a filter when no row can have it, and be left out when it was', () => {
    const ids = idsByColumn({ listId: '7', ownerId: 'nonsense', authorId: null, chatId: undefined });
    expect(ids).toStrictEqual({ listId: 7, ownerId: 0 });
    expect(parseId(0)).toBeNull();
  });
});
