import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { OperationInfo, RequestRecord, TelemetryEvent, TelemetryListener } from '../telemetry.ts';

/** From a response from memory to one that most clients no longer wait for, in seconds. */
const DURATION_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
/** From a statement on cached pages to one that reads a large table, in seconds. */
const STATEMENT_BUCKETS_S = [0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10];
const BYTES_BUCKETS = [1000, 10_000, 100_000, 1_000_000, 10_000_000];

/** How many names of operations have series of their own. Clients choose the names, and each takes memory here and in Prometheus. */
const MAX_OPERATION_NAMES = 200;
/** How many of them may have come from anonymous callers, who could otherwise use up all. */
const MAX_ANONYMOUS_NAMES = 50;
/** The longest name of an operation that has series of its own, in characters. */
const MAX_NAME_LENGTH = 100;
const ANONYMOUS = 'anonymous';
const OTHER = 'other';
const NONE = 'none';

const MS_PER_S = 1000;

type Event<Kind extends TelemetryEvent['kind']> = Extract<TelemetryEvent, { kind: Kind }>;

/** Adds the metrics of requests, operations, connections, sign-ins and statements. Returns the listener that counts them. */
export function countEvents(registry: Registry): TelemetryListener {
  const names = new BoundedNames();
  const countOperation = operationMetrics(registry, names);
  const countErrors = errorMetrics(registry, names);
  const countResponse = responseMetrics(registry);
  const countConnection = connectionMetrics(registry);
  const registers = [registry];
  const signIns = new Counter({
    name: 'tidings_sign_ins_total',
    help: 'Attempts to sign in with a password, by outcome: accepted, refused, or limited without checking the password.',
    labelNames: ['outcome'],
    registers,
  });
  const refusals = new Counter({
    name: 'tidings_refusals_total',
    help: 'Requests, handshakes and writes that were refused before any work, by reason.',
    labelNames: ['reason'],
    registers,
  });
  const statements = new Histogram({
    name: 'tidings_statement_duration_seconds',
    help: 'The time that SQL statements took, the time in queues included, by outcome.',
    labelNames: ['outcome'],
    buckets: STATEMENT_BUCKETS_S,
    registers,
  });
  return (event) => {
    switch (event.kind) {
      case 'operationStarted':
        countOperation(event);
        break;
      case 'operationEnded':
        countOperation(event);
        if (event.record.transport !== 'HTTP') {
          countErrors(event.record);
        }
        break;
      case 'responded':
        countResponse(event);
        countErrors(event.record);
        break;
      case 'deliveryFailed':
        countErrors({ ...event, userId: null });
        break;
      case 'connected':
      case 'disconnected':
        countConnection(event);
        break;
      case 'signIn':
        signIns.inc({ outcome: event.outcome });
        break;
      case 'refused':
        refusals.inc({ reason: event.reason });
        break;
      case 'statement':
        statements.observe({ outcome: event.isFailed ? 'failed' : 'done' }, secondsSince(event.startedAt));
        break;
      default:
    }
  };
}

function responseMetrics(registry: Registry): (event: Event<'responded'>) => void {
  const registers = [registry];
  const durations = new Histogram({
    name: 'tidings_http_request_duration_seconds',
    help: 'The time from the first byte of a request to the last byte of its response, event streams left out.',
    labelNames: ['method', 'route', 'status'],
    buckets: DURATION_BUCKETS_S,
    registers,
  });
  const sizes = new Histogram({
    name: 'tidings_http_response_size_bytes',
    help: 'The bytes of responses with their headers, event streams left out.',
    labelNames: ['route'],
    buckets: BYTES_BUCKETS,
    registers,
  });
  return ({ record, method, route, status, bytes }) => {
    durations.observe({ method, route, status }, secondsSince(record.startedAt));
    sizes.observe({ route }, bytes);
  };
}

