import { z } from 'zod';
import { flag, optional, wholeNumber } from './variable.ts';

const MIB = 1_048_576;

/** The limits and settings of GraphQL. */
export const GRAPHQL_VARIABLES = {
  QUERY_CHARACTER_LIMIT: wholeNumber(
    262_144,
    { min: 1000, max: 16 * MIB },
    'the characters of a document; long texts belong in variables',
  ),
  QUERY_DEPTH_LIMIT: wholeNumber(12, { min: 1, max: 1000 }, 'the levels of nested fields of a document'),
  QUERY_ALIAS_LIMIT: wholeNumber(30, { min: 0, max: 10_000 }, 'the aliases of a document'),
  QUERY_TOKEN_LIMIT: wholeNumber(2000, { min: 100, max: 100_000 }, 'the tokens of a document'),
  QUERY_DIRECTIVE_LIMIT: wholeNumber(30, { min: 0, max: 10_000 }, 'the directives of a document'),
  QUERY_COMPLEXITY_LIMIT: wholeNumber(
    20_000,
    { min: 10, max: 10_000_000 },
    'the cost of an operation; a field costs 1, and the fields of a list as often as the list may be long',
  ),
  QUERY_SEARCH_LIMIT: wholeNumber(
    16,
    { min: 1, max: 1_000_000 },
    'the number of lists that one operation may search; a filter and a `totalCount` count 1, a filter by a part of a text 2, and each type of `search` 2. The lists of many objects, as in `todoLists { nodes { todos } }`, are searched together',
  ),
  QUERY_SCAN_LIMIT: wholeNumber(
    100_000,
    { min: 1, max: 1_000_000_000 },
    'the objects of a list that a filter by a part of a text, such as `titleContains`, examines for one page; beyond, it fails with `COMPLEXITY`',
  ),
  ANSWER_LIMIT_BYTES: wholeNumber(
    16 * MIB,
    { min: 1024, max: 1024 * MIB, unit: 'bytes' },
    'the text that a GraphQL operation may read, and the size of its response; beyond, it fails with `COMPLEXITY`. REST lists are streamed and have no limit',
  ),
  GRAPHQL_INTROSPECTION: flag(true, 'whether clients may read the schema, and errors suggest names of it'),
  OPERATION_LIST: optional(z.string().min(1), {
    absence: 'all operations',
    meaning:
      "a file of the operations that may be executed, and no others; an `apollo-persisted-query-manifest`, or a JSON object of texts by their ids as Relay's compiler writes it",
    values: 'a path',
  }),
};
