import {
  type AppError,
  ConflictError,
  CredentialsError,
  type ErrorCode,
  type FieldProblem,
  NotFoundError,
  ValidationError,
} from '../errors.ts';
import type { Builder } from './builder.ts';
import { ERROR_CODE_MEANINGS } from './error-codes.ts';

/** Adds the error types of mutation results. Errors that any operation can have remain top-level errors with a code. */
export function defineErrorTypes(builder: Builder): void {
  const problem = builder.objectRef<FieldProblem>('FieldProblem').implement({
    description: 'Why the value of one input field was rejected, for display beside that field of a form.',
    fields: (t) => ({
      path: t.exposeString('path', {
        description:
          'The path of the argument or of the field of `input`, with dots between its parts: `title`, `filter.titleContains`, `usernames.0` for the first item of a list.',
      }),
      message: t.exposeString('message', {
        description: 'A sentence in English for the user, such as `This field may not be blank.`',
      }),
    }),
  });
  const code = builder.enumType('ErrorCode', {
    description:
      'The kind of an error, by which a client decides how to react: the `code` of errors in results of mutations, and `extensions.code` of every top-level error.',
    values: Object.fromEntries(
      Object.entries(ERROR_CODE_MEANINGS).map(([name, description]) => [name, { description }]),
    ) as Record<ErrorCode, { description: string }>,
  });
  const error = builder.interfaceRef<AppError>('Error').implement({
    description:
      'An expected error, because of which a mutation was not carried out. Select `... on Error { message }` in every mutation to handle all types of errors, also those that are added later.',
    fields: (t) => ({
      code: t.expose('code', {
        type: code,
        description:
          'The kind of the error. Each type of errors has one code; use it to handle them by a common function.',
      }),
      message: t.exposeString('explanation', {
        description: 'A sentence in English for the user that says what happened.',
      }),
    }),
  });
  builder.objectType(ValidationError, {
    name: 'ValidationError',
    description:
      'Some values of the input were rejected: too long, malformed, already taken or against a rule. Show each of `fields` beside its form field and have the user correct it. In queries it is a top-level error with the code `VALIDATION` and `extensions.fields`.',
    interfaces: [error],
    fields: (t) => ({
      fields: t.field({
        type: [problem],
        description:
          'The reasons for the rejection with the fields that they concern; at most 100. A field can occur several times.',
        resolve: ({ fields }) => [...fields],
      }),
    }),
  });
  builder.objectType(NotFoundError, {
    name: 'NotFoundError',
    description:
      'No object has this id, uri or username, or the viewer may not see it; a client cannot distinguish the two. Treat the object as deleted.',
    interfaces: [error],
  });
  builder.objectType(ConflictError, {
    name: 'ConflictError',
    description:
      'The input is valid, but the current state of the object does not allow the change: a chat is full, or its owner wants to leave it. `message` says which. To repeat the request helps only after that state has changed.',
    interfaces: [error],
  });
  builder.objectType(CredentialsError, {
    name: 'CredentialsError',
    description:
      'A username with its password, a token or the link of a mail was not accepted: it is wrong, expired or revoked, or the account is deactivated. Have the user sign in again or request a new link.',
    interfaces: [error],
  });
}
