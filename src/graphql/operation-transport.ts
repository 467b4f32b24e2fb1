import type { ContextFactory } from '../identity/credentials.ts';
import type { Telemetry } from '../telemetry.ts';
import type { ReportUnexpectedError } from './mask.ts';
import type { GraphQLEngine } from './operation-args.ts';
import type { PersistedOperations } from './persisted-operations.ts';

/** The options that the WebSocket and SSE transports have in common. */
export interface OperationTransport {
  readonly engine: () => GraphQLEngine;
  readonly persisted: PersistedOperations;
  readonly contextOf: ContextFactory;
  readonly report: ReportUnexpectedError;
  readonly telemetry: Telemetry;
}
