import type { Services } from '../context.ts';

/** A value of the change feed. */
export interface FeedMetric {
  readonly help: string;
  /** How the values of several workers are combined; by sum when left out. */
  readonly aggregator?: 'max';
  readonly read: (feed: Services['feed']) => number;
}

/** Values of the change feed that rise and fall. */
export const FEED_GAUGES: Readonly<Record<string, FeedMetric>> = {
  tidings_subscriptions: { help: 'Open subscriptions to changes.', read: ({ counts }) => counts.streams },
  tidings_subscriptions_catching_up: {
    help: 'Subscriptions that read from the log, after a resume or because of a slow reader.',
    read: ({ counts }) => counts.catchingUp,
  },
  tidings_replays_waiting: {
    help: 'Subscriptions that wait to read from the log, because others read from it.',
    read: ({ replays }) => replays.size,
  },
  tidings_log_position: {
    aggregator: 'max',
    help: 'The sequence number of the last change that was passed to subscriptions.',
    read: ({ position }) => position.seq,
  },
  tidings_feed_lag_seconds: {
    aggregator: 'max',
    help: 'The time for which the oldest committed change has waited to be passed to subscriptions.',
    read: ({ lag }) => lag.ms / 1000,
  },
  tidings_feed_lag_changes: {
    aggregator: 'max',
    help: 'The approximate number of committed changes that wait to be passed to subscriptions.',
    read: ({ lag }) => lag.changes,
  },
  tidings_feed_failing_seconds: {
    aggregator: 'max',
    help: 'The time for which reading the log has failed; 0 when reading succeeds.',
    read: ({ lag }) => lag.failingMs / 1000,
  },
  tidings_horizon_age_seconds: {
    aggregator: 'max',
    help: 'The age of the transaction that delays committed changes; 0 without one.',
    read: ({ lag }) => lag.holder?.ageS ?? 0,
  },
  tidings_horizon_pid: {
    aggregator: 'max',
    help: 'The PostgreSQL process of the transaction that delays committed changes; 0 without one.',
    read: ({ lag }) => lag.holder?.pid ?? 0,
  },
  tidings_delivery_waiting_bytes: {
    help: 'Bytes of events that wait to be sent.',
    read: ({ loop }) => loop.results.waitingBytes,
  },
  tidings_delivery_result_bytes: {
    help: 'Bytes of rendered events that wait to be sent.',
    read: ({ loop }) => loop.results.resultBytes,
  },
  tidings_memberships: {
    help: 'Groups and users whose memberships are in memory, because of a subscription.',
    read: ({ memberships }) => memberships.size,
  },
};

/** Values of the change feed that only grow. */
export const FEED_COUNTERS: Readonly<Record<string, FeedMetric>> = {
  tidings_log_changes_total: {
    help: 'Changes that were passed to subscriptions.',
    read: ({ counts }) => counts.changes,
  },
  tidings_log_unreadable_total: {
    help: 'Changes in the log that could not be decoded.',
    read: ({ counts }) => counts.unreadable,
  },
  tidings_resyncs_total: {
    help: 'Subscriptions that ended with RESYNC_REQUIRED because the log or a change could not be read.',
    read: ({ counts }) => counts.resyncs,
  },
  tidings_replay_batches_total: {
    help: 'Batches of changes that subscriptions received from the log.',
    read: ({ replays }) => replays.counts.batches,
  },
  tidings_replay_batches_shared_total: {
    help: 'Batches among those that another subscription had already read.',
    read: ({ replays }) => replays.counts.shared,
  },
  tidings_deliveries_total: { help: 'Events that were sent to subscribers.', read: ({ loop }) => loop.delivered },
  tidings_executions_total: {
    help: 'Events that were rendered, each once for all subscriptions that share the result.',
    read: ({ loop }) => loop.results.rendered,
  },
  tidings_delivery_shed_total: {
    help: 'Subscriptions that were switched to reading from the log to free memory.',
    read: ({ loop }) => loop.shed,
  },
};
