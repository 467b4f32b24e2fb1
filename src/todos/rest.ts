import { z } from 'zod';
import { NotFoundError } from '../errors.ts';
import { TODOS } from '../rest/dialect.ts';
import { truthField } from '../rest/fields.ts';
import { operation, type Resource } from '../rest/resource.ts';
import { truth } from '../validation.ts';
import { findTodo, updateTodo } from './service.ts';

const checkbox = z.object({ completed: truthField(truth()) });

/** The todo page's path. */
export const TODO_RESOURCES: readonly Resource[] = [
  {
    path: '/api/todos/:id',
    name: 'Todo',
    description: 'The checkbox of a todo.',
    tag: 'Todos',
    dialect: TODOS,
    access: 'open',
    challenge: 'JWT realm="api"',
    methods: {
      PATCH: operation({
        summary: 'Says whether a todo is done',
        body: checkbox,
        answers: {
          200: 'An empty object.',
          400: 'A value that is neither true nor false.',
          404: 'There is no such todo that the caller may see.',
          429: 'Too many writes without a credential: `Retry-After` says in how many seconds to try again.',
        },
        guard: async ({ context, params }) => {
          if (!(await findTodo(context, params['id'] ?? ''))) {
            throw new NotFoundError();
          }
        },
        handle: async ({ context, params, body }) => {
          await updateTodo(context, params['id'] ?? '', body);
          return { status: 200, body: {} };
        },
      }),
    },
  },
];
