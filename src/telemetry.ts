/** The transport of a request or operation. */
export type Transport = 'HTTP' | 'SSE' | 'WebSocket';

/** A GraphQL operation, as the log, the metrics and the traces name it. */
export interface OperationInfo {
  /** Its name in the document; null for an anonymous operation. */
  readonly name: string | null;
  readonly type: 'query' | 'mutation' | 'subscription';
  /** The text of its document; undefined when it was executed from memory without its text. */
  readonly text: string | undefined;
}

/**
 * One request, or one operation of a WebSocket. Each layer that takes part in the answer adds what it knows, and the record is reported once, at the end. It
 * never contains a credential or the value of a variable.
 */
export interface RequestRecord {
  /** Identifies it in the log and in responses. */
  readonly id: string;
  transport: Transport;
  /** The IP address of the caller; empty when it is unknown. */
  readonly address: string;
  /** The id of the WebSocket or event stream; null for other requests. */
  connectionId: string | null;
  /** When it arrived, as `performance.now()` in milliseconds. */
  readonly startedAt: number;
  /** The `traceparent` of a trusted proxy (W3C Trace Context); null without one. */
  readonly traceParent: string | null;
  /** The id of its trace; null when it is not traced. */
  traceId: string | null;
  /** The user whose credential was accepted; null for anonymous callers. */
  userId: number | null;
  operation: OperationInfo | null;
  /** Whether its end was reported, which happens once. */
  hasEnded: boolean;
  /** The `extensions.code` of each error, or the code of a refused REST request; each code once. */
  codes: readonly string[];
  /** The number of events that a subscription has sent. */
  events: number;
  /** The bytes of the events of a subscription over WebSocket, or of an event stream. */
  bytes: number;
}

/** A WebSocket, or an event stream of server-sent events. */
export interface ConnectionRecord {
  readonly id: string;
  /** The protocol: `graphql-ws`, `sse`, `subscribe` (django-rest-live) or `chat`. */
  readonly protocol: string;
  readonly address: string;
  readonly startedAt: number;
  userId: number | null;
}

/** `limited` after too many wrong passwords, or when too many are being checked: the password was not checked. */
export type SignInOutcome = 'accepted' | 'refused' | 'limited';

/** Why a caller was refused before any work was done. */
export type RefusalReason =
  | 'credential'
  | 'host'
  | 'overload'
  | 'connection_limit'
  | 'subscription_limit'
  | 'rate_limit';

/** An event that operators see in the log, in metrics or in traces. */
export type TelemetryEvent =
  | { readonly kind: 'operationStarted' | 'operationEnded'; readonly record: RequestRecord }
  | {
      readonly kind: 'requestStarted';
      readonly record: RequestRecord;
      readonly method: string;
      readonly route: string;
    }
  | {
      readonly kind: 'responded';
      readonly record: RequestRecord;
      readonly method: string;
      /** The path of the route, not that of the request; `unknown` without one. */
      readonly route: string;
      readonly status: number;
      readonly bytes: number;
    }
  | { readonly kind: 'connected'; readonly connection: ConnectionRecord }
  | {
      readonly kind: 'disconnected';
      readonly connection: ConnectionRecord;
      /** The close code of a WebSocket; null for an event stream. */
      readonly code: number | null;
      readonly reason: string;
    }
  | {
      readonly kind: 'signIn';
      readonly outcome: SignInOutcome;
      readonly userId: number | null;
      readonly address: string;
      readonly requestId: string | undefined;
    }
  | {
      readonly kind: 'refused';
      readonly reason: RefusalReason;
      /** A sentence without the credential. */
      readonly detail: string;
      readonly address: string;
      /** Left out for a refused handshake. */
      readonly requestId?: string | undefined;
    }
  | {
      /** Events of a subscription could not be rendered completely. */
      readonly kind: 'deliveryFailed';
      readonly operation: OperationInfo | null;
      readonly codes: readonly string[];
    }
  | {
      readonly kind: 'statement';
      readonly sql: string;
      readonly startedAt: number;
      readonly isFailed: boolean;
    };

