import { GraphQLError, type ValidationRule, validate } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Context } from '../context.ts';

/** After so many errors of a document, or of the variables of an operation, no more are looked for. */
export const MAX_REQUEST_ERRORS = 10;
/** How many errors an answer has, without the one that says how many are left out: as many as the aliases of a document may have by default. */
const MAX_ERRORS = 30;
/** How many characters the message of an error has. */
const MAX_MESSAGE = 300;
/** How many characters of a text a message quotes. */
const MAX_QUOTE = 50;
/** How many places in the document an error names. */
const MAX_LOCATIONS = 10;

/** Returns the first errors as `present` shows them, with short messages: all that an answer has, so that it is not many times as large as its request. */
export function limitErrors(
  errors: readonly GraphQLError[],
  present: (error: GraphQLError) => GraphQLError = (error) => error,
): readonly GraphQLError[] {
  const shown = (error: GraphQLError): GraphQLError => shorten(present(error));
  if (errors.length <= MAX_ERRORS + 1) {
    return errors.map(shown);
  }
  const left = errors.length - MAX_ERRORS;
  return [...errors.slice(0, MAX_ERRORS).map(shown), new GraphQLError(`${left} more errors are left out.`)];
}

function shorten(error: GraphQLError): GraphQLError {
  const { message, nodes, source, positions, path, originalError, extensions } = error;
  if (message.length <= MAX_MESSAGE && (positions?.length ?? 0) <= MAX_LOCATIONS) {
    return error;
  }
  const isLong = message.length > MAX_MESSAGE;
  return new GraphQLError(isLong ? `${message.slice(0, MAX_MESSAGE).toWellFormed()}…` : message, {
    nodes: nodes?.slice(0, MAX_LOCATIONS) ?? null,
    source: source ?? null,
    positions: positions?.slice(0, MAX_LOCATIONS) ?? null,
    path: path ?? null,
    originalError: originalError ?? null,
    extensions,
  });
}

/** A value as a message names it: a text or a number by its beginning, anything else by its kind. */
export function quote(value: unknown): string {
  if (typeof value === 'string') {
    return value.length <= MAX_QUOTE ? JSON.stringify(value) : `${JSON.stringify(value.slice(0, MAX_QUOTE))}…`;
  }
  if (typeof value === 'object' && value !== null) {
    return Array.isArray(value) ? '[…]' : '{…}';
  }
  return String(value);
}

/**
 * Has Yoga stop the validation of a document after the first errors, with or without names of the schema that the client may have meant, and limit the errors of
 * every result.
 */
export function useErrorLimits({ hideSuggestions }: { readonly hideSuggestions: boolean }): Plugin<Context> {
  return {
    onValidate: ({ setValidationFn }) =>
      setValidationFn((schema, document, rules: readonly ValidationRule[] | undefined) =>
        validate(schema, document, rules, { maxErrors: MAX_REQUEST_ERRORS, hideSuggestions }),
      ),
    onResultProcess: ({ result, setResult }) => {
      if ('errors' in result && result.errors) {
        setResult({ ...result, errors: limitErrors(result.errors) });
      }
    },
  };
}
