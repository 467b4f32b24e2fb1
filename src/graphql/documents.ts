import {
  BREAK,
  type DocumentNode,
  type ExecutionResult,
  execute,
  GraphQLBoolean,
  GraphQLError,
  GraphQLScalarType,
  type GraphQLSchema,
  getOperationAST,
  Kind,
  type NamedTypeNode,
  type OperationDefinitionNode,
  type OperationTypeNode,
  visit,
} from 'graphql';
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit';
import type { Plugin } from 'graphql-yoga';
import { LRUCache } from 'lru-cache';
import type { Context } from '../context.ts';
import { ERROR_CATALOGUE } from '../errors.ts';
import { coerceVariables, type Variables } from './variables.ts';

/** The bytes that remembered documents may take. */
const MAX_BYTES = 64 * 1024 * 1024;
/** A larger document is parsed each time. */
const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;
/** What a document takes in memory for each of its characters, and beside them for what is compiled of it, in bytes. */
const BYTES_PER_CHARACTER = 60;
const COMPILED_BYTES = 20_000;
/** An operation is compiled when it is executed as often as this: compiling takes as long as some ten executions. */
const USES_BEFORE_COMPILING = 3;

/** An operation of a document that is valid under the limits; it can be executed any number of times. */
export class Operation {
  readonly document: DocumentNode;
  readonly kind: OperationTypeNode;
  readonly name: string | null;
  readonly #schema: GraphQLSchema;
  readonly #definition: OperationDefinitionNode;
  #uses = 0;
  #compiled: CompiledQuery | null = null;

  constructor(schema: GraphQLSchema, document: DocumentNode, definition: OperationDefinitionNode, name: string | null) {
    this.#schema = schema;
    this.#definition = definition;
    this.document = document;
    this.kind = definition.operation;
    this.name = name;
  }

