import { z } from 'zod';

/** Returns the schema of a text field that accepts numbers, like Django. */
export function textField<Field extends z.ZodType>(field: Field) {
  return z.preprocess((value) => (typeof value === 'number' ? String(value) : value), field);
}

const TRUE_VALUES: readonly unknown[] = [true, 1, '1', 't', 'T', 'true', 'True', 'TRUE'];
const FALSE_VALUES: readonly unknown[] = [false, 0, '0', 'f', 'F', 'false', 'False', 'FALSE'];

/** Returns the schema of a boolean field that accepts the same values as Django. */
export function booleanField<Field extends z.ZodType>(field: Field) {
  return z.preprocess((value) => {
    if (TRUE_VALUES.includes(value)) {
      return true;
    }
    return FALSE_VALUES.includes(value) ? false : value;
  }, field);
}

/** Returns the schema of an integer field that accepts text, like `"4"`. */
export function integerField<Field extends z.ZodType>(field: Field) {
  return z.preprocess(
    (value) => (typeof value === 'string' && /^\s*[+-]?\d{1,15}\s*$/.test(value) ? Number(value) : value),
    field,
  );
}
