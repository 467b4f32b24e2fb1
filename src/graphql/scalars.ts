import { GraphQLError } from 'graphql';
import type { Builder } from './builder.ts';

const ISO_INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/;

/** Adds the scalars that GraphQL itself lacks. */
export function defineScalars(builder: Builder): void {
  builder.scalarType('DateTime', {
    description:
      'An instant in ISO 8601 with its offset, given out in UTC with milliseconds: `2026-11-20T12:00:00.000Z`.',
    serialize: (instant) => instant.toISOString(),
    parseValue: (value) => {
      const instant = typeof value === 'string' && ISO_INSTANT.test(value) ? new Date(value) : null;
      if (!instant || Number.isNaN(instant.getTime())) {
        throw new GraphQLError('A DateTime is an instant in ISO 8601, like 2026-11-20T12:00:00Z.');
      }
      return instant;
    },
  });
}
