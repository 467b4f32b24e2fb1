import { GraphQLError } from 'graphql';
import type { Builder } from './builder.ts';

const ISO_INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/;

/** Adds the custom scalars. */
export function defineScalars(builder: Builder): void {
  builder.scalarType('DateTime', {
    description:
      'A point in time in ISO 8601. Results are in UTC with milliseconds: `2026-11-20T12:00:00.000Z`. Inputs need `Z` or an offset such as `+01:00`, and may leave out the seconds; fractions of a second are kept to the millisecond.',
    serialize: (instant) => instant.toISOString(),
    parseValue: (value) => {
      const instant = typeof value === 'string' && ISO_INSTANT.test(value) ? new Date(value) : null;
      if (!instant || Number.isNaN(instant.getTime())) {
        throw new GraphQLError(
          'A DateTime must be a date and time in ISO 8601 with Z or an offset, like 2026-11-20T12:00:00Z.',
        );
      }
      return instant;
    },
  });
}
