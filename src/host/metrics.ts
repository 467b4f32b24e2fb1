import type { FastifyInstance } from 'fastify';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Services } from '../context.ts';
import type { OverloadGuard } from './overload.ts';

/** From an answer out of memory to one that is hardly waited for any more. */
const DURATION_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

interface FeedFigure {
  readonly help: string;
  /** What is served for several workers: the sum unless it says otherwise. */
  readonly aggregator?: 'max';
  readonly read: (feed: Services['feed']) => number;
}

const FEED_GAUGES: Readonly<Record<string, FeedFigure>> = {
  tidings_subscriptions: { help: 'Subscriptions to changes that are open.', read: ({ counts }) => counts.streams },
  tidings_subscriptions_catching_up: {
    help: 'Subscriptions that read the log, since they resumed or their reader was slow.',
    read: ({ counts }) => counts.catchingUp,
  },
  tidings_replays_waiting: {
    help: 'Subscriptions that wait for their turn to read the log.',
    read: ({ replays }) => replays.size,
  },
  tidings_log_position: {
    aggregator: 'max',
    help: 'The number of the last change that was offered to subscriptions.',
    read: ({ position }) => position.seq,
  },
  tidings_feed_lag_seconds: {
    aggregator: 'max',
    help: 'For how long committed changes have been waiting to be offered to subscriptions.',
    read: ({ lag }) => lag.ms / 1000,
  },
  tidings_feed_lag_changes: {
    aggregator: 'max',
    help: 'About how many committed changes wait.',
    read: ({ lag }) => lag.changes,
  },
  tidings_feed_failing_seconds: {
    aggregator: 'max',
    help: 'For how long the log could not be read; 0 when it can.',
    read: ({ lag }) => lag.failingMs / 1000,
  },
  tidings_horizon_age_seconds: {
    aggregator: 'max',
    help: 'The age of the transaction that keeps committed changes back; 0 when none does.',
    read: ({ lag }) => lag.holder?.ageS ?? 0,
  },
  tidings_horizon_pid: {
    aggregator: 'max',
    help: 'The process of PostgreSQL that runs that transaction; 0 when none does.',
    read: ({ lag }) => lag.holder?.pid ?? 0,
  },
  tidings_delivery_waiting_bytes: {
    help: 'Bytes of events that wait for readers.',
    read: ({ loop }) => loop.results.waitingBytes,
  },
  tidings_delivery_result_bytes: {
    help: 'Bytes of rendered events that are kept for readers.',
    read: ({ loop }) => loop.results.resultBytes,
  },
  tidings_memberships: {
    help: 'Groups and users whose memberships are held, since somebody is subscribed.',
    read: ({ memberships }) => memberships.size,
  },
};

const FEED_COUNTERS: Readonly<Record<string, FeedFigure>> = {
  tidings_log_changes_total: {
    help: 'Changes that were offered to subscriptions.',
    read: ({ counts }) => counts.changes,
  },
  tidings_log_unreadable_total: { help: 'Changes that could not be read.', read: ({ counts }) => counts.unreadable },
  tidings_resyncs_total: {
    help: 'Subscriptions that had to start over since the log or a change could not be read.',
    read: ({ counts }) => counts.resyncs,
  },
  tidings_replay_batches_total: {
    help: 'Batches that subscriptions read from the log.',
    read: ({ replays }) => replays.counts.batches,
  },
  tidings_replay_batches_shared_total: {
    help: 'Batches among those that another subscription had read.',
    read: ({ replays }) => replays.counts.shared,
  },
  tidings_deliveries_total: { help: 'Events that were written to readers.', read: ({ loop }) => loop.delivered },
  tidings_executions_total: {
    help: 'Events that were rendered, each for all subscriptions that share the result.',
    read: ({ loop }) => loop.results.rendered,
  },
  tidings_delivery_shed_total: {
    help: 'Subscriptions that were sent back to the log since the process held too much.',
    read: ({ loop }) => loop.shed,
  },
};

/**
 * Collects the metrics of this process: the process itself, requests by route and status, and what the live side has to do. Paths are reported as their routes,
 * so that nobody can make up new series; nothing in it is about a user.
 */
export function collectMetrics(host: FastifyInstance, { feed }: Services, overload: OverloadGuard): Registry {
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
  for (const [name, { help, aggregator = 'sum', read }] of Object.entries(FEED_GAUGES)) {
    new Gauge({
      name,
      help,
      aggregator,
      registers,
      collect() {
        this.set(read(feed));
      },
    });
  }
  for (const [name, { help, read }] of Object.entries(FEED_COUNTERS)) {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read(feed));
      },
    });
  }
  new Counter({
    name: 'tidings_requests_refused_total',
    help: 'Requests that were refused with 503, since the event loop was late.',
    registers,
    collect() {
      this.reset();
      this.inc(overload.refused);
    },
  });
  host.addHook('onResponse', ({ method, routeOptions, is404 }, { statusCode, elapsedTime }, done) => {
    const route = is404 ? 'unknown' : (routeOptions.url ?? 'unknown');
    durations.observe({ method, route, status: statusCode }, elapsedTime / 1000);
    done();
  });
  return registry;
}
