import {
  type DocumentNode,
  type ExecutionResult,
  execute,
  GraphQLError,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type OperationTypeNode,
} from 'graphql';
import type { CompiledQuery } from 'graphql-jit';
import type { Context } from '../context.ts';
import { compileOperation } from './query-compiler.ts';
import { coerceVariables, type Variables } from './variables.ts';

/** The execution at which an operation is compiled: compiling takes as long as some ten executions. */
const USES_BEFORE_COMPILING = 3;

/** An operation of a document that has passed validation and its limits. It can be executed any number of times. */
export class Operation {
  readonly document: DocumentNode;
  readonly type: OperationTypeNode;
  /** The name by which the client selected the operation; null when the document has only one. */
  readonly name: string | null;
  readonly #schema: GraphQLSchema;
  readonly #definition: OperationDefinitionNode;
  #uses = 0;
  #compiled: CompiledQuery | null = null;

  constructor(schema: GraphQLSchema, document: DocumentNode, definition: OperationDefinitionNode, name: string | null) {
    this.#schema = schema;
    this.#definition = definition;
    this.document = document;
    this.type = definition.operation;
    this.name = name;
  }

  /** Executes a query or mutation. Its errors are not masked. */
  execute(contextValue: Context, variables: Variables | null | undefined): Promise<ExecutionResult> | ExecutionResult {
    // Before either way of execution, so that the errors of variables are the same for both.
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

  /** Returns the result with errors that have a source. The compiler's errors have lines and columns only, which masking loses. */
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
    if (this.#uses === USES_BEFORE_COMPILING) {
      this.#compiled = compileOperation(this.#schema, this.document, this.#definition, this.name);
    }
    return this.#compiled;
  }
}

/** Returns the offsets at which the lines of a text begin. */
function lineStartsOf(text: string): number[] {
  return [0, ...[...text.matchAll(/\r\n|[\n\r]/g)].map(({ index, 0: end }) => index + end.length)];
}
