import {
  type AppError,
  ConflictError,
  CredentialsError,
  type FieldProblem,
  NotFoundError,
  ValidationError,
} from '../errors.ts';
import type { Builder } from './builder.ts';

/** Adds the error types that mutations answer with; cross-cutting failures stay top-level errors with a code. */
export function defineErrors(builder: Builder): void {
  const problem = builder.objectRef<FieldProblem>('FieldProblem').implement({
    description: 'What is wrong with one field of an input.',
    fields: (t) => ({
      path: t.exposeString('path', { description: 'The field, dotted where it lies deeper: `title`, `usernames.0`.' }),
      message: t.exposeString('message', { description: 'A sentence that can be shown beside the field.' }),
    }),
  });
  const error = builder.interfaceRef<AppError>('Error').implement({
    description: 'Why a mutation did nothing.',
    fields: (t) => ({
      message: t.exposeString('explanation', { description: 'A sentence that can be shown to a person.' }),
    }),
  });
  builder.objectType(ValidationError, {
    name: 'ValidationError',
    description: 'Some fields of the input break their limits.',
    interfaces: [error],
    fields: (t) => ({
      fields: t.field({
        type: [problem],
        description: 'The fields that do, the first 100 of them, with what is wrong with each.',
        resolve: ({ fields }) => [...fields],
      }),
    }),
  });
  builder.objectType(NotFoundError, {
    name: 'NotFoundError',
    description: 'There is no such object, or the viewer may not see it.',
    interfaces: [error],
  });
  builder.objectType(ConflictError, {
    name: 'ConflictError',
    description: 'The request is sound, but does not fit the present state.',
    interfaces: [error],
  });
  builder.objectType(CredentialsError, {
    name: 'CredentialsError',
    description: 'Nobody can sign in with that.',
    interfaces: [error],
  });
}
