import { z } from 'zod';

/** A text field of a documented body: a number counts as its text. */
export function textField<Field extends z.ZodType>(field: Field) {
  return z.preprocess((value) => (typeof value === 'number' ? String(value) : value), field);
}

const TRUE_VALUES: readonly unknown[] = [true, 1, '1', 't', 'T', 'true', 'True', 'TRUE'];
const FALSE_VALUES: readonly unknown[] = [false, 0, '0', 'f', 'F', 'false', 'False', 'FALSE'];

/** A truth value in one of the spellings that the original took. */
export function truthField<Field extends z.ZodType>(field: Field) {
  return z.preprocess((value) => {
    if (TRUE_VALUES.includes(value)) {
      return true;
    }
    return FALSE_VALUES.includes(value) ? false : value;
  }, field);
}

/** A whole number, also as text (`"4"`). */
export function integerField<Field extends z.ZodType>(field: Field) {
  return z.preprocess(
    (value) => (typeof value === 'string' && /^\s*[+-]?\d{1,15}\s*$/.test(value) ? Number(value) : value),
    field,
  );
}
