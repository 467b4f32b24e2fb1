import {
  BREAK,
  type DocumentNode,
  GraphQLBoolean,
  GraphQLScalarType,
  type GraphQLSchema,
  Kind,
  type NamedTypeNode,
  type OperationDefinitionNode,
  visit,
} from 'graphql';
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit';

/** The type of a variable whose value is coerced before the compiled query gets it. */
const COERCED = new GraphQLScalarType({ name: 'CoercedVariable' });

const compilerSchemas = new WeakMap<GraphQLSchema, GraphQLSchema>();

/**
 * Compiles an operation with graphql-jit. Its variables have to be coerced before each execution. Returns null for an
 * operation that only graphql-js executes correctly.
 */
export function compileOperation(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  operationName: string | null,
): CompiledQuery | null {
  if (hasOptionalVariableInObject(document, operation)) {
    return null;
  }
  const coerced = withCoercedVariables(document, operation);
  const compiled = compileQuery(compilerSchema(schema), coerced, operationName ?? undefined);
  return isCompiledQuery(compiled) ? compiled : null;
}

/** Returns the schema with {@link COERCED}, which clients cannot see. */
function compilerSchema(schema: GraphQLSchema): GraphQLSchema {
  let extended = compilerSchemas.get(schema);
  if (!extended) {
    const getType: GraphQLSchema['getType'] = (name) => (name === COERCED.name ? COERCED : schema.getType(name));
    extended = Object.assign(Object.create(schema) as GraphQLSchema, { getType });
    compilerSchemas.set(schema, extended);
  }
  return extended;
}

/**
 * Returns the document with variables of the type {@link COERCED}. graphql-js coerces them instead of the compiler, which
 * words errors differently and ignores the default of a required input field. Boolean variables keep their type, because
 * `@skip` and `@include` accept no other.
 */
function withCoercedVariables(document: DocumentNode, operation: OperationDefinitionNode): DocumentNode {
  const type: NamedTypeNode = { kind: Kind.NAMED_TYPE, name: { kind: Kind.NAME, value: COERCED.name } };
  const { variableDefinitions = [] } = operation;
  const changed: OperationDefinitionNode = {
    ...operation,
    variableDefinitions: variableDefinitions.map((definition) => {
      const { defaultValue: _default, ...variable } = definition;
      const named = definition.type.kind === Kind.NON_NULL_TYPE ? definition.type.type : definition.type;
      const isBoolean = named.kind === Kind.NAMED_TYPE && named.name.value === GraphQLBoolean.name;
      return isBoolean ? definition : { ...variable, type };
    }),
  };
  return {
    ...document,
    definitions: document.definitions.map((definition) => (definition === operation ? changed : definition)),
  };
}

/**
 * Returns whether a field of an input object is an optional variable, as in `{ input: { email: $email } }`. When such a
 * variable is left out, graphql-js leaves the field out, but the compiler sets it to null.
 */
function hasOptionalVariableInObject(
  document: DocumentNode,
  { variableDefinitions = [] }: OperationDefinitionNode,
): boolean {
  const optional = new Set(
    variableDefinitions
      .filter(({ type, defaultValue }) => type.kind !== Kind.NON_NULL_TYPE && !defaultValue)
      .map(({ variable }) => variable.name.value),
  );
  let found = false;
  visit(document, {
    ObjectField: ({ value }) => {
      found ||= value.kind === Kind.VARIABLE && optional.has(value.name.value);
      return found ? BREAK : undefined;
    },
  });
  return found;
}
