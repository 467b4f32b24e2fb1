import { z } from 'zod';
import { NotFoundError } from '../errors.ts';
import { TODOS } from '../rest/dialect.ts';
import { booleanField } from '../rest/fields.ts';
import { operation, type Resource } from '../rest/resource.ts';
import { boolean } from '../validation.ts';
import { findTodo, updateTodo } from './service.ts';

const checkbox = z.object({ completed: booleanField(boolean()) });

/** The documented path of the todo page. */
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
        summary: 'Changes whether a todo is completed',
        body: checkbox,
        answers: {
          200: 'An empty object.',
          400: 'The value is not a boolean.',
          404: 'There is no such todo that the caller may see.',
          429: 'Too many anonymous writes; `Retry-After` has the seconds until the next attempt.',
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
