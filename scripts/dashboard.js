// Writes docs/grafana.json, the dashboard of Grafana, of the panels below: `npm run dashboard`.
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const RATE = '$__rate_interval';
// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana replaces it by the data source that was chosen.
const SOURCE = { type: 'prometheus', uid: '${datasource}' };
const WIDTH = 24;

/** A selector of the nodes that the variable `job` selects. */
const nodes = (...more) => `{${['job=~"$job"', ...more].join(', ')}}`;
const rate = (series, ...more) => `rate(${series}${nodes(...more)}[${RATE}])`;
const sum = (expression, by) => `sum${by ? ` by (${by})` : ''} (${expression})`;
const max = (series, by) => `max${by ? ` by (${by})` : ''} (${series}${nodes()})`;
const total = (series, by) => sum(`${series}${nodes()}`, by);
const rates = (series, by) => sum(rate(series), by);
/** Requests without the health checks of supervisors and load balancers. */
const NO_PROBES = 'route!~"/health|/ready"';
const quantile = (part, series, by) =>
  `histogram_quantile(${part}, sum by (${by ? `${by}, ` : ''}le) (${rate(`${series}_bucket`, ...(series === REQUESTS ? [NO_PROBES] : []))}))`;
const percentiles = (series) => [0.5, 0.95, 0.99].map((part) => [quantile(part, series), `${part * 100} %`]);
const hits = (cache) =>
  `${sum(rate(`tidings_${cache}_cache_lookups_total`, 'outcome="hit"'))} / ${rates(`tidings_${cache}_cache_lookups_total`)}`;

const REQUESTS = 'tidings_http_request_duration_seconds';
const limits = (orange, red) => [
  { color: 'green', value: null },
  { color: 'orange', value: orange },
  { color: 'red', value: red },
];

