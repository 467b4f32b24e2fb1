import { setTimeout as pause } from 'node:timers/promises';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Services } from '../context.ts';
import type { GaugeSource } from '../telemetry.ts';
import { FEED_COUNTERS, FEED_GAUGES } from './feed-metrics.ts';
import { countEvents } from './request-metrics.ts';

/** How long reading one value may take, in milliseconds. */
const READ_TIMEOUT_MS = 1_000;

/**
 * Collects the metrics of this process: of Node, of requests, operations and connections, of the change feed, and the gauges of the services. The names of operations
 * are the only labels that clients choose; their number is bounded.
 */
export function collectMetrics({ feed, telemetry }: Services): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  telemetry.add(countEvents(registry));
  for (const [name, { read, ...metric }] of Object.entries(FEED_GAUGES)) {
    addSource(registry, { name, ...metric, read: () => read(feed) });
  }
  for (const [name, { read, ...metric }] of Object.entries(FEED_COUNTERS)) {
    addSource(registry, { name, ...metric, isTotal: true, read: () => read(feed) });
  }
  for (const source of telemetry.gauges) {
    addSource(registry, source);
  }
  return registry;
}

/** Returns the value of a source; null when it cannot be read within {@link READ_TIMEOUT_MS}, so that an outage of the database does not take the metrics down. */
async function readInTime(read: GaugeSource['read']): Promise<Awaited<ReturnType<GaugeSource['read']>> | null> {
  const timeout = new AbortController();
  try {
    return await Promise.race([read(), pause(READ_TIMEOUT_MS, null, { signal: timeout.signal, ref: false })]);
  } catch {
    return null;
  } finally {
    timeout.abort();
  }
}

/** Adds a metric whose value is read when the metrics are read. */
function addSource(registry: Registry, { name, help, label, aggregator, isTotal = false, read }: GaugeSource): void {
  const registers = [registry];
  const labelNames = label === undefined ? [] : [label];
  const collect = async (
    set: (labels: Record<string, string>, value: number) => void,
    absent: () => void = () => undefined,
  ): Promise<void> => {
    const value = await readInTime(read);
    if (value === null) {
      absent();
      return;
    }
    if (typeof value === 'number') {
      set({}, value);
    } else {
      for (const [key, each] of Object.entries(value)) {
        set({ [label ?? 'name']: key }, each);
      }
    }
  };
  if (isTotal) {
    new Counter({
      name,
      help,
      labelNames,
      registers,
      async collect() {
        this.reset();
        await collect((labels, value) => this.inc(labels, value));
      },
    });
  } else {
    new Gauge({
      name,
      help,
      labelNames,
      ...(aggregator && { aggregator }),
      registers,
      collect() {
        return collect(
          (labels, value) => this.set(labels, value),
          () => this.remove(),
        );
      },
    });
  }
}
