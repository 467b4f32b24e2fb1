import type { Environment } from './environment.ts';

/** The limits of what one GraphQL operation reads and answers. */
export interface AnswerLimits {
  /** The largest number of bytes of texts to read, and of texts in the answer. */
  readonly maxBytes: number;
  /** The largest number of list scans: a filter or a count costs 1, a text search 2. */
  readonly maxSearches: number;
  /** The largest number of rows that a filter by a part of a text examines for one page. */
  readonly maxExamined: number;
}

/** Returns the limits of the environment. */
export function answerLimits(values: Environment): AnswerLimits {
  return {
    maxBytes: values.ANSWER_LIMIT_BYTES,
    maxSearches: values.QUERY_SEARCH_LIMIT,
    maxExamined: values.QUERY_SCAN_LIMIT,
  };
}
