import { graphql, useLazyLoadQuery, usePaginationFragment } from 'react-relay';
import type { Attempt } from '../../shared/errors.ts';
import { transport } from '../../shared/server.ts';
import type { todoList_query$key } from './__generated__/todoList_query.graphql.ts';
import type { todoListPageQuery } from './__generated__/todoListPageQuery.graphql.ts';
import type { todoListQuery } from './__generated__/todoListQuery.graphql.ts';
import { TodoRow } from './todo-row.tsx';

const PAGE_SIZE = 10;

export const TODOS = graphql`
  query todoListQuery {
    cursor
    ...todoList_query
  }
`;

const TODO_LIST = graphql`
  fragment todoList_query on Query
  @argumentDefinitions(first: { type: "Int", defaultValue: 10 }, after: { type: "String" })
  @refetchable(queryName: "todoListPageQuery") {
    todos(first: $first, after: $after) @connection(key: "todoList_todos") {
      edges { node { id ...todoRow_todo } }
    }
  }
`;

export function TodoList({ attempt }: { readonly attempt: Attempt }) {
  const query = useLazyLoadQuery<todoListQuery>(TODOS, {}, { fetchPolicy: 'store-only' });
  const { data, hasNext, loadNext } = usePaginationFragment<todoListPageQuery, todoList_query$key>(TODO_LIST, query);
  const loadMore = () =>
    attempt(() =>
      transport.whilePaused(
        () =>
          new Promise((resolve, reject) => {
            loadNext(PAGE_SIZE, { onComplete: (error) => (error ? reject(error) : resolve()) });
          }),
      ),
    );
  return (
    <>
      <ul>
        {data.todos.edges.map(
          // `@deleteRecord` leaves the edge of a deleted todo without a node.
          ({ node }) => node && <TodoRow key={node.id} todo={node} attempt={attempt} />,
        )}
      </ul>
      {hasNext && (
        <button type="button" onClick={loadMore}>
          Load more
        </button>
      )}
    </>
  );
}