/** The rows from top to bottom, each with lines of panels: title, description, unit, and queries with their legends. */
const ROWS = {
  'At a glance': [
    [
      {
        title: 'Requests',
        about: 'Requests a second over all nodes, without event streams.',
        unit: 'reqps',
        queries: [[rates(`${REQUESTS}_count`), '']],
      },
      {
        title: 'Server errors',
        about: 'The part of the requests that was answered with a status of 500 or more.',
        unit: 'percentunit',
        thresholds: limits(0.001, 0.01),
        queries: [
          [
            `(${sum(rate(`${REQUESTS}_count`, 'status=~"5.."', NO_PROBES))} or vector(0)) / ${sum(rate(`${REQUESTS}_count`, NO_PROBES))}`,
            '',
          ],
        ],
      },
      {
        title: 'Requests, 95th percentile',
        about: '95 of 100 requests are answered within this time.',
        unit: 's',
        thresholds: limits(0.25, 1),
        queries: [[quantile(0.95, REQUESTS), '']],
      },
      {
        title: 'Connections',
        about: 'Open WebSockets and event streams.',
        queries: [[total('tidings_connections'), '']],
      },
      {
        title: 'Subscriptions',
        about: 'Open subscriptions of all protocols.',
        queries: [[total('tidings_subscriptions'), '']],
      },
      {
        title: 'Feed lag',
        about:
          'How long the oldest committed change has waited to be delivered. Above READY_MAX_LAG_S, /ready answers 503.',
        unit: 's',
        thresholds: limits(5, 30),
        queries: [[max('tidings_feed_lag_seconds'), '']],
      },
    ],
  ],
  'Requests and operations': [
    [
      {
        title: 'Requests by status',
        about: 'Requests a second by status, over all routes.',
        unit: 'reqps',
        isStacked: true,
        queries: [[rates(`${REQUESTS}_count`, 'status'), '{{status}}']],
      },
      {
        title: 'Duration of requests',
        about: 'Percentiles over all routes.',
        unit: 's',
        queries: percentiles(REQUESTS),
      },
      {
        title: 'Response bytes',
        about: 'Bytes a second, of the eight routes that send most.',
        unit: 'Bps',
        queries: [[`topk(8, ${rates('tidings_http_response_size_bytes_sum', 'route')})`, '{{route}}']],
      },
    ],
    [
      {
        title: 'GraphQL operations',
        about: 'Operations that ended, a second, of the ten most frequent names.',
        unit: 'ops',
        queries: [[`topk(10, ${rates('tidings_operations_total', 'operation')})`, '{{operation}}']],
      },
      {
        title: 'Slowest operations, 95th percentile',
        about: 'By name: where optimisation pays.',
        unit: 's',
        queries: [[`topk(10, ${quantile(0.95, 'tidings_operation_duration_seconds', 'operation')})`, '{{operation}}']],
      },
      {
        title: 'Errors by code',
        about: 'Errors a second by extensions.code. INTERNAL is a defect or a failure of the database: see the log.',
        unit: 'ops',
        queries: [[rates('tidings_errors_total', 'code'), '{{code}}']],
      },
      {
        title: 'Operations running',
        about: 'Queries and mutations that are being executed, and open subscriptions.',
        queries: [[total('tidings_operations_running', 'transport, type'), '{{transport}} {{type}}']],
      },
    ],
  ],
  Live: [
    [
      {
        title: 'Connections',
        about: 'Open WebSockets and event streams by protocol.',
        isStacked: true,
        queries: [[total('tidings_connections', 'protocol'), '{{protocol}}']],
      },
      {
        title: 'Closed connections',
        about: 'Closed connections a second by close code. Many at once: a node stops, or a proxy cuts them.',
        unit: 'ops',
        queries: [[rates('tidings_connections_closed_total', 'protocol, code'), '{{protocol}} {{code}}']],
      },
      {
        title: 'Deliveries',
        about: 'Events that were sent, and how often they were rendered: the less often, the more subscribers share.',
        unit: 'ops',
        queries: [
          [rates('tidings_deliveries_total'), 'sent'],
          [rates('tidings_executions_total'), 'rendered'],
        ],
      },
      {
        title: 'Feed lag',
        about: 'How long committed changes wait. On PostgreSQL, a long transaction delays all later changes.',
        unit: 's',
        queries: [
          [max('tidings_feed_lag_seconds', 'instance'), '{{instance}}'],
          [max('tidings_horizon_age_seconds'), 'longest transaction'],
          [max('tidings_feed_failing_seconds'), 'log cannot be read'],
        ],
      },
    ],
    [
      {
        title: 'Catching up',
        about: 'Subscriptions that read from the log, those that wait for their turn, and changes that wait.',
        queries: [
          [total('tidings_subscriptions_catching_up'), 'catching up'],
          [total('tidings_replays_waiting'), 'waiting'],
          [max('tidings_feed_lag_changes'), 'changes behind'],
        ],
      },
      {
        title: 'Reads of the log',
        about: 'Batches a second that subscriptions read from the log, and those that another one had just read.',
        unit: 'ops',
        queries: [
          [rates('tidings_replay_batches_total'), 'read'],
          [rates('tidings_replay_batches_shared_total'), 'shared'],
        ],
      },
      {
        title: 'Resyncs and overflows',
        about: 'Subscriptions that had to load their data again or were switched to the log, and undecodable changes.',
        unit: 'ops',
        queries: [
          [rates('tidings_resyncs_total'), 'resync'],
          [rates('tidings_delivery_shed_total'), 'switched to the log'],
          [rates('tidings_log_unreadable_total'), 'cannot be decoded'],
        ],
      },
      {
        title: 'Buffered events',
        about: 'Bytes of events that wait to be rendered or sent (DELIVERY_MAX_BYTES).',
        unit: 'bytes',
        queries: [
          [total('tidings_delivery_waiting_bytes'), 'waiting'],
          [total('tidings_delivery_result_bytes'), 'rendered'],
        ],
      },
    ],
  ],
  'Credentials and caches': [
    [
      {
        title: 'Sign-ins',
        about: 'Attempts a second by outcome. Many refused ones: somebody guesses passwords.',
        unit: 'ops',
        queries: [[rates('tidings_sign_ins_total', 'outcome'), '{{outcome}}']],
      },
      {
        title: 'Refusals',
        about: 'Requests, handshakes and writes that were refused, a second, by reason.',
        unit: 'ops',
        queries: [[rates('tidings_refusals_total', 'reason'), '{{reason}}']],
      },
      {
        title: 'Passwords that wait',
        about: 'Passwords that wait to be hashed. When too many do, sign-ins are refused.',
        queries: [[total('tidings_hash_queue_length'), 'waiting']],
      },
      {
        title: 'Caches',
        about: 'The part of the lookups that was answered from memory.',
        unit: 'percentunit',
        queries: [
          [hits('document'), 'documents'],
          [hits('identity'), 'identities'],
        ],
      },
    ],
  ],
  'Database and broker': [
    [
      {
        title: 'Statements',
        about: 'SQL statements a second by outcome.',
        unit: 'ops',
        queries: [[rates('tidings_statement_duration_seconds_count', 'outcome'), '{{outcome}}']],
      },
      {
        title: 'Duration of statements',
        about: 'With the time in queues: for the one writer of SQLite, or for a connection to PostgreSQL.',
        unit: 's',
        queries: percentiles('tidings_statement_duration_seconds'),
      },
      {
        title: 'Connections to PostgreSQL',
        about: 'The pool by state. When callers wait, raise DATABASE_POOL_SIZE, or look for slow statements.',
        queries: [[total('tidings_database_connections', 'state'), '{{state}}']],
      },
      {
        title: 'Size of the change log',
        about: 'Of its file or table (CHANGE_RETENTION_BYTES).',
        unit: 'bytes',
        queries: [[max('tidings_log_size_bytes'), 'size']],
      },
    ],
    [
      {
        title: 'Changes',
        about: 'Changes a second that were written, and that the nodes passed to subscriptions.',
        unit: 'ops',
        queries: [
          [`max (deriv(tidings_log_position${nodes()}[${RATE}]))`, 'written'],
          [rates('tidings_log_changes_total'), 'passed on'],
        ],
      },
      {
        title: 'Oldest change',
        about: 'A client that was away for longer has to load its data again.',
        unit: 's',
        queries: [[max('tidings_log_oldest_age_seconds'), 'age']],
      },
      {
        title: 'RabbitMQ',
        about: 'Chat messages that wait to be published, and the processes that are connected.',
        queries: [
          [total('tidings_rabbitmq_backlog_messages'), 'waiting'],
          [total('tidings_rabbitmq_connected'), 'connected'],
        ],
      },
      {
        title: 'Published to RabbitMQ',
        about: 'Chat messages a second that RabbitMQ has confirmed.',
        unit: 'ops',
        queries: [[rates('tidings_rabbitmq_published_total'), 'confirmed']],
      },
    ],
  ],
  Processes: [
    [
      {
        title: 'Memory',
        about: 'Resident memory by node.',
        unit: 'bytes',
        queries: [[total('process_resident_memory_bytes', 'instance'), '{{instance}}']],
      },
      {
        title: 'Processor',
        about: 'Cores in use by node.',
        queries: [[rates('process_cpu_seconds_total', 'instance'), '{{instance}}']],
      },
      {
        title: 'Event loop delay',
        about: 'The 99th percentile. Beyond half of MAX_EVENT_LOOP_DELAY_MS, requests are refused.',
        unit: 's',
        queries: [[max('nodejs_eventloop_lag_p99_seconds', 'instance'), '{{instance}}']],
      },
      {
        title: 'Garbage collection',
        about: 'The part of the time that collections take.',
        unit: 'percentunit',
        queries: [[rates('nodejs_gc_duration_seconds_sum', 'instance'), '{{instance}}']],
      },
    ],
  ],
};

