import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  type OperationTypeNode,
} from 'graphql';
import type { Context } from '../context.ts';
import { isRecord } from '../json.ts';
import { maskError, type ReportUnexpectedError } from './mask.ts';
import type { OperationRequest } from './persisted-operations.ts';

export type OperationArgs = Omit<ExecutionArgs, 'contextValue'> & { readonly contextValue: Context };

/** The functions of graphql-js, wrapped by Yoga's plugins: with the limits of documents and masked errors. */
export interface GraphQLEngine {
  readonly schema: GraphQLSchema;
  readonly parse: (query: string) => DocumentNode;
  readonly validate: (schema: GraphQLSchema, document: DocumentNode) => readonly GraphQLError[];
  readonly execute: (args: OperationArgs) => Promise<ExecutionResult>;
}

/** Parses and validates a request. Returns the arguments of its execution, or the errors of the request. */
export function buildOperationArgs(
  engine: GraphQLEngine,
  { query, operationName, variables }: OperationRequest,
  context: Context,
  report: ReportUnexpectedError,
): OperationArgs | readonly GraphQLError[] {
  if (typeof query !== 'string' || !isRecord(variables ?? {}) || typeof (operationName ?? '') !== 'string') {
    return [
      new GraphQLError(
        'The request needs a query as a string; operationName must be a string and variables an object.',
      ),
    ];
  }
  try {
    const document = engine.parse(query);
    const errors = engine.validate(engine.schema, document);
    if (errors.length > 0) {
      return errors;
    }
    const name = typeof operationName === 'string' ? operationName : undefined;
    if (!getOperationAST(document, name)) {
      return [new GraphQLError('Unable to identify operation')];
    }
    return {
      schema: engine.schema,
      document,
      operationName: name ?? null,
      variableValues: variables as Record<string, unknown> | null,
      contextValue: context,
    };
  } catch (error) {
    return [maskError(error, context.requestId, report)];
  }
}

/** Returns whether the operation is a query, a mutation or a subscription. */
export function operationTypeOf({ document, operationName }: OperationArgs): OperationTypeNode | undefined {
  return getOperationAST(document, operationName)?.operation;
}
