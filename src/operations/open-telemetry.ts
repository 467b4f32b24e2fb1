import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { Telemetry } from '../telemetry.ts';
import { logEvents } from './event-log.ts';

export interface OpenTelemetry {
  readonly telemetry: Telemetry;
  /** Sends the traces that wait, for at most two seconds. */
  readonly close: () => Promise<void>;
}

/** Opens the telemetry of a process: the log and, when a collector is configured, traces. `collectMetrics` adds the metrics. */
export async function openTelemetry({ traces, log, database }: Config, logger: Logger): Promise<OpenTelemetry> {
  // Loading OpenTelemetry takes as long as opening the database.
  const tracing = traces && (await import('./tracing.ts')).startTracing(traces, database.url);
  const telemetry = new Telemetry(tracing?.tracer);
  if (tracing) {
    telemetry.add(tracing.listener);
  }
  telemetry.add(logEvents(logger, log));
  return { telemetry, close: async () => tracing?.close() };
}
