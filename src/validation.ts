import { z } from 'zod';
import { NotFoundError, ValidationError } from './errors.ts';

const REQUIRED = 'This field is required.';
const NOT_NULL = 'This field may not be null.';

function requiredOr(sentence: string) {
  return (issue: { input?: unknown }): string => {
    if (issue.input === undefined) {
      return REQUIRED;
    }
    return issue.input === null ? NOT_NULL : sentence;
  };
}

/** Returns the number of Unicode characters in a text. */
export function lengthInCharacters(value: string): number {
  // Code points, not UTF-16 units: the limits are those of database columns, which count characters.
  return value.length === 0 ? 0 : [...value].length;
}

/** Returns the schema of a text of at most `max` characters; `blank` allows the empty text, `trim: false` keeps surrounding white space. */
export function text(max: number, { blank = false, trim = true }: { blank?: boolean; trim?: boolean } = {}) {
  const plain = z.string({ error: requiredOr('Not a valid string.') });
  return (trim ? plain.trim() : plain)
    .superRefine((value, issues) => {
      for (const message of textProblems(value, max, blank)) {
        issues.addIssue({ code: 'custom', message });
      }
    })
    .meta({ minLength: blank ? 0 : 1, maxLength: max });
}

function* textProblems(value: string, max: number, blank: boolean): Generator<string> {
  if (!blank && value === '') {
    yield 'This field may not be blank.';
  }
  // The length in UTF-16 units first: counting the characters of a very long text is slow.
  if (value.length > 2 * max || (value.length > max && lengthInCharacters(value) > max)) {
    yield `Ensure this field has no more than ${max} characters.`;
  }
  const unwritable = unwritableProblem(value);
  if (unwritable) {
    yield unwritable;
  }
}

/** Returns why a database cannot store a text; null when it can. */
export function unwritableProblem(value: string): string | null {
  if (value.includes('\0')) {
    return 'Null characters are not allowed.';
  }
  return value.isWellFormed() ? null : 'Not a valid string.';
}

/**
 * Returns the text of a filter on a column of at most `max` characters.
 *
 * @throws {ValidationError} when the text is longer, or a database cannot store it
 */
export function filterText(path: string, value: string, max: number): string {
  const problems = [...textProblems(value, max, true)];
  if (problems.length > 0) {
    throw new ValidationError(problems.map((message) => ({ path: `filter.${path}`, message })));
  }
  return value;
}

/** Returns the schema of a boolean. */
export function boolean() {
  return z.boolean({ error: requiredOr('Must be a valid boolean.') });
}

/** Returns the schema of a text that is one of `words`. */
export function oneOf<const Words extends readonly [string, ...string[]]>(words: Words) {
  return z.enum(words, { error: requiredOr('Not a valid choice.') });
}

/** Returns the schema of an integer of 32 bits. */
export function int32() {
  return z.int32({ error: requiredOr('A valid integer is required.') });
}

/** An input before validation, in which any field may be null; `validate` reports it. */
export type Unvalidated<Values> = { [Key in keyof Values]: Values[Key] | null };

/** The values of a valid input: a field that was left out is absent, never undefined. */
type Validated<Values> = { [Key in keyof Values]: Exclude<Values[Key], undefined> };

/**
 * Validates an input. Returns its normalized values.
 *
 * @throws {ValidationError} with all fields that are not valid
 */
export function validate<Values extends object>(schema: z.ZodType<Values>, input: unknown): Validated<Values> {
  const parsed = schema.safeParse(input);
  if (parsed.success) {
    return Object.fromEntries(
      Object.entries(parsed.data).filter(([, value]) => value !== undefined),
    ) as Validated<Values>;
  }
  throw new ValidationError(
    parsed.error.issues.map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message })),
  );
}

const MAX_ID = 2 ** 31 - 1;

/** Returns the primary key for an id from a client; null when no row can have it. */
export function parseId(id: string | number): number | null {
  const digits = String(id);
  if (!/^[1-9]\d{0,9}$/.test(digits)) {
    return null;
  }
  const value = Number(digits);
  return value <= MAX_ID ? value : null;
}

/**
 * Returns the primary key for an id from a client.
 *
 * @throws {NotFoundError} when no row can have it
 */
export function requireId(id: string | number): number {
  const key = parseId(id);
  if (key === null) {
    throw new NotFoundError();
  }
  return key;
}

/** Sentinel for a malformed id; matches no row. */
const NO_ID = 0;

/** Returns the primary keys that columns have to contain, by column, without the columns that were left out. */
export function idsByColumn(ids: Readonly<Record<string, string | null | undefined>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(ids).flatMap(([column, id]) => (id == null ? [] : [[column, parseId(id) ?? NO_ID]])),
  );
}
