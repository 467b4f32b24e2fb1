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

/** Suggestions compare all characters of a name, whose length has no limit here. */
const WITHOUT_SUGGESTIONS = true;

export type Variables = Readonly<Record<string, unknown>>;

export type CoercedVariables = { readonly coerced: Variables } | { readonly errors: readonly GraphQLError[] };

/**
 * Returns the coerced variables of an operation, or their first errors. Does the same as `getVariableValues` of graphql-js,
 * but with shortened values in the messages: graphql-js repeats the whole value of a variable in each error.
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
    assertGraphQLError(error);
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
    const position = path.length === 0 ? '' : ` at "${name}${path.map(pathSegment).join('')}"`;
    const message = `Variable "$${name}" got invalid value ${quote(invalid)}${position}; ${originalError.message}`;
    onError(new GraphQLError(message, { nodes: definition, originalError }));
  };
  return { [name]: coerceInputValue(value, type, report, WITHOUT_SUGGESTIONS) };
}

function pathSegment(key: string | number): string {
  return typeof key === 'number' ? `[${key}]` : `.${key}`;
}

function assertGraphQLError(error: unknown): asserts error is GraphQLError {
  if (!(error instanceof GraphQLError)) {
    throw error;
  }
}
