import { type Watch, wantedIds, watchRows } from '../changes/watch.ts';
import type { Context } from '../context.ts';
import { visibleTodoLists, visibleTodos } from './policy.ts';

type Id = string | null | undefined;

/** The todos that the viewer sees; with `id` only this one, with `listId` only those of this list. */
export function watchTodos({ viewer, database }: Context, { id, listId }: { id?: Id; listId?: Id }): Watch {
  return watchRows({
    viewer,
    model: 'Todo',
    policy: visibleTodos(viewer),
    wanted: wantedIds({ id, listId }),
    find: (ids) => database.todo.findMany({ where: { id: { in: ids } } }),
  });
}

/** The todo lists that the viewer sees; with `id` only this one. */
export function watchTodoLists({ viewer, database }: Context, { id }: { id?: Id }): Watch {
  return watchRows({
    viewer,
    model: 'TodoList',
    policy: visibleTodoLists(viewer),
    wanted: wantedIds({ id }),
    find: (ids) => database.todoList.findMany({ where: { id: { in: ids } } }),
  });
}
