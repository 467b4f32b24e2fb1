/** Returns a moment in UTC for a file name, to the second: `20261122T053649Z`. */
export function timestamp(moment: Date): string {
  return moment.toISOString().replace(/[-:]|\.\d+/g, '');
}

/** Returns the moment that {@link timestamp} wrote, in milliseconds since 1970. */
export function parseTimestamp(text: string): number {
  return Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
}
