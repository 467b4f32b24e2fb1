/** Returns a time in the format of the documented paths: ISO 8601 in UTC, with six digits of fraction unless it is zero. */
export function dateBody(date: Date): string {
  const text = date.toISOString();
  return date.getUTCMilliseconds() === 0 ? text.replace('.000Z', 'Z') : text.replace('Z', '000Z');
}