function operationMetrics(
  registry: Registry,
  names: BoundedNames,
): (event: Event<'operationStarted' | 'operationEnded'>) => void {
  const registers = [registry];
  const running = new Gauge({
    name: 'tidings_operations_running',
    help: 'GraphQL operations that are being executed, and subscriptions that are open.',
    labelNames: ['transport', 'type'],
    registers,
  });
  const durations = new Histogram({
    name: 'tidings_operation_duration_seconds',
    help: `The time that GraphQL queries and mutations took, by name. The first ${MAX_OPERATION_NAMES} names have series of their own.`,
    labelNames: ['transport', 'type', 'operation'],
    buckets: DURATION_BUCKETS_S,
    registers,
  });
  const ended = new Counter({
    name: 'tidings_operations_total',
    help: 'GraphQL operations that have ended, subscriptions included, by name.',
    labelNames: ['transport', 'type', 'operation'],
    registers,
  });
  return ({ kind, record }) => {
    const { transport, operation, userId } = record;
    if (!operation) {
      return;
    }
    const { type } = operation;
    if (kind === 'operationStarted') {
      running.inc({ transport, type });
      return;
    }
    const name = names.labelOf(operation, userId);
    running.dec({ transport, type });
    ended.inc({ transport, type, operation: name });
    if (type !== 'subscription') {
      durations.observe({ transport, type, operation: name }, secondsSince(record.startedAt));
    }
  };
}

type Failed = Pick<RequestRecord, 'operation' | 'codes' | 'userId'>;

/** Returns the function that counts the errors of a request or operation that has ended. */
function errorMetrics(registry: Registry, names: BoundedNames): (failed: Failed) => void {
  const errors = new Counter({
    name: 'tidings_errors_total',
    help: 'Requests, operations and deliveries with an error, by its extensions.code. The operation is none for REST, and for documents that were refused.',
    labelNames: ['operation', 'code'],
    registers: [registry],
  });
  return ({ operation, codes, userId }) => {
    for (const code of codes) {
      errors.inc({ operation: operation ? names.labelOf(operation, userId) : NONE, code });
    }
  };
}

function connectionMetrics(registry: Registry): (event: Event<'connected' | 'disconnected'>) => void {
  const registers = [registry];
  const open = new Gauge({
    name: 'tidings_connections',
    help: 'Open WebSockets and event streams, by protocol: graphql-ws, sse, subscribe, chat.',
    labelNames: ['protocol'],
    registers,
  });
  const closed = new Counter({
    name: 'tidings_connections_closed_total',
    help: 'WebSockets and event streams that were closed, by protocol and close code; the code of event streams is none.',
    labelNames: ['protocol', 'code'],
    registers,
  });
  return (event) => {
    const { protocol } = event.connection;
    if (event.kind === 'connected') {
      open.inc({ protocol });
      return;
    }
    open.dec({ protocol });
    closed.inc({ protocol, code: codeLabel(event.code) });
  };
}

/** Returns the label of a close code. A client may choose any code from 1000 to 4999: those that the server does not use have one label together. */
function codeLabel(code: number | null): string {
  if (code === null) {
    return NONE;
  }
  return (code >= 1000 && code <= 1015) || (code >= 4400 && code <= 4599) ? String(code) : OTHER;
}

/** Limits the names of operations that are used as labels. */
class BoundedNames {
  readonly #names = new Set<string>();
  #anonymous = 0;

  labelOf({ name }: OperationInfo, userId: number | null): string {
    if (name === null) {
      return ANONYMOUS;
    }
    if (this.#names.has(name)) {
      return name;
    }
    const isFull =
      this.#names.size >= MAX_OPERATION_NAMES || (userId === null && this.#anonymous >= MAX_ANONYMOUS_NAMES);
    if (isFull || name.length > MAX_NAME_LENGTH) {
      return OTHER;
    }
    this.#anonymous += userId === null ? 1 : 0;
    this.#names.add(name);
    return name;
  }
}

function secondsSince(startedAt: number): number {
  return (performance.now() - startedAt) / MS_PER_S;
}
