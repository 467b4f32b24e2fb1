import { z } from 'zod';

/** How much of a value is secret: all of it, or the password within a URL. */
export type Secrecy = 'value' | 'password';

/** One environment variable: how its text is parsed, and what docs/configuration.md, `--help` and `--print-config` say about it. Texts are Markdown. */
export interface Variable<Schema extends z.ZodType = z.ZodType> {
  readonly schema: Schema;
  /** The purpose of the variable, in one line. `--help` prints it up to the first semicolon or the end of the first sentence. */
  readonly meaning: string;
  /** The allowed values. */
  readonly values: string;
  /** The unit of the value; null for a count and for what is not a number. */
  readonly unit: Unit | null;
  /** The default as it would be set in the environment; null when the server works without the variable. */
  readonly fallback: string | null;
  /** The situation without the variable, for variables without a default. */
  readonly absence: string;
  /** Null for a value that may be printed. A secret variable may also be read from the file that `<NAME>_FILE` names. */
  readonly secrecy: Secrecy | null;
}

/** The unit of a number; a number without one is a count. */
export type Unit = 'ms' | 's' | 'bytes' | 'bytes/s';

/** A heading of docs/configuration.md with its variables by name. */
export interface VariableGroup {
  readonly title: string;
  readonly variables: Readonly<Record<string, Variable>>;
}

interface Texts {
  readonly meaning: string;
  readonly values: string;
  readonly secrecy?: Secrecy;
  readonly unit?: Unit | undefined;
}

type TextSchema = z.ZodType<unknown, string>;

/** Returns a variable with a default, which is parsed like a value of the environment. */
export function defaulted<Schema extends TextSchema>(
  schema: Schema,
  { fallback, secrecy, unit, ...texts }: Texts & { readonly fallback: string },
): Variable<z.ZodPrefault<Schema>> {
  const parsed = z.prefault(schema, fallback as z.input<Schema>);
  return { ...texts, schema: parsed, fallback, absence: '', secrecy: secrecy ?? null, unit: unit ?? null };
}

/** Returns a variable without a default; `absence` says what holds without it. */
export function optional<Schema extends TextSchema>(
  schema: Schema,
  { absence, secrecy, unit, ...texts }: Texts & { readonly absence: string },
): Variable<z.ZodOptional<Schema>> {
  return {
    ...texts,
    schema: z.optional(schema),
    fallback: null,
    absence,
    secrecy: secrecy ?? null,
    unit: unit ?? null,
  };
}

/** Returns a variable that is true or false. */
export function flag(fallback: boolean, meaning: string) {
  const schema = z
    .enum(['true', 'false', '1', '0'], { error: 'must be true or false' })
    .transform((text) => text === 'true' || text === '1');
  return defaulted(schema, { fallback: String(fallback), meaning, values: '`true`, `false`' });
}

/** Returns a variable whose value is one of some words. */
export function oneOf<const Words extends readonly string[]>(words: Words, fallback: Words[number], meaning: string) {
  const last = words.length - 1;
  const error = `must be ${words.slice(0, last).join(', ')} or ${words[last]}`;
  const values = words.map((word) => `\`${word}\``).join(', ');
  return defaulted(z.enum(words, { error }), { fallback, meaning, values });
}

/** The bounds of a number, both included, and its unit. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly unit?: Unit;
}

function boundedNumber({ min, max }: Bounds) {
  return z
    .string()
    .regex(/^\d{1,15}$/, { error: 'must be a whole number' })
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error: `must be between ${min} and ${max}` });
}

function valuesOf({ min, max }: Bounds): string {
  return `${min} to ${max}`;
}

/** Returns a variable that is a whole number with a default. */
export function wholeNumber(fallback: number, bounds: Bounds, meaning: string) {
  const texts = { meaning, values: valuesOf(bounds), unit: bounds.unit };
  return defaulted(boundedNumber(bounds), { ...texts, fallback: String(fallback) });
}

/** Returns a variable that is a whole number without a default; `absence` says what holds without it. */
export function optionalNumber({ absence, ...bounds }: Bounds & { readonly absence: string }, meaning: string) {
  const texts = { meaning, values: valuesOf(bounds), unit: bounds.unit };
  return optional(boundedNumber(bounds), { ...texts, absence });
}

/** Returns the trimmed items of a list that is separated by commas, without empty ones. */
export function listOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean);
}
