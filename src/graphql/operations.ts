import {
  type DocumentNode,
  type ExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  type OperationTypeNode,
} from 'graphql';
import type { ContextFactory } from '../accounts/credentials.ts';
import type { Context } from '../context.ts';
import { presentError, type ReportDefect } from './mask.ts';
import type { PersistedOperations } from './persisted-operations.ts';
import type { SubscriptionArgs } from './subscription-renderer.ts';

/** What a client asks to be executed, before it is validated. */
export interface OperationRequest {
  readonly query?: unknown;
  readonly operationName?: unknown;
  readonly variables?: unknown;
  readonly extensions?: unknown;
}

/** The engine as Yoga and its plugins have made it, with its document limits. */
export interface Engine {
  readonly schema: GraphQLSchema;
  readonly parse: (query: string) => DocumentNode;
  readonly validate: (schema: GraphQLSchema, document: DocumentNode) => readonly GraphQLError[];
  readonly execute: (args: SubscriptionArgs) => Promise<ExecutionResult>;
}

/** What the transports share that keep a connection open: sockets and event streams. */
export interface OperationTransport {
  readonly engine: () => Engine;
  readonly persisted: PersistedOperations;
  readonly contextOf: ContextFactory;
  readonly report: ReportDefect;
}

/** Parses and validates a request; returns what can be executed, or the errors that say why nothing can. */
export function prepare(
  engine: Engine,
  { query, operationName, variables }: OperationRequest,
  context: Context,
  report: ReportDefect,
): SubscriptionArgs | readonly GraphQLError[] {
  if (typeof query !== 'string' || !isRecord(variables ?? {}) || typeof (operationName ?? '') !== 'string') {
    return [new GraphQLError('The request needs a query; operationName is a string and variables an object.')];
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
    return [presentError(error, context.requestId, report)];
  }
}

/** Whether the operation is a query, a mutation or a subscription, which gives a stream. */
export function kindOf({ document, operationName }: SubscriptionArgs): OperationTypeNode | undefined {
  return getOperationAST(document, operationName)?.operation;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
