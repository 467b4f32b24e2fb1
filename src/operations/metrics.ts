import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Services } from '../context.ts';
import type { GaugeSource } from '../telemetry.ts';
import { FEED_COUNTERS, FEED_GAUGES } from './feed-metrics.ts';
import { countEvents } from './request-metrics.ts';

/**
 * Collects the metrics of this process: of Node, of requests, operations and connections, of the change feed, and the gauges of the services. No label has a
 * value that a client can choose freely, and no metric contains data of users.
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

/** Adds a metric whose value is read when the metrics are read. */
function addSource(registry: Registry, { name, help, label, aggregator, isTotal = false, read }: GaugeSource): void {
  const registers = [registry];
  const labelNames = label === undefined ? [] : [label];
  const collect = async (set: (labels: Record<string, string>, value: number) => void): Promise<void> => {
    const value = await read();
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
        return collect((labels, value) => this.set(labels, value));
      },
    });
  }
}
