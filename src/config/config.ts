import { type AnswerLimits, answerLimits } from './answer-limits.ts';
import { type AuthSettings, authSettings } from './auth-settings.ts';
import { type Environment, environment } from './environment.ts';
import type { TrustedProxies } from './http-variables.ts';
import { type LogSettings, logSettings, type TraceSettings, traceSettings } from './operations-settings.ts';
import { FILE_SUFFIX, type FileReader, readSources, type Sources } from './sources.ts';

export interface MailSettings {
  /** The mail server: `smtp://user:password@host:587`, or `smtps:` for TLS from the start. */
  readonly url: string;
  /** The sender of the mails, like `Tidings <tidings@example.org>`. */
  readonly from: string;
}

/** The rate limits of writes that need no credential, and of mails. */
export interface WriteLimits {
  /** The number of todos, lists and notes that anonymous callers may write from one address within five minutes. */
  readonly maxAnonymousPerAddress: number;
  /** The number of accounts that may be created from one address within an hour. */
  readonly maxSignUpsPerAddress: number;
  readonly maxUserSearches: number;
  /** The number of mails that may be requested from one address within an hour. */
  readonly maxMailsPerAddress: number;
  /** The number of mails that may be requested for one username, and sent to one email address, within an hour. */
  readonly maxMailsPerUser: number;
}

/** The configuration; docs/configuration.md documents the environment variables. */
export interface Config {
  readonly listen: { readonly host: string; readonly port: number };
  /** The separate listener for metrics; null for none. */
  readonly metrics: { readonly host: string; readonly port: number } | null;
  /** The number of worker processes. */
  readonly concurrency: number;
  readonly database: {
    /** `file:` and the path of a SQLite file, or a `postgres://` URL. */
    readonly url: string;
    /** The URL of the PostgreSQL server itself when `url` is that of a pooler in transaction mode; null when it is not. */
    readonly directUrl: string | null;
    /** How long a migration waits for transactions that use its tables, in milliseconds. */
    readonly migrationLockTimeoutMs: number;
    readonly synchronous: 'NORMAL' | 'FULL';
    /** The largest number of connections in the pool for PostgreSQL; a process has a few more for the log. */
    readonly poolSize: number;
    /** The time-out of a PostgreSQL statement or connection attempt, and of waiting for SQLite's write lock, in milliseconds. */
    readonly timeoutMs: number;
  };
  /** The scheduled backups of a SQLite database; null for none. */
  readonly backup: {
    readonly folder: string;
    /** The time between two backups, in seconds. */
    readonly intervalS: number;
    /** The number of backups that are kept. */
    readonly keep: number;
  } | null;
  readonly auth: AuthSettings;
  /** The settings for sending mail; null when no mail is sent. */
  readonly mail: MailSettings | null;
  readonly writes: WriteLimits;
  readonly http: {
    /** Origins that may call from a browser; `*` allows any, without cookies. */
    readonly corsOrigins: readonly string[];
    /** The public origin of the server, like `https://tidings.example.org`; null when it is not configured. */
    readonly publicUrl: string | null;
    /** The accepted `Host` headers in lower case, with or without a port; empty for any. */
    readonly allowedHosts: readonly string[];
    /** The proxies whose `X-Forwarded-*` headers are trusted. */
    readonly trustedProxies: TrustedProxies;
    readonly bodyLimitBytes: number;
    /** The time-out of the first byte of a connection, and of the headers of a request, in milliseconds. */
    readonly headersTimeoutMs: number;
    /** How long an idle connection stays open (HTTP keep-alive), in milliseconds. */
    readonly idleTimeoutMs: number;
    /** The lowest rate of a request body over any period as long as `headersTimeoutMs`. */
    readonly bodyMinBytesPerS: number;
    /** The delay of the event loop, or of accepting connections, above which requests are refused, in milliseconds; 0 for no limit. */
    readonly maxEventLoopDelayMs: number;
    /** How long a server that is asked to stop still accepts requests, while `/ready` reports that, in milliseconds. */
    readonly drainMs: number;
    /** The longest time over which WebSockets and event streams are closed at a stop, in milliseconds. */
    readonly drainSocketsMs: number;
    /** How long a shutdown waits for running requests, in milliseconds. */
    readonly shutdownTimeoutMs: number;
  };
  readonly rest: {
    /** Whether the REST paths of posts accept writes; the documented API is read-only. */
    readonly postsWritable: boolean;
  };
  readonly graphql: {
    readonly depthLimit: number;
    readonly aliasLimit: number;
    readonly tokenLimit: number;
    readonly characterLimit: number;
    readonly directiveLimit: number;
    readonly complexityLimit: number;
    /** Whether introspection and suggestions of field names are enabled. */
    readonly introspection: boolean;
    /** The file with the allowed operations; null to allow all. */
    readonly operationListPath: string | null;
    readonly answer: AnswerLimits;
  };
  readonly changes: {
    /** The age in seconds and the size in bytes up to which changes are kept. */
    readonly retention: { readonly ageS: number; readonly bytes: number };
    /** The number and the bytes of events that may be queued for one slow reader. */
    readonly limits: { readonly maxEvents: number; readonly maxBytes: number };
    /** The bytes of events that may be queued for all readers together. */
    readonly maxWaitingBytes: number;
    /** The lag above which the process is not ready, in milliseconds. */
    readonly maxLagMs: number;
  };
  readonly audit: {
    /** The age up to which audit entries are kept, in seconds. */
    readonly retentionS: number;
  };
  readonly sockets: {
    /** The number of concurrent operations of one socket. */
    readonly maxSubscriptions: number;
    /** The number of open sockets and event streams of one user; anonymous callers are not counted. */
    readonly maxPerUser: number;
    /** The numbers of open sockets and event streams of one address and in all, for each process. */
    readonly maxPerAddress: number;
    readonly maxInAll: number;
    /** The numbers of subscriptions of one address and in all, for each process. */
    readonly maxSubscriptionsPerAddress: number;
    readonly maxSubscriptionsInAll: number;
    readonly messageLimitBytes: number;
    /** The time-out of `connection_init`, in milliseconds. */
    readonly initTimeoutMs: number;
    /** The interval of pings in milliseconds; a connection without a pong within that time is closed. */
    readonly keepAliveMs: number;
    /** Whether the socket of a chat accepts readers without a credential who know the chat's uri. */
    readonly chatOpen: boolean;
  };
  /** The RabbitMQ broker for exchanging chat messages with other programs; null for none. */
  readonly broker: {
    readonly url: string;
    /** How long the exchange of a chat without messages is kept, in seconds. */
    readonly exchangeRetentionS: number;
  } | null;
  /** The collector of traces (OpenTelemetry); null for none. */
  readonly traces: TraceSettings | null;
  readonly log: LogSettings;
  /** The password of the account that a command creates; undefined when the command asks for it. */
  readonly commands: { readonly password: string | undefined };
}

