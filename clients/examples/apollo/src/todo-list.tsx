import { useApolloClient, useQuery } from '@apollo/client/react';
import { useEffect } from 'react';
import { snapshotThenStream } from 'tidings-client/apollo';
import { expectSuccess, useFailure } from '../../shared/errors.ts';
import { Failure } from '../../shared/failure.tsx';
import { transport } from '../../shared/server.ts';
import { TodoForm } from '../../shared/todo-form.tsx';
import { graphql } from './generated/gql.ts';
import { TodoRow } from './todo-row.tsx';

const TODOS = graphql(`
  query Todos($after: String) {
    cursor
    todos(first: 10, after: $after) {
      pageInfo { hasNextPage endCursor }
      edges { node { id ...TodoRow } }
    }
  }
`);

const TODO_CHANGES = graphql(`
  subscription TodoChanges($after: String) {
    todoChanged(after: $after) { action cursor id todo { id ...TodoRow } }
  }
`);

const CREATE_TODO = graphql(`
  mutation CreateTodo($title: String!) {
    createTodo(input: { title: $title }) {
      ... on Todo { id }
      ... on Error { message }
      ... on ValidationError { fields { path message } }
    }
  }
`);

export function TodoList() {
  const client = useApolloClient();
  const { message, report, attempt } = useFailure();
  // The list is loaded and kept up to date by `snapshotThenStream`.
  const { data } = useQuery(TODOS, { fetchPolicy: 'cache-only' });
  useEffect(
    () => snapshotThenStream(client, { query: TODOS, subscription: TODO_CHANGES, onError: report }),
    [client, report],
  );
  const add = (title: string) =>
    attempt(async () => {
      const { data } = await client.mutate({ mutation: CREATE_TODO, variables: { title } });
      expectSuccess(data?.createTodo);
    });
  const loadMore = (after: string | null | undefined) =>
    attempt(() =>
      transport.whilePaused(async () => {
        await client.query({ query: TODOS, variables: { after }, fetchPolicy: 'network-only' });
      }),
    );
  return (
    <>
      <TodoForm onAdd={add} />
      <Failure message={message} />
      <ul>
        {data?.todos.edges.map(({ node }) => (
          <TodoRow key={node.id} todo={node} attempt={attempt} />
        ))}
      </ul>
      {data?.todos.pageInfo.hasNextPage && (
        <button type="button" onClick={() => loadMore(data.todos.pageInfo.endCursor)}>
          Load more
        </button>
      )}
    </>
  );
}
