/** From here to there both databases can hold a time. */
const FIRST_INSTANT = new Date('0001-01-01T00:00:00.000Z');
const LAST_INSTANT = new Date('9999-12-31T23:59:59.999Z');

/**
 * A value to look for that PostgreSQL takes, too, and that compares with what is stored as the given one does: it refuses even to look for a NUL, which
 * no text of ours holds, and for times of the years that it can't write.
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
