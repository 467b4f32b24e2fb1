import { graphql, useFragment } from 'react-relay';
import { type Attempt, expectSuccess } from '../../shared/errors.ts';
import { TodoItem } from '../../shared/todo-item.tsx';
import type { todoRow_todo$key } from './__generated__/todoRow_todo.graphql.ts';
import type { todoRowDeleteMutation } from './__generated__/todoRowDeleteMutation.graphql.ts';
import type { todoRowUpdateMutation } from './__generated__/todoRowUpdateMutation.graphql.ts';
import { useRequest } from './use-request.ts';

const TODO_ROW = graphql`
  fragment todoRow_todo on Todo {
    id
    title
    completed
  }
`;

// Its result has no fields that change: the subscription brings them, in the order of all changes.
const UPDATE_TODO = graphql`
  mutation todoRowUpdateMutation($id: ID!, $completed: Boolean!) {
    updateTodo(id: $id, input: { completed: $completed }) { ... on Todo { id } ... on Error { message } }
  }
`;

const DELETE_TODO = graphql`
  mutation todoRowDeleteMutation($id: ID!) {
    deleteTodo(id: $id) { ... on Todo { id @deleteRecord } ... on Error { message } }
  }
`;

interface TodoRowProps {
  readonly todo: todoRow_todo$key;
  readonly attempt: Attempt;
}

export function TodoRow({ todo, attempt }: TodoRowProps) {
  const { id, title, completed } = useFragment(TODO_ROW, todo);
  const updateTodo = useRequest<todoRowUpdateMutation>(UPDATE_TODO);
  const deleteTodo = useRequest<todoRowDeleteMutation>(DELETE_TODO);
  const toggle = () => attempt(async () => expectSuccess((await updateTodo({ id, completed: !completed })).updateTodo));
  const remove = () => attempt(async () => expectSuccess((await deleteTodo({ id })).deleteTodo));
  return <TodoItem title={title} completed={completed} onToggle={toggle} onDelete={remove} />;
}
