import { type DocumentNode, type GraphQLError, getOperationAST } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Context } from '../context.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import { addCode, endOperation, type RequestRecord, type Telemetry } from '../telemetry.ts';

/** The code in the log and the metrics of an error that has none yet, the same that its client receives. */
const WITHOUT_CODE: ErrorCode = 'BAD_INPUT';

/** The operation of a document that a request executes. */
interface SelectedOperation {
  readonly document: DocumentNode;
  readonly operationName?: string | null | undefined;
}

/** Adds the operation to the record of its request, and reports that it starts. Calling it again changes nothing. */
export function recordOperation({ record, telemetry }: Context, { document, operationName }: SelectedOperation): void {
  const definition = record && !record.operation && !record.hasEnded && getOperationAST(document, operationName);
  if (definition) {
    record.operation = {
      name: definition.name?.value ?? null,
      type: definition.operation,
      text: document.loc?.source.body,
    };
    telemetry.report({ kind: 'operationStarted', record });
  }
}

/** Returns the code of an error, as the log and the metrics name it. */
export function codeOf({ extensions }: GraphQLError): string {
  return typeof extensions?.['code'] === 'string' ? extensions['code'] : WITHOUT_CODE;
}

/** Adds the codes of the errors of a result to the record of its request. */
export function recordErrors(record: RequestRecord | null, errors: readonly GraphQLError[] | undefined): void {
  if (record && errors) {
    for (const error of errors) {
      addCode(record, codeOf(error));
    }
  }
}

/** Reports the end of an operation of a WebSocket; an operation over HTTP ends with its response. */
export function reportEnd(telemetry: Telemetry, record: RequestRecord | null): void {
  if (record?.transport === 'WebSocket') {
    endOperation(telemetry, record);
  }
}

/** Records that the stream of a subscription has ended: with an error, or null. */
export function recordEnd({ record, telemetry }: Context, error: Error | null): void {
  if (record && error) {
    addCode(record, error instanceof AppError ? error.code : 'INTERNAL');
  }
  reportEnd(telemetry, record);
}

/** Records the operations and the errors of the requests that Yoga answers. */
export function useOperationRecords(): Plugin<Record<string, never>, { readonly executionContext: Context }> {
  return {
    onExecute: ({ args }) => recordOperation(args.contextValue as unknown as Context, args),
    onResultProcess: ({ result, serverContext }) => {
      if ('errors' in result) {
        recordErrors(serverContext.executionContext.record, result.errors);
      }
    },
  };
}
