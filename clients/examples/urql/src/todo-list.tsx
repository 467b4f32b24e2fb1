import { useEffect } from 'react';
import { snapshotThenStream } from 'tidings-client/urql';
import { useClient, useMutation, useQuery } from 'urql';
import { expectSuccess, useFailure } from '../../shared/errors.ts';
import { Failure } from '../../shared/failure.tsx';
import { transport } from '../../shared/server.ts';
import { TodoForm } from '../../shared/todo-form.tsx';
import { dataOf, graphql } from './graphql.ts';
import { TODO_ROW, TodoRow } from './todo-row.tsx';

const TODOS = graphql(
  `
    query Todos($after: String) {
      cursor
      todos(first: 10, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes { id ...TodoRow }
      }
    }
  `,
  [TODO_ROW],
);

const TODO_CHANGES = graphql(
  `
    subscription TodoChanges($after: String) {
      todoChanged(after: $after) { action cursor id todo { id ...TodoRow } }
    }
  `,
  [TODO_ROW],
);

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
  const client = useClient();
  const { message, report, attempt } = useFailure();
  // The list is loaded and kept up to date by `snapshotThenStream`. Graphcache joins its pages.
  const [{ data }] = useQuery({ query: TODOS, requestPolicy: 'cache-only' });
  const [, createTodo] = useMutation(CREATE_TODO);
  useEffect(
    () => snapshotThenStream(client, { query: TODOS, subscription: TODO_CHANGES, onError: report }),
    [client, report],
  );
  const add = (title: string) => attempt(async () => expectSuccess(dataOf(await createTodo({ title })).createTodo));
  const loadMore = (after: string | null) =>
    attempt(() =>
      transport.whilePaused(async () => {
        dataOf(await client.query(TODOS, { after }, { requestPolicy: 'network-only' }));
      }),
    );
  return (
    <>
      <TodoForm onAdd={add} />
      <Failure message={message} />
      <ul>
        {data?.todos.nodes.map((todo) => (
          <TodoRow key={todo.id} todo={todo} attempt={attempt} />
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
