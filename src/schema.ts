import type { GraphQLSchema } from 'graphql';
import { defineAccounts } from './accounts/schema.ts';
import { defineChat } from './chat/schema.ts';
import { defineChatSubscriptions } from './chat/subscriptions.ts';
import { createBuilder, type SchemaOptions } from './graphql/builder.ts';
import { defineErrors } from './graphql/errors.ts';
import { countLongTexts } from './graphql/long-texts.ts';
import { defineNodeQueries } from './graphql/node.ts';
import { defineScalars } from './graphql/scalars.ts';
import { defineCursorQuery } from './graphql/subscriptions.ts';
import { defineNotes } from './notes/schema.ts';
import { defineNoteSubscriptions } from './notes/subscriptions.ts';
import { definePosts } from './posts/schema.ts';
import { definePostSubscriptions } from './posts/subscriptions.ts';
import { defineTodoLists } from './todos/lists-schema.ts';
import { defineTodos } from './todos/schema.ts';
import { defineTodoSubscriptions } from './todos/subscriptions.ts';

/** Every part of the schema. What all slices share comes first; the slices follow in any order. */
const PARTS = [
  defineScalars,
  defineErrors,
  defineNodeQueries,
  defineCursorQuery,
  defineAccounts,
  defineTodoLists,
  defineTodos,
  definePosts,
  defineChat,
  defineNotes,
  defineTodoSubscriptions,
  definePostSubscriptions,
  defineChatSubscriptions,
  defineNoteSubscriptions,
] as const;

/** Builds the executable schema, sorted by name. */
export function buildSchema(options: SchemaOptions): GraphQLSchema {
  const builder = createBuilder(options);
  for (const define of PARTS) {
    define(builder);
  }
  return countLongTexts(builder.toSchema({ sortSchema: true }));
}
