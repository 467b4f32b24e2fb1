import type { GraphQLSchema } from 'graphql';
import { createBuilder, type SchemaOptions } from './graphql/builder.ts';
import { defineErrorTypes } from './graphql/error-types.ts';
import { countLongTexts } from './graphql/long-texts.ts';
import { defineNodeQueries } from './graphql/node.ts';
import { defineScalars } from './graphql/scalars.ts';
import { defineCursorQuery } from './graphql/subscriptions.ts';
import { SLICES } from './slices.ts';

/** The parts of the schema that all slices use. They are defined first. */
const SHARED = [defineScalars, defineErrorTypes, defineNodeQueries, defineCursorQuery];

/** Returns the executable schema, sorted by name. */
export function buildSchema(options: SchemaOptions): GraphQLSchema {
  const builder = createBuilder(options);
  for (const define of [...SHARED, ...SLICES.flatMap(({ schema }) => schema)]) {
    define(builder);
  }
  return countLongTexts(builder.toSchema({ sortSchema: true }));
}
