import type { Environment } from './environment.ts';

/** The settings of the log. */
export interface LogSettings {
  readonly level: Environment['LOG_LEVEL'];
  /** `null` for `pretty` on a terminal and `json` elsewhere. */
  readonly format: 'json' | 'pretty' | null;
  /** The part of the lines of successful requests, operations and sockets that is written, from 0 to 1. */
  readonly sampleRate: number;
  /** The duration from which an operation or request is logged as slow, in milliseconds. */
  readonly slowMs: number;
}

/** The settings of traces. */
export interface TraceSettings {
  /** The base URL of the OpenTelemetry collector. */
  readonly endpoint: string;
  readonly serviceName: string;
}

export function logSettings(values: Environment): LogSettings {
  return {
    level: values.LOG_LEVEL,
    format: values.LOG_FORMAT ?? null,
    sampleRate: values.LOG_SAMPLE_RATE,
    slowMs: values.LOG_SLOW_MS,
  };
}

export function traceSettings({
  OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
  OTEL_SERVICE_NAME,
}: Environment): TraceSettings | null {
  return endpoint === undefined ? null : { endpoint, serviceName: OTEL_SERVICE_NAME };
}