/** The environment has invalid values; the message lists all of them. */
export class ConfigError extends Error {
  constructor(problems: readonly string[]) {
    super(`The configuration is invalid:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

/** Returns the accepted hosts, including that of the public URL. The public URL alone restricts nothing, since a proxy may forward another host. */
function hostsOf({ ALLOWED_HOSTS = [], PUBLIC_URL }: Environment): readonly string[] {
  return ALLOWED_HOSTS.length > 0 && PUBLIC_URL !== undefined
    ? [...ALLOWED_HOSTS, new URL(PUBLIC_URL).host]
    : ALLOWED_HOSTS;
}

/** The environment variables that are set, and the values that they have after parsing. */
export interface ReadEnvironment extends Omit<Sources, 'problems'> {
  readonly values: Environment;
}

/**
 * Returns the environment variables with their parsed values.
 *
 * @throws {ConfigError} listing all invalid variables
 */
export function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  readFile: FileReader,
): ReadEnvironment {
  const { texts, files, problems } = readSources(env, readFile);
  const parsed = environment.safeParse(texts);
  // A variable whose file cannot be read has no value, so it is not reported as missing as well.
  const issues = (parsed.error?.issues ?? []).filter(({ path: [name] }) => !problems.has(String(name)));
  if (!parsed.success || problems.size > 0) {
    const nameOf = (name: string): string => (files.has(name) ? `${name} of ${name}${FILE_SUFFIX}` : name);
    throw new ConfigError([
      ...problems.values(),
      ...issues.map(({ path: [name], message }) => `${nameOf(String(name))} ${message}`),
    ]);
  }
  return { texts, files, values: parsed.data };
}

/**
 * Returns the configuration of environment variables. An empty variable counts as absent. `readFile` reads the files that `<NAME>_FILE` variables name.
 *
 * @throws {ConfigError} listing all invalid variables
 */
export function parseConfig(
  env: Readonly<Record<string, string | undefined>>,
  readFile: FileReader = () => ({ problem: 'cannot be read here' }),
): Config {
  const { values } = readEnvironment(env, readFile);
  return {
    listen: { host: values.HOST, port: values.PORT },
    metrics: values.METRICS_PORT === undefined ? null : { host: values.METRICS_HOST, port: values.METRICS_PORT },
    concurrency: values.WEB_CONCURRENCY,
    database: {
      url: values.DATABASE_URL,
      directUrl: values.DATABASE_DIRECT_URL ?? null,
      migrationLockTimeoutMs: values.MIGRATION_LOCK_TIMEOUT_S * 1000,
      synchronous: values.SQLITE_SYNCHRONOUS,
      poolSize: values.DATABASE_POOL_SIZE,
      timeoutMs: values.DATABASE_TIMEOUT_MS,
    },
    backup:
      values.BACKUP_DIR === undefined
        ? null
        : { folder: values.BACKUP_DIR, intervalS: values.BACKUP_INTERVAL_S, keep: values.BACKUP_KEEP },
    auth: authSettings(values),
    writes: {
      maxAnonymousPerAddress: values.MAX_ANONYMOUS_WRITES,
      maxSignUpsPerAddress: values.MAX_SIGN_UPS,
      maxUserSearches: values.MAX_USER_SEARCHES,
      maxMailsPerAddress: values.MAX_MAILS_PER_ADDRESS,
      maxMailsPerUser: values.MAX_MAILS_PER_USER,
    },
    mail:
      values.SMTP_URL === undefined || values.MAIL_FROM === undefined
        ? null
        : { url: values.SMTP_URL, from: values.MAIL_FROM },
    http: httpOf(values),
    rest: { postsWritable: values.POSTS_WRITABLE },
    graphql: graphqlOf(values),
    changes: {
      retention: { ageS: values.CHANGE_RETENTION_S, bytes: values.CHANGE_RETENTION_BYTES },
      limits: { maxEvents: values.STREAM_MAX_EVENTS, maxBytes: values.STREAM_MAX_BYTES },
      maxWaitingBytes: values.DELIVERY_MAX_BYTES,
      maxLagMs: values.READY_MAX_LAG_S * 1000,
    },
    audit: { retentionS: values.AUDIT_RETENTION_S },
    sockets: socketsOf(values),
    broker:
      values.AMQP_URL === undefined
        ? null
        : { url: values.AMQP_URL, exchangeRetentionS: values.AMQP_EXCHANGE_RETENTION_S },
    traces: traceSettings(values),
    log: logSettings(values),
    commands: { password: values.TIDINGS_PASSWORD },
  };
}

function httpOf(values: Environment): Config['http'] {
  return {
    corsOrigins: values.CORS_ORIGINS,
    publicUrl: values.PUBLIC_URL ?? null,
    allowedHosts: hostsOf(values),
    trustedProxies: values.TRUST_PROXY,
    bodyLimitBytes: values.BODY_LIMIT_BYTES,
    headersTimeoutMs: values.HEADERS_TIMEOUT_MS,
    idleTimeoutMs: values.IDLE_TIMEOUT_MS,
    bodyMinBytesPerS: values.BODY_MIN_BYTES_PER_S,
    maxEventLoopDelayMs: values.MAX_EVENT_LOOP_DELAY_MS,
    drainMs: values.DRAIN_MS,
    drainSocketsMs: values.DRAIN_SOCKETS_MS,
    shutdownTimeoutMs: values.SHUTDOWN_TIMEOUT_MS,
  };
}

function graphqlOf(values: Environment): Config['graphql'] {
  return {
    depthLimit: values.QUERY_DEPTH_LIMIT,
    aliasLimit: values.QUERY_ALIAS_LIMIT,
    tokenLimit: values.QUERY_TOKEN_LIMIT,
    characterLimit: values.QUERY_CHARACTER_LIMIT,
    directiveLimit: values.QUERY_DIRECTIVE_LIMIT,
    complexityLimit: values.QUERY_COMPLEXITY_LIMIT,
    introspection: values.GRAPHQL_INTROSPECTION,
    operationListPath: values.OPERATION_LIST ?? null,
    answer: answerLimits(values),
  };
}

function socketsOf(values: Environment): Config['sockets'] {
  return {
    maxSubscriptions: values.SOCKET_MAX_SUBSCRIPTIONS,
    maxPerUser: values.USER_MAX_SOCKETS,
    maxPerAddress: values.ADDRESS_MAX_SOCKETS,
    maxInAll: values.MAX_SOCKETS,
    maxSubscriptionsPerAddress: values.ADDRESS_MAX_SUBSCRIPTIONS,
    maxSubscriptionsInAll: values.MAX_SUBSCRIPTIONS,
    messageLimitBytes: values.SOCKET_MESSAGE_LIMIT_BYTES,
    initTimeoutMs: values.SOCKET_INIT_TIMEOUT_MS,
    keepAliveMs: values.KEEP_ALIVE_MS,
    chatOpen: values.CHAT_SOCKET_OPEN,
  };
}
