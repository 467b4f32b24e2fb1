import { z } from 'zod';
import { NotFoundError, ValidationError } from './errors.ts';

const REQUIRED = 'This field is required.';
const NOT_NULL = 'This field may not be null.';

function missingOr(sentence: string) {
  return (issue: { input?: unknown }): string => {
    if (issue.input === undefined) {
      return REQUIRED;
    }
    return issue.input === null ? NOT_NULL : sentence;
  };
}

/** How many Unicode characters a text has. */
export function lengthInCharacters(value: string): number {
  // Limits count Unicode characters, as the original databases did, not UTF-16 units.
  return value.length === 0 ? 0 : [...value].length;
}

/** Text of at most `max` characters; `blank` allows none at all, `trim: false` keeps the white space around it. */
export function text(max: number, { blank = false, trim = true }: { blank?: boolean; trim?: boolean } = {}) {
  const plain = z.string({ error: missingOr('Not a valid string.') });
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
  // The cheap bound first: counting characters of a huge text would cost more than refusing it.
  if (value.length > 2 * max || (value.length > max && lengthInCharacters(value) > max)) {
    yield `Ensure this field has no more than ${max} characters.`;
  }
  const unwritable = unwritableProblem(value);
  if (unwritable) {
    yield unwritable;
  }
}

/** Why a text can't be kept as it is, or null when it can. */
export function unwritableProblem(value: string): string | null {
  if (value.includes('\0')) {
    return 'Null characters are not allowed.';
  }
  return value.isWellFormed() ? null : 'Not a valid string.';
}

/**
 * The text that a filter compares a column with, which has at most `max` characters itself.
 *
 * @throws {ValidationError} when it is longer, or no text that a database holds
 */
export function filterText(path: string, value: string, max: number): string {
  const problems = [...textProblems(value, max, true)];
  if (problems.length > 0) {
    throw new ValidationError(problems.map((message) => ({ path: `filter.${path}`, message })));
  }
  return value;
}

/** True or false. */
export function truth() {
  return z.boolean({ error: missingOr('Must be a valid boolean.') });
}

/** One of a few words. */
export function oneOf<const Words extends readonly [string, ...string[]]>(words: Words) {
  return z.enum(words, { error: missingOr('Not a valid choice.') });
}

/** A whole number of 32 bits. */
export function int32() {
  return z.int32({ error: missingOr('A valid integer is required.') });
}

/** An input before validation, where every field may be null; `validate` reports it. */
export type Unchecked<Values> = { [Key in keyof Values]: Values[Key] | null };

/** The values of a checked input: a field that was left out is absent, never undefined. */
type Present<Values> = { [Key in keyof Values]: Exclude<Values[Key], undefined> };

/**
 * Checks an input against its limits and gives the cleaned values.
 *
 * @throws {ValidationError} naming every field that breaks one
 */
export function validate<Values extends object>(schema: z.ZodType<Values>, input: unknown): Present<Values> {
  const parsed = schema.safeParse(input);
  if (parsed.success) {
    return Object.fromEntries(
      Object.entries(parsed.data).filter(([, value]) => value !== undefined),
    ) as Present<Values>;
  }
  throw new ValidationError(
    parsed.error.issues.map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message })),
  );
}

const MAX_ID = 2 ** 31 - 1;

/** The key that a client's id stands for, or null when no row can have it. */
export function parseId(id: string | number): number | null {
  const digits = String(id);
  if (!/^[1-9]\d{0,9}$/.test(digits)) {
    return null;
  }
  const value = Number(digits);
  return value <= MAX_ID ? value : null;
}

/**
 * The key that a client's id stands for.
 *
 * @throws {NotFoundError} when no row can have it
 */
export function existingId(id: string | number): number {
  const key = parseId(id);
  if (key === null) {
    throw new NotFoundError();
  }
  return key;
}

/** No row has it: the value of a text that is no id. */
const NO_ID = 0;

/** The columns that a subscriber asked for and the ids that they have to hold, without those that were left out. */
export function wantedIds(ids: Readonly<Record<string, string | null | undefined>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(ids).flatMap(([column, id]) => (id == null ? [] : [[column, parseId(id) ?? NO_ID]])),
  );
}
