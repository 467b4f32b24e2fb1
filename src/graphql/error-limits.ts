import { GraphQLError, type ValidationRule, validate } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Context } from '../context.ts';
import { withCode } from './error-codes.ts';

/** The number of errors after which the validation of a document, or of the variables of an operation, stops. */
export const MAX_REQUEST_ERRORS = 10;
/** The maximum number of errors in a response, without the one that reports how many are left out: the default limit of aliases. */
const MAX_ERRORS = 30;
/** The maximum number of characters in the message of an error. */
const MAX_MESSAGE = 300;
/** The maximum number of characters of a value that a message quotes. */
const MAX_QUOTE = 50;
/** The maximum number of locations in an error. */
const MAX_LOCATIONS = 10;

/** Returns the first errors, masked, with a code each and with short messages, so that a response is not many times as large as its request. */
export function limitErrors(
  errors: readonly GraphQLError[],
  mask: (error: GraphQLError) => GraphQLError = (error) => error,
): readonly GraphQLError[] {
  const shown = (error: GraphQLError): GraphQLError => shorten(withCode(mask(error)));
  if (errors.length <= MAX_ERRORS + 1) {
    return errors.map(shown);
  }
  const left = errors.length - MAX_ERRORS;
  return [
    ...errors.slice(0, MAX_ERRORS).map(shown),
    withCode(new GraphQLError(`${left} more errors are left out.`), 'COMPLEXITY'),
  ];
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

/** Returns a value for use in a message: the beginning of a text, a number, or `[…]` and `{…}` for lists and objects. */
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
 * Has Yoga stop the validation of a document after the first errors, with or without suggestions of names, and limit the
 * errors of every result.
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
