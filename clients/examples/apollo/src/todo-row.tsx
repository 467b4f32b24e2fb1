import { useMutation } from '@apollo/client/react';
import { type Attempt, expectSuccess } from '../../shared/errors.ts';
import { TodoItem } from '../../shared/todo-item.tsx';
import { type FragmentType, getFragmentData } from './generated/fragment-masking.ts';
import { graphql } from './generated/gql.ts';

const TODO_ROW = graphql(`
  fragment TodoRow on Todo { id title completed }
`);

// Its result has no fields that change: the subscription brings them, in the order of all changes.
const UPDATE_TODO = graphql(`
  mutation UpdateTodo($id: ID!, $completed: Boolean!) {
    updateTodo(id: $id, input: { completed: $completed }) { ... on Todo { id } ... on Error { message } }
  }
`);

const DELETE_TODO = graphql(`
  mutation DeleteTodo($id: ID!) {
    deleteTodo(id: $id) { ... on Todo { id } ... on Error { message } }
  }
`);

interface TodoRowProps {
  readonly todo: FragmentType<typeof TODO_ROW>;
  readonly attempt: Attempt;
}

export function TodoRow({ todo, attempt }: TodoRowProps) {
  const { id, title, completed } = getFragmentData(TODO_ROW, todo);
  const [updateTodo] = useMutation(UPDATE_TODO);
  const [deleteTodo] = useMutation(DELETE_TODO);
  const toggle = () =>
    attempt(async () => {
      const { data } = await updateTodo({ variables: { id, completed: !completed } });
      expectSuccess(data?.updateTodo);
    });
  const remove = () =>
    attempt(async () => {
      const { data } = await deleteTodo({ variables: { id } });
      expectSuccess(data?.deleteTodo);
    });
  return <TodoItem title={title} completed={completed} onToggle={toggle} onDelete={remove} />;
}
