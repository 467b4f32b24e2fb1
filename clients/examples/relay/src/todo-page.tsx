import { useEffect, useState } from 'react';
import { graphql, useRelayEnvironment } from 'react-relay';
import { ConnectionHandler, ROOT_ID } from 'relay-runtime';
import { snapshotThenStream } from 'tidings-client/relay';
import { expectSuccess, useFailure } from '../../shared/errors.ts';
import { Failure } from '../../shared/failure.tsx';
import { TodoForm } from '../../shared/todo-form.tsx';
import type { todoPageCreateMutation } from './__generated__/todoPageCreateMutation.graphql.ts';
import { TODOS, TodoList } from './todo-list.tsx';
import { useRequest } from './use-request.ts';

const TODO_CHANGES = graphql`
  subscription todoPageSubscription($after: String) {
    todoChanged(after: $after) { action cursor id todo { id ...todoRow_todo } }
  }
`;

const CREATE_TODO = graphql`
  mutation todoPageCreateMutation($title: String!) {
    createTodo(input: { title: $title }) {
      ... on Todo { id }
      ... on Error { message }
      ... on ValidationError { fields { path message } }
    }
  }
`;

const CONNECTIONS = [ConnectionHandler.getConnectionID(ROOT_ID, 'todoList_todos')];

/** Loads the list into the store, and keeps it up to date there. */
export function TodoPage() {
  const environment = useRelayEnvironment();
  const { message, report, attempt } = useFailure();
  const [isLoaded, setLoaded] = useState(false);
  const createTodo = useRequest<todoPageCreateMutation>(CREATE_TODO);
  useEffect(
    () =>
      snapshotThenStream(environment, {
        query: TODOS,
        subscription: TODO_CHANGES,
        connections: CONNECTIONS,
        onSnapshot: () => setLoaded(true),
        onError: report,
      }),
    [environment, report],
  );
  const add = (title: string) => attempt(async () => expectSuccess((await createTodo({ title })).createTodo));
  return (
    <>
      <TodoForm onAdd={add} />
      <Failure message={message} />
      {isLoaded && <TodoList attempt={attempt} />}
    </>
  );
}
