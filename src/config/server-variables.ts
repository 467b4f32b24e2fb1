import { z } from 'zod';
import { defaulted, oneOf, optional, optionalNumber, wholeNumber } from './variable.ts';

const DAY_S = 86_400;
const GIB = 1_073_741_824;
const PORTS = { min: 0, max: 65_535 };

const host = z.string().min(1);

/** The variables of the listeners and the process. */
export const SERVER_VARIABLES = {
  HOST: defaulted(host, {
    fallback: 'localhost',
    meaning: 'the address on which the server listens; `0.0.0.0` for all addresses of the machine',
    values: 'a host name or an IP address',
  }),
  PORT: wholeNumber(8000, PORTS, 'the port on which the server listens; `0` for a free one'),
  METRICS_HOST: defaulted(host, {
    fallback: 'localhost',
    meaning: 'the address on which `/metrics` is served',
    values: 'a host name or an IP address',
  }),
  METRICS_PORT: optionalNumber(
    { ...PORTS, absence: 'no metrics' },
    'the port on which `/metrics` is served, and nothing else; see [metrics](operating.md#health-metrics-logs)',
  ),
  WEB_CONCURRENCY: wholeNumber(1, { min: 1, max: 1024 }, 'the number of processes that serve side by side'),
  DRAIN_MS: wholeNumber(
    0,
    { min: 0, max: 600_000, unit: 'ms' },
    'how long a server that is asked to [stop](operating.md#stop) still accepts requests while `/ready` answers 503',
  ),
  DRAIN_SOCKETS_MS: wholeNumber(
    5000,
    { min: 0, max: 600_000, unit: 'ms' },
    'over how long WebSockets and event streams are closed at a stop, at most; a few are closed sooner',
  ),
  SHUTDOWN_TIMEOUT_MS: wholeNumber(
    10_000,
    { min: 0, max: 600_000, unit: 'ms' },
    'how long a stop waits for running requests, after `DRAIN_MS`',
  ),
};

/** The variables of the database, its retention and the broker. */
export const DATABASE_VARIABLES = {
  DATABASE_URL: defaulted(
    z.string().regex(/^(file:.|postgres(ql)?:\/\/)/, {
      error: 'must be a file: URL, like file:./data/tidings.db, or a postgres:// URL',
    }),
    {
      fallback: 'file:./data/tidings.db',
      meaning: 'the database: a SQLite file, or a PostgreSQL server',
      values: '`file:<path>`, `postgres://…`',
      secrecy: 'password',
    },
  ),
  DATABASE_DIRECT_URL: optional(z.string().regex(/^postgres(ql)?:\/\//, { error: 'must be a postgres:// URL' }), {
    absence: 'no pooler',
    meaning:
      'the PostgreSQL server itself, where `DATABASE_URL` leads to a [pooler](operating.md#a-pooler): for migrations and notifications, which need a session',
    values: '`postgres://…`',
    secrecy: 'password',
  }),
  MIGRATION_LOCK_TIMEOUT_S: wholeNumber(
    120,
    { min: 1, max: DAY_S, unit: 's' },
    'how long a migration of PostgreSQL tries to lock its tables; it gives way to writers and tries again, see [upgrade](operating.md#upgrade)',
  ),
  SQLITE_SYNCHRONOUS: oneOf(['NORMAL', 'FULL'], 'NORMAL', '`FULL` makes every commit to SQLite wait for the disk'),
  DATABASE_POOL_SIZE: wholeNumber(10, { min: 2, max: 1000 }, 'the number of connections to PostgreSQL a process'),
  DATABASE_TIMEOUT_MS: wholeNumber(
    15_000,
    { min: 100, max: 3_600_000, unit: 'ms' },
    'how long a statement or a connection attempt may take with PostgreSQL; with SQLite, how long a write may wait for another process',
  ),
  BACKUP_DIR: optional(z.string().min(1), {
    absence: 'no scheduled backups',
    meaning: 'the folder of [scheduled backups](operating.md#backup) of a SQLite database',
    values: 'a path',
  }),
  BACKUP_INTERVAL_S: wholeNumber(
    DAY_S,
    { min: 1, max: 365 * DAY_S, unit: 's' },
    'the time from one scheduled backup to the next',
  ),
  BACKUP_KEEP: wholeNumber(7, { min: 1, max: 100_000 }, 'the number of scheduled backups that are kept'),
  AMQP_URL: optional(
    z.string().refine(isBrokerUrl, { error: 'must be an amqp: or amqps: URL, like amqp://guest:guest@localhost:5672' }),
    {
      absence: 'no broker',
      meaning: 'the RabbitMQ for [chat messages](rest.md#rabbitmq)',
      values: '`amqp://user:password@host/vhost`, `amqps://…`',
      secrecy: 'password',
    },
  ),
  AMQP_EXCHANGE_RETENTION_S: wholeNumber(
    7 * DAY_S,
    { min: 1, max: 3650 * DAY_S, unit: 's' },
    'how long the [exchange](rest.md#rabbitmq) of a chat is kept after its last message while no queue is bound to it',
  ),
  CHANGE_RETENTION_S: wholeNumber(
    7 * DAY_S,
    { min: 1, max: 3650 * DAY_S, unit: 's' },
    'how long changes are kept for subscribers that resume',
  ),
  CHANGE_RETENTION_BYTES: wholeNumber(
    4 * GIB,
    { min: 1, max: 1024 * GIB, unit: 'bytes' },
    'the size of the kept changes; older ones are removed beyond it',
  ),
  AUDIT_RETENTION_S: wholeNumber(
    400 * DAY_S,
    { min: 1, max: 3650 * DAY_S, unit: 's' },
    'how long [audit entries](operating.md#users) are kept',
  ),
};

function isBrokerUrl(text: string): boolean {
  return /^amqps?:\/\/[^/\s]+/.test(text) && URL.canParse(text) && !/%(?![0-9a-f]{2})/i.test(text);
}
