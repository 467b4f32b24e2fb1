import { matches } from '../database/condition.ts';
import type { Todo, TodoList } from '../generated/client/client.ts';
import { booleanParameter, idParameter, legacyModel, searchParameter } from '../legacy-socket/model.ts';
import { visibleTodoLists } from '../todo-lists/policy.ts';
import { findTodoList } from '../todo-lists/service.ts';
import { watchTodoLists } from '../todo-lists/watch.ts';
import { visibleTodos } from './policy.ts';
import { findTodo } from './service.ts';
import { watchTodos } from './watch.ts';

const taskBody = ({ id, title, completed }: Todo) => ({ id, text: title, done: completed });

const listed = { list: idParameter('listId'), list_id: idParameter('listId'), search: searchParameter('title') };

/** The models of todos and their lists for clients of `/ws/subscribe/`. Todos have two models. */
export const todoLegacyModels = [
  legacyModel<Todo>({
    name: 'todolist.Task',
    source: 'Todo',
    parameters: { ...listed, done: booleanParameter('completed') },
    groups: ['list_id'],
    watch: watchTodos,
    find: findTodo,
    instance: taskBody,
  }),
  legacyModel<Todo>({
    name: 'todos.Todo',
    source: 'Todo',
    parameters: { ...listed, completed: booleanParameter('completed') },
    groups: ['list_id'],
    watch: watchTodos,
    find: findTodo,
    instance: ({ id, title, completed }) => ({ id, title, completed }),
  }),
  legacyModel<TodoList>({
    name: 'todolist.List',
    source: 'TodoList',
    parameters: { search: searchParameter('name') },
    groups: [],
    watch: watchTodoLists,
    find: findTodoList,
    instance: async ({ id, name }, { database, viewer }) => {
      const list = await database.todoList.findUnique({
        where: { id },
        include: { todos: { where: visibleTodos(viewer), orderBy: { id: 'asc' } } },
      });
      // The owner of the list may change before its todos are read.
      const hidden = list && !matches(visibleTodoLists(viewer), list);
      return hidden ? null : { id, name, tasks: (list?.todos ?? []).map(taskBody) };
    },
  }),
];
