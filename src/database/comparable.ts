/** The range of times that both databases can store. */
const FIRST_INSTANT = new Date('0001-01-01T00:00:00.000Z');
const LAST_INSTANT = new Date('9999-12-31T23:59:59.999Z');

/**
 * Returns a value that PostgreSQL accepts in a comparison and that compares with all stored values as the given value does. PostgreSQL refuses texts with a NUL
 * character, which no stored text has, and times outside the range that it can store.
 */
export function comparable(value: unknown): unknown {
  if (typeof value === 'string') {
    return value.replaceAll('\0', '\uffff');
  }
  if (value instanceof Date) {
    if (value < FIRST_INSTANT) {
      return FIRST_INSTANT;
    }
    return value > LAST_INSTANT ? LAST_INSTANT : value;
  }
  return value;
}