function panelOf({ title, about, unit = 'short', thresholds, isStacked = false, queries }, isStat) {
  return {
    type: isStat ? 'stat' : 'timeseries',
    title,
    description: about,
    datasource: SOURCE,
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        ...(thresholds && { color: { mode: 'thresholds' }, thresholds: { mode: 'absolute', steps: thresholds } }),
        ...(!isStat && {
          custom: {
            fillOpacity: isStacked ? 30 : 8,
            showPoints: 'never',
            stacking: { mode: isStacked ? 'normal' : 'none' },
          },
        }),
      },
      overrides: [],
    },
    options: isStat
      ? { colorMode: 'value', graphMode: 'area', reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false } }
      : {
          legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
          tooltip: { mode: 'multi', sort: 'desc' },
        },
    targets: queries.map(([expr, legendFormat], index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: SOURCE,
      expr,
      legendFormat,
    })),
  };
}

/** Returns the panels with their places in the grid. */
function layOut(rows) {
  const panels = [];
  let y = 0;
  for (const [title, lines] of Object.entries(rows)) {
    panels.push({ type: 'row', title, collapsed: false, gridPos: { h: 1, w: WIDTH, x: 0, y }, panels: [] });
    y += 1;
    const isStat = title === 'At a glance';
    const h = isStat ? 4 : 8;
    for (const line of lines) {
      const w = WIDTH / line.length;
      panels.push(...line.map((panel, index) => ({ ...panelOf(panel, isStat), gridPos: { h, w, x: index * w, y } })));
      y += h;
    }
  }
  return panels.map((panel, index) => ({ id: index + 1, ...panel }));
}

/** Returns the dashboard as Grafana imports it. */
export function dashboard() {
  const job = 'label_values(tidings_subscriptions, job)';
  return {
    title: 'Tidings',
    uid: 'tidings',
    description: 'What to look at first; then requests, live events, credentials, the database and the processes.',
    tags: ['tidings'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
        {
          name: 'job',
          label: 'Job',
          type: 'query',
          datasource: SOURCE,
          query: { query: job, refId: 'job' },
          definition: job,
          refresh: 2,
          includeAll: true,
          allValue: '.+',
          multi: true,
          current: { text: ['All'], value: ['$__all'] },
        },
      ],
    },
    panels: layOut(ROWS),
  };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  writeFileSync(new URL('../docs/grafana.json', import.meta.url), `${JSON.stringify(dashboard(), null, 2)}\n`);
}
