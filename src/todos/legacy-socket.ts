import { matches } from '../database/condition.ts';
import type { Todo, TodoList } from '../generated/client/client.ts';
import { byId, bySearch, byTruth, legacyModel } from '../legacy-socket/model.ts';
import { findTodoList } from './lists.ts';
import { visibleTodoLists, visibleTodos } from './policy.ts';
import { findTodo } from './service.ts';
import { watchTodoLists, watchTodos } from './watch.ts';

const taskBody = ({ id, title, completed }: Todo) => ({ id, text: title, done: completed });

const listed = { list: byId('listId'), list_id: byId('listId'), search: bySearch('title') };

/** Todos and their lists, as clients of `/ws/subscribe/` know them: the todos under two names. */
export const todoLegacyModels = [
  legacyModel<Todo>({
    name: 'todolist.Task',
    of: 'Todo',
    parameters: { ...listed, done: byTruth('completed') },
    groups: ['list_id'],
    watch: watchTodos,
    find: findTodo,
    instance: taskBody,
  }),
  legacyModel<Todo>({
    name: 'todos.Todo',
    of: 'Todo',
    parameters: { ...listed, completed: byTruth('completed') },
    groups: ['list_id'],
    watch: watchTodos,
    find: findTodo,
    instance: ({ id, title, completed }) => ({ id, title, completed }),
  }),
  legacyModel<TodoList>({
    name: 'todolist.List',
    of: 'TodoList',
    parameters: { search: bySearch('name') },
    groups: [],
    watch: watchTodoLists,
    find: findTodoList,
    instance: async ({ id, name }, { database, viewer }) => {
      const list = await database.todoList.findUnique({
        where: { id },
        include: { todos: { where: visibleTodos(viewer), orderBy: { id: 'asc' } } },
      });
      // While its tasks are read, a list may change its owner.
      const hidden = list && !matches(visibleTodoLists(viewer), list);
      return hidden ? null : { id, name, tasks: (list?.todos ?? []).map(taskBody) };
    },
  }),
];
