import { initGraphQLTada } from 'gql.tada';
import type { introspection } from 'tidings-client/introspection';
import type { OperationResult } from 'urql';

/** Types documents by the schema, without generated files. */
export const graphql = initGraphQLTada<{ introspection: typeof introspection }>();

/** Returns the data of a result, or throws its error. */
export function dataOf<Data>({ data, error }: Pick<OperationResult<Data>, 'data' | 'error'>): Data {
  if (error || data === undefined) {
    throw error?.networkError ?? new Error(error?.graphQLErrors[0]?.message ?? 'The server sent no data.');
  }
  return data;
}
