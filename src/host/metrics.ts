import type { FastifyInstance } from 'fastify';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Services } from '../context.ts';

/** From an answer out of memory to one that is hardly waited for any more. */
const DURATION_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/**
 * Adds `/metrics`, in the text format of Prometheus: the process itself, requests by route and status, and what the live side has to do. Paths
 * are told as their routes, so that nobody can make up new series; nothing in it is about a user.
 */
export function registerMetrics(host: FastifyInstance, { feed }: Services): void {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const durations = new Histogram({
    name: 'tidings_http_request_duration_seconds',
    help: 'How long answers took from the first byte of the request to the last one of the answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: DURATION_BUCKETS_S,
    registers,
  });
  new Gauge({
    name: 'tidings_subscriptions',
    help: 'Subscriptions of any kind that are open at present.',
    registers,
    collect() {
      this.set(feed.load.streams);
    },
  });
  new Gauge({
    name: 'tidings_log_position',
    help: 'The number of the last change that was handed to subscribers.',
    registers,
    collect() {
      this.set(feed.load.position);
    },
  });
  new Counter({
    name: 'tidings_log_changes_total',
    help: 'Changes that were handed to subscribers since the process started.',
    registers,
    collect() {
      this.reset();
      this.inc(feed.load.changes);
    },
  });
  host.addHook('onResponse', async ({ method, routeOptions, is404 }, { statusCode, elapsedTime }) => {
    const route = is404 ? 'unknown' : (routeOptions.url ?? 'unknown');
    durations.observe({ method, route, status: statusCode }, elapsedTime / 1000);
  });
  host.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
}
