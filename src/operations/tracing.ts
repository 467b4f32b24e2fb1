import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Context,
  ROOT_CONTEXT,
  type Span,
  type Tracer as SpanFactory,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { Config } from '../config/config.ts';
import { HEALTH_PATHS } from '../host/health-paths.ts';
import type { RequestRecord, TelemetryEvent, TelemetryListener, TracedWork, Tracer } from '../telemetry.ts';

/** The path of the traces below the endpoint (OpenTelemetry protocol exporter specification). */
const TRACES_PATH = '/v1/traces';
/** How long sending a batch may take, retries included, and how long a stop waits for the last one, in milliseconds: the collector may be gone. */
const SEND_TIMEOUT_MS = 2_000;
const TRACE_PARENT = /^[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})/;
const FIRST_SERVER_ERROR_STATUS = 500;
/** The longest text of a statement in a span, in characters. */
const MAX_SQL = 2_000;

const KINDS = { consumer: SpanKind.CONSUMER, producer: SpanKind.PRODUCER };

export interface Tracing {
  readonly tracer: Tracer;
  readonly listener: TelemetryListener;
  /** Sends the spans that wait. */
  readonly close: () => Promise<void>;
}

/** The spans of a request: of its response, and of its operation. */
interface RequestSpans {
  request: Span | null;
  operation: Span | null;
}

/**
 * Sends spans of requests, operations, statements, deliveries and messages to a collector by OTLP over HTTP. The exporter, the batches, the sampler and the
 * resource read the other `OTEL_…` variables of the specification by themselves.
 */
export function startTracing({ endpoint, serviceName }: NonNullable<Config['traces']>, databaseUrl: string): Tracing {
  const named = resourceFromAttributes({ 'service.name': serviceName });
  const provider = new BasicTracerProvider({
    resource: defaultResource()
      .merge(detectResources({ detectors: [envDetector] }))
      .merge(named),
    spanProcessors: [
      new BatchSpanProcessor(
        new OTLPTraceExporter({ url: endpoint.replace(/\/$/, '') + TRACES_PATH, timeoutMillis: SEND_TIMEOUT_MS }),
      ),
    ],
  });
  const spans = new RequestTraces(
    provider.getTracer('tidings'),
    databaseUrl.startsWith('file:') ? 'sqlite' : 'postgresql',
  );
  return {
    tracer: spans,
    listener: (event) => spans.onEvent(event),
    close: async () => {
      const timeout = new Promise<void>((resolve) => setTimeout(resolve, SEND_TIMEOUT_MS).unref());
      await Promise.race([provider.shutdown().catch(() => undefined), timeout]);
    },
  };
}

/** Makes the spans of events. */
class RequestTraces implements Tracer {
  readonly #factory: SpanFactory;
  readonly #database: string;
  readonly #spans = new WeakMap<RequestRecord, RequestSpans>();
  /** The request, or the span of a piece of work, to which statements belong. */
  readonly #current = new AsyncLocalStorage<RequestRecord | Span>();

  constructor(factory: SpanFactory, database: string) {
    this.#factory = factory;
    this.#database = database;
  }

  enter<Result>(record: RequestRecord, work: () => Result): Result {
    return this.#current.run(record, work);
  }