/** A piece of work that is traced. */
export interface TracedWork {
  readonly name: string;
  /** `consumer` and `producer` for messages of a broker. */
  readonly kind?: 'consumer' | 'producer';
  readonly attributes: Readonly<Record<string, string | number>>;
  /** The `traceparent` of the program that caused it. */
  readonly traceParent?: string | null;
  /** Whether it begins a trace of its own: a delivery follows from the commits of others, whatever request it happens to run in. */
  readonly isRoot?: boolean;
}

/** Writes traces. */
export interface Tracer {
  /** Runs the work of a request or operation, so that statements within it belong to its trace. */
  enter<Result>(record: RequestRecord, work: () => Result): Result;
  trace<Result>(traced: TracedWork, work: () => Promise<Result>): Promise<Result>;
  /** Returns the headers that continue the current trace in another program; empty outside of one. */
  headers(): Readonly<Record<string, string>>;
}

export type TelemetryListener = (event: TelemetryEvent) => void;

/** A value that is read when the metrics are read. */
export interface GaugeSource {
  readonly name: string;
  readonly help: string;
  /** The name of the label of the values of {@link read}; left out for a single value. */
  readonly label?: string;
  /** How the values of several workers are combined; by sum when left out. */
  readonly aggregator?: 'max';
  /** Whether the value only grows while the process runs: a counter. */
  readonly isTotal?: boolean;
  readonly read: () => number | Readonly<Record<string, number>> | Promise<number>;
}

/** Passes events to the log, the metrics and the traces. Without listeners it does nothing. */
export class Telemetry {
  readonly #listeners: TelemetryListener[] = [];
  readonly #gauges: GaugeSource[] = [];
  readonly #tracer: Tracer | null;

  /** Without a tracer, nothing is traced. */
  constructor(tracer: Tracer | null = null) {
    this.#tracer = tracer;
  }

  get isTracing(): boolean {
    return this.#tracer !== null;
  }

  /** The values to read when the metrics are read. */
  get gauges(): readonly GaugeSource[] {
    return this.#gauges;
  }

  addGauge(gauge: GaugeSource): void {
    this.#gauges.push(gauge);
  }

  /** Adds a listener, which must not throw. */
  add(listener: TelemetryListener): void {
    this.#listeners.push(listener);
  }

  /** Runs the work of a request or operation; see {@link Tracer.enter}. */
  enter<Result>(record: RequestRecord | null, work: () => Result): Result {
    return this.#tracer && record ? this.#tracer.enter(record, work) : work();
  }

  /** Runs a piece of work that is traced by itself. */
  trace<Result>(traced: TracedWork, work: () => Promise<Result>): Promise<Result> {
    return this.#tracer ? this.#tracer.trace(traced, work) : work();
  }

  /** Returns the headers that continue the current trace in another program. */
  traceHeaders(): Readonly<Record<string, string>> {
    return this.#tracer?.headers() ?? {};
  }

  report(event: TelemetryEvent): void {
    for (const listener of this.#listeners) {
      listener(event);
    }
  }
}

/** Returns the record of a request or operation that has just arrived. */
export function beginRecord({
  id,
  transport,
  address,
  connectionId = null,
  traceParent = null,
}: Pick<RequestRecord, 'id' | 'transport' | 'address'> &
  Partial<Pick<RequestRecord, 'connectionId' | 'traceParent'>>): RequestRecord {
  return {
    id,
    transport,
    address,
    connectionId,
    startedAt: performance.now(),
    traceParent,
    traceId: null,
    userId: null,
    operation: null,
    hasEnded: false,
    codes: [],
    events: 0,
    bytes: 0,
  };
}

/** Reports the end of a GraphQL operation, once. A record without an operation is one that was refused before its document was known; sockets have a line for it. */
export function endOperation(telemetry: Telemetry, record: RequestRecord): void {
  if (!record.hasEnded) {
    record.hasEnded = true;
    if (record.operation || record.transport !== 'HTTP') {
      telemetry.report({ kind: 'operationEnded', record });
    }
  }
}

/** Adds the code of an error to a record. */
export function addCode(record: RequestRecord, code: string): void {
  if (!record.codes.includes(code)) {
    record.codes = [...record.codes, code];
  }
}