  /** Executes a query or mutation; errors are as the resolvers threw them. */
  execute(contextValue: Context, variables: Variables | null | undefined): Promise<ExecutionResult> | ExecutionResult {
    // Before either executes, so that the third execution of a text answers as the first did.
    const values = coerceVariables(this.#schema, this.#definition.variableDefinitions ?? [], variables ?? {});
    if ('errors' in values) {
      return values;
    }
    const compiled = this.#compile();
    if (!compiled) {
      const { document, name: operationName } = this;
      return execute({
        schema: this.#schema,
        document,
        operationName,
        contextValue,
        variableValues: variables ?? null,
      }) as Promise<ExecutionResult> | ExecutionResult;
    }
    const result = compiled.query(undefined, contextValue, values.coerced);
    return result instanceof Promise ? result.then((settled) => this.#locate(settled)) : this.#locate(result);
  }

  /** The compiler's errors say where they arose in lines and columns, which is lost when an error is made of them. */
  #locate(result: ExecutionResult): ExecutionResult {
    const source = this.document.loc?.source;
    if (!result.errors || !source) {
      return result;
    }
    const lines = lineStartsOf(source.body);
    const errors = result.errors.map(
      ({ message, locations = [], path, originalError }) =>
        new GraphQLError(message, {
          source,
          positions: locations.map(({ line, column }) => (lines[line - 1] ?? 0) + column - 1),
          path: path ?? null,
          originalError: originalError ?? null,
        }),
    );
    return { ...result, errors };
  }

  #compile(): CompiledQuery | null {
    this.#uses += 1;
    if (this.#uses === USES_BEFORE_COMPILING && !hasOptionalVariableInObject(this.document, this.#definition)) {
      const document = withCoercedVariables(this.document, this.#definition);
      const compiled = compileQuery(compilerSchema(this.#schema), document, this.name ?? undefined);
      // What it does not know stays with graphql-js.
      this.#compiled = isCompiledQuery(compiled) ? compiled : null;
    }
    return this.#compiled;
  }
}

/** A scalar that takes any value for what it is. */
const COERCED = new GraphQLScalarType({ name: 'CoercedVariable' });

const compilerSchemas = new WeakMap<GraphQLSchema, GraphQLSchema>();

/** The schema with {@link COERCED}, which clients cannot see. */
function compilerSchema(schema: GraphQLSchema): GraphQLSchema {
  let made = compilerSchemas.get(schema);
  if (!made) {
    const getType: GraphQLSchema['getType'] = (name) => (name === COERCED.name ? COERCED : schema.getType(name));
    made = Object.assign(Object.create(schema) as GraphQLSchema, { getType });
    compilerSchemas.set(schema, made);
  }
  return made;
}

/**
 * The document with variables of which the compiler need not know the type: graphql-js coerces them, since the compiler words errors differently and
 * does not know the default of a required field of an input. Booleans stay what they are: directives take nothing else.
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
 * Whether a field of an input object is a variable that may be left out, like `{ input: { email: $email } }`: the field is left out then, where the compiler makes it
 * null.
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

/** The offsets at which the lines of a text begin. */
function lineStartsOf(text: string): number[] {
  return [0, ...[...text.matchAll(/\r\n|[\n\r]/g)].map(({ index, 0: end }) => index + end.length)];
}

/** What is known of the text of a document. */
interface Known {
  readonly document: DocumentNode;
  /** Null until it was validated. */
  errors: readonly GraphQLError[] | null;
  readonly operations: Map<string | null, Operation>;
}

/** The documents that were parsed and validated lately, for all transports, bounded in bytes. */
export class Documents {
  readonly #schema: GraphQLSchema;
  readonly #maxCharacters: number;
  readonly #byText = new LRUCache<string, Known | GraphQLError>({
    maxSize: MAX_BYTES,
    maxEntrySize: MAX_DOCUMENT_BYTES,
    sizeCalculation: (_known, text) => COMPILED_BYTES + text.length * BYTES_PER_CHARACTER,
  });
  readonly #byDocument = new WeakMap<DocumentNode, Known>();

  constructor(schema: GraphQLSchema, { maxCharacters }: { readonly maxCharacters: number }) {
    this.#schema = schema;
    this.#maxCharacters = maxCharacters;
  }

  /** The operation that a text and a name select, when the text is known to be valid and has it. */
  find(text: string, name: string | null): Operation | undefined {
    const known = this.#byText.get(text);
    return known && !(known instanceof GraphQLError) ? this.#operationOf(known, name) : undefined;
  }

  /** The operation of a validated document; undefined when it has none of this name. */
  operationOf(document: DocumentNode, name: string | null): Operation | undefined {
    const known = this.#byDocument.get(document);
    return known && this.#operationOf(known, name);
  }

  #operationOf({ document, errors, operations }: Known, name: string | null): Operation | undefined {
    const definition = errors?.length === 0 && (operations.get(name) ?? getOperationAST(document, name));
    if (!definition || definition instanceof Operation) {
      return definition || undefined;
    }
    const operation = new Operation(this.#schema, document, definition, name);
    operations.set(name, operation);
    return operation;
  }

  /** Has Yoga parse and validate each text once, refuse those that are too long, and execute what was compiled. */
  plugin(): Plugin<Context> {
    return {
      onParse: ({ params: { source }, setParsedDocument }) => {
        const text = String(source);
        if (text.length > this.#maxCharacters) {
          throw new GraphQLError(`The document is longer than ${this.#maxCharacters} characters.`, {
            extensions: { code: 'COMPLEXITY', http: { status: ERROR_CATALOGUE.COMPLEXITY.status, spec: true } },
          });
        }
        const known = this.#byText.get(text);
        if (known instanceof GraphQLError) {
          throw known;
        }
        if (known) {
          setParsedDocument(known.document);
          return;
        }
        return ({ result }) => {
          if (result instanceof GraphQLError) {
            this.#byText.set(text, result);
          } else if (result && !(result instanceof Error)) {
            const parsed = { document: result as DocumentNode, errors: null, operations: new Map() };
            this.#byText.set(text, parsed);
            this.#byDocument.set(parsed.document, parsed);
          }
        };
      },
      onValidate: ({ params: { documentAST }, setResult }) => {
        const known = this.#byDocument.get(documentAST);
        if (known?.errors) {
          setResult(known.errors);
          return;
        }
        return ({ result }) => {
          if (known) {
            known.errors = result as readonly GraphQLError[];
          }
        };
      },
      onExecute: ({ args, setExecuteFn }) => {
        const operation = this.operationOf(args.document, args.operationName ?? null);
        if (operation) {
          setExecuteFn(({ contextValue, variableValues }) => operation.execute(contextValue, variableValues));
        }
      },
    };
  }
}