  async trace<Result>(traced: TracedWork, work: () => Promise<Result>): Promise<Result> {
    const { name, kind, attributes, traceParent, isRoot = false } = traced;
    const options = { attributes, kind: kind ? KINDS[kind] : SpanKind.INTERNAL };
    const around = isRoot ? ROOT_CONTEXT : this.#context();
    const span = this.#factory.startSpan(name, options, traceParent ? contextOf(traceParent) : around);
    try {
      return await this.#current.run(span, work);
    } catch (error) {
      // Without the message, which may contain values.
      span.setAttribute('error.type', error instanceof Error ? error.name : 'unknown');
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  }

  headers(): Readonly<Record<string, string>> {
    const context = trace.getSpan(this.#context())?.spanContext();
    if (!context) {
      return {};
    }
    const flags = context.traceFlags.toString(16).padStart(2, '0');
    return { traceparent: `00-${context.traceId}-${context.spanId}-${flags}` };
  }

  onEvent(event: TelemetryEvent): void {
    switch (event.kind) {
      case 'requestStarted':
        this.#startRequest(event);
        break;
      case 'operationStarted':
        this.#startOperation(event.record);
        break;
      case 'operationEnded':
        this.#endOperation(event.record);
        break;
      case 'responded':
        this.#endRequest(event);
        break;
      case 'statement':
        this.#addStatement(event);
        break;
      default:
    }
  }

  #startRequest({ record, method, route }: Extract<TelemetryEvent, { kind: 'requestStarted' }>): void {
    if (HEALTH_PATHS.has(route)) {
      return;
    }
    const attributes = {
      'http.request.method': method,
      'http.route': route,
      'client.address': record.address,
      'tidings.request_id': record.id,
    };
    const options = { kind: SpanKind.SERVER, attributes, startTime: timeOf(record.startedAt) };
    const parent = record.traceParent === null ? ROOT_CONTEXT : contextOf(record.traceParent);
    const request = this.#factory.startSpan(`${method} ${route}`, options, parent);
    record.traceId = request.spanContext().traceId;
    this.#spans.set(record, { request, operation: null });
  }

  #startOperation(record: RequestRecord): void {
    const spans = this.#spans.get(record) ?? { request: null, operation: null };
    const { name, type } = record.operation ?? { name: null, type: 'query' };
    const attributes = {
      'graphql.operation.type': type,
      ...(name !== null && { 'graphql.operation.name': name }),
      'tidings.transport': record.transport,
      'tidings.request_id': record.id,
    };
    const parent = spans.request ? trace.setSpan(ROOT_CONTEXT, spans.request) : ROOT_CONTEXT;
    const kind = spans.request ? SpanKind.INTERNAL : SpanKind.SERVER;
    spans.operation = this.#factory.startSpan(name === null ? type : `${type} ${name}`, { kind, attributes }, parent);
    record.traceId = spans.operation.spanContext().traceId;
    this.#spans.set(record, spans);
  }

  #endOperation(record: RequestRecord): void {
    const spans = this.#spans.get(record);
    if (!spans) {
      return;
    }
    describeEnd(spans.operation, record);
    spans.operation?.end();
    if (record.transport === 'SSE') {
      // The response of an event stream is not reported by itself.
      spans.request?.end();
    }
  }

  #endRequest({ record, status }: Extract<TelemetryEvent, { kind: 'responded' }>): void {
    const request = this.#spans.get(record)?.request;
    request?.setAttribute('http.response.status_code', status);
    if (status >= FIRST_SERVER_ERROR_STATUS) {
      request?.setStatus({ code: SpanStatusCode.ERROR });
    }
    request?.end();
  }

  /** Adds a statement to the current trace; statements of background work have none. */
  #addStatement({ sql, startedAt, isFailed }: Extract<TelemetryEvent, { kind: 'statement' }>): void {
    const context = this.#context();
    if (context === ROOT_CONTEXT) {
      return;
    }
    const operation = /^\w+/.exec(sql)?.[0]?.toUpperCase() ?? 'SQL';
    const attributes = {
      'db.system.name': this.#database,
      'db.operation.name': operation,
      // With placeholders in the place of values.
      'db.query.text': sql.slice(0, MAX_SQL),
    };
    const options = { kind: SpanKind.CLIENT, attributes, startTime: timeOf(startedAt) };
    const span = this.#factory.startSpan(operation, options, context);
    if (isFailed) {
      span.setStatus({ code: SpanStatusCode.ERROR });
    }
    span.end();
  }

  /** Returns the context of the current work. */
  #context(): Context {
    const current = this.#current.getStore();
    if (current === undefined) {
      return ROOT_CONTEXT;
    }
    if ('spanContext' in current) {
      return trace.setSpan(ROOT_CONTEXT, current);
    }
    const spans = this.#spans.get(current);
    const span = spans?.operation ?? spans?.request;
    return span ? trace.setSpan(ROOT_CONTEXT, span) : ROOT_CONTEXT;
  }
}

function describeEnd(span: Span | null, { codes, events, userId, operation }: RequestRecord): void {
  if (userId !== null) {
    span?.setAttribute('user.id', String(userId));
  }
  if (operation?.type === 'subscription') {
    span?.setAttribute('tidings.events', events);
  }
  if (codes.length > 0) {
    span?.setAttribute('tidings.error_codes', [...codes]);
    span?.setStatus({ code: SpanStatusCode.ERROR, message: codes.join(', ') });
  }
}

/** Returns the context of a `traceparent` header; an invalid one starts a new trace. */
function contextOf(traceParent: string): Context {
  const [, traceId = '', spanId = '', flags = '0'] = TRACE_PARENT.exec(traceParent) ?? [];
  return traceId === ''
    ? ROOT_CONTEXT
    : trace.setSpanContext(ROOT_CONTEXT, {
        traceId,
        spanId,
        traceFlags: Number.parseInt(flags, 16) & 1,
        isRemote: true,
      });
}

/** Returns the Unix time in milliseconds of a `performance.now()`. */
function timeOf(now: number): number {
  return performance.timeOrigin + now;
}
