import {
  coerceInputValue,
  GraphQLError,
  type GraphQLSchema,
  getVariableValues,
  isInputType,
  type TypeNode,
  typeFromAST,
  type VariableDefinitionNode,
} from 'graphql';
import { MAX_REQUEST_ERRORS, quote } from './error-limits.ts';

/** Suggestions compare all characters of a name, however long it is. */
const WITHOUT_SUGGESTIONS = true;

export type Variables = Readonly<Record<string, unknown>>;

export type CoercedVariables = { readonly coerced: Variables } | { readonly errors: readonly GraphQLError[] };

/**
 * The values of an operation's variables, or the first errors of them. As `getVariableValues` of graphql-js, which repeats the whole value in the message of
 * each of its errors, but with the value in short: the path in the message says which part of it is meant.
 */
export function coerceVariables(
  schema: GraphQLSchema,
  definitions: readonly VariableDefinitionNode[],
  inputs: Variables,
): CoercedVariables {
  const coerced: Record<string, unknown> = {};
  const errors: GraphQLError[] = [];
  const onError = (error: GraphQLError): void => {
    if (errors.length >= MAX_REQUEST_ERRORS) {
      throw new GraphQLError('Too many errors processing variables, error limit reached. Execution aborted.');
    }
    errors.push(error);
  };
  try {
    for (const definition of definitions) {
      Object.assign(coerced, coerceVariable(schema, definition, inputs, onError));
    }
  } catch (error) {
    onlyGraphQLErrors(error);
    errors.push(error);
  }
  return errors.length === 0 ? { coerced } : { errors };
}

function coerceVariable(
  schema: GraphQLSchema,
  definition: VariableDefinitionNode,
  inputs: Variables,
  onError: (error: GraphQLError) => void,
): Variables {
  const name = definition.variable.name.value;
  const type = typeFromAST(schema, definition.type as TypeNode & { kind: 'NamedType' });
  const value = Object.hasOwn(inputs, name) ? inputs[name] : undefined;
  if (value == null || !isInputType(type)) {
    const { coerced = {}, errors = [] } = getVariableValues(schema, [definition], inputs);
    errors.forEach(onError);
    return coerced;
  }
  const report: Parameters<typeof coerceInputValue>[2] = (path, invalid, originalError) => {
    const place = path.length === 0 ? '' : ` at "${name}${path.map(placeOf).join('')}"`;
    const message = `Variable "$${name}" got invalid value ${quote(invalid)}${place}; ${originalError.message}`;
    onError(new GraphQLError(message, { nodes: definition, originalError }));
  };
  return { [name]: coerceInputValue(value, type, report, WITHOUT_SUGGESTIONS) };
}

function placeOf(key: string | number): string {
  return typeof key === 'number' ? `[${key}]` : `.${key}`;
}

function onlyGraphQLErrors(error: unknown): asserts error is GraphQLError {
  if (!(error instanceof GraphQLError)) {
    throw error;
  }
}
