import type { z } from 'zod';
import type { RecoverySettings } from './accounts/recovery.ts';
import type { WriteLimits } from './context.ts';
import type { AnswerLimits } from './database/answer-budget.ts';
import { environment, type TrustedProxies } from './environment.ts';
import type { MailSettings } from './mail/mailer.ts';

/** Everything that an operator can set; README.md lists the variables. */
export interface Config {
  readonly listen: { readonly host: string; readonly port: number };
  /** Where metrics are served, apart from everything else; null for nowhere. */
  readonly metrics: { readonly host: string; readonly port: number } | null;
  /** How many processes serve side by side. */
  readonly concurrency: number;
  readonly database: {
    /** `file:` and the path of a SQLite file, or a `postgres://` URL. */
    readonly url: string;
    readonly synchronous: 'NORMAL' | 'FULL';
    /** How many connections to PostgreSQL a process has at the most. */
    readonly poolSize: number;
    /** How long a statement or a connection attempt on PostgreSQL may take, in milliseconds. */
    readonly timeoutMs: number;
  };
  readonly auth: {
    /** The key that signs access tokens; null asks for one that is generated and kept beside the database. */
    readonly secret: string | null;
    readonly accessTokenLifeS: number;
    readonly refreshTokenLifeS: number;
    /** How long a session lasts at the most, however often it is refreshed. */
    readonly sessionLifeS: number;
    /** How many attempts to sign in with one name from one address may fail within five minutes. */
    readonly maxFailedSignIns: number;
    /** The same with one name from any address. */
    readonly maxFailedSignInsPerName: number;
    /** The same from one address with any name. */
    readonly maxFailedSignInsPerAddress: number;
    /** Whether todos, lists and notes without an owner are everybody's. */
    readonly allowAnonymous: boolean;
    /** Where the links in mails lead, and for how long they are good. */
    readonly links: RecoverySettings['links'];
  };
  /** How mails are sent; null for not at all. */
  readonly mail: MailSettings | null;
  readonly writes: WriteLimits;
  readonly http: {
    /** Origins that may call from a browser; `*` allows any, without cookies. */
    readonly corsOrigins: readonly string[];
    /** The scheme, host and port at which callers reach the server, like `https://tidings.example.org`; null when that is not configured. */
    readonly publicUrl: string | null;
    /** The hosts that requests may name, in lower case, with or without a port; empty for any. */
    readonly allowedHosts: readonly string[];
    /** The proxies in front whose `X-Forwarded-*` headers are believed. */
    readonly trustedProxies: TrustedProxies;
    readonly bodyLimitBytes: number;
    /** How long a new connection may be silent, and the headers of a request may take, in milliseconds. */
    readonly headersTimeoutMs: number;
    /** How long a connection is kept open for a next request, in milliseconds. */
    readonly idleTimeoutMs: number;
    /** The least rate of a body, over any period as long as `headersTimeoutMs`. */
    readonly bodyMinBytesPerS: number;
    /** Where the event loop is later than that, or connections wait longer to be accepted, requests are refused, in milliseconds; 0 for never. */
    readonly maxEventLoopDelayMs: number;
    /** How long a stop waits for running requests, in milliseconds. */
    readonly shutdownTimeoutMs: number;
  };
  readonly rest: {
    /** Whether the REST paths of posts take writes; the documented ones only read. */
    readonly postsWritable: boolean;
  };
  readonly graphql: {
    readonly depthLimit: number;
    readonly aliasLimit: number;
    readonly tokenLimit: number;
    readonly characterLimit: number;
    readonly directiveLimit: number;
    readonly complexityLimit: number;
    /** Whether clients may read the schema, and are told what names of it they may have meant. */
    readonly introspection: boolean;
    /** The file of the operations that may be executed; null for any. */
    readonly operationListPath: string | null;
    readonly answer: AnswerLimits;
  };
  readonly changes: {
    /** How long a change is kept, in seconds, and how many bytes the log may have. */
    readonly retention: { readonly ageS: number; readonly bytes: number };
    /** How many events, and how many bytes of them, may wait for one slow reader. */
    readonly limits: { readonly maxEvents: number; readonly maxBytes: number };
    /** How many bytes of events may wait for all readers together. */
    readonly maxWaitingBytes: number;
    /** With a lag beyond this the process is not ready, in milliseconds. */
    readonly maxLagMs: number;
  };
  readonly audit: {
    /** How long an audit entry is kept, in seconds. */
    readonly retentionS: number;
  };
  readonly sockets: {
    /** How many operations may run on one socket. */
    readonly maxSubscriptions: number;
    /** How many sockets and event streams one user may have open; anonymous callers are not counted. */
    readonly maxPerUser: number;
    /** How many sockets and event streams of one address, and how many in all, a process may have open. */
    readonly maxPerAddress: number;
    readonly maxInAll: number;
    /** The same of subscriptions. */
    readonly maxSubscriptionsPerAddress: number;
    readonly maxSubscriptionsInAll: number;
    readonly messageLimitBytes: number;
    /** How long a client may take to send `connection_init`, in milliseconds. */
    readonly initTimeoutMs: number;
    /** How often a peer is asked whether it is still there, in milliseconds; one that does not answer in that time is dropped. */
    readonly keepAliveMs: number;
    /** Whether the uri of a chat is enough to read along on its socket, without a credential. */
    readonly chatOpen: boolean;
  };
  /** The RabbitMQ through which chat speaks with other programs; null for none. */
  readonly broker: { readonly url: string } | null;
  readonly logLevel: z.infer<typeof environment>['LOG_LEVEL'];
}

/** The environment holds values that Tidings can't run with; the message names every one of them. */
export class ConfigError extends Error {
  constructor(problems: readonly string[]) {
    super(`The configuration is not usable:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

/** The hosts that requests may name. That of the public URL is one of them, and by itself restricts nothing: a proxy may pass on another one. */
function hostsOf({ ALLOWED_HOSTS, PUBLIC_URL }: Pick<z.infer<typeof environment>, 'ALLOWED_HOSTS' | 'PUBLIC_URL'>) {
  return ALLOWED_HOSTS.length > 0 && PUBLIC_URL !== undefined
    ? [...ALLOWED_HOSTS, new URL(PUBLIC_URL).host]
    : ALLOWED_HOSTS;
}

/**
 * Reads the configuration out of environment variables. An empty variable counts as absent.
 *
 * @throws {ConfigError} naming all problems at once
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(present);
  if (!parsed.success) {
    throw new ConfigError(parsed.error.issues.map((issue) => `${issue.path[0]?.toString()} ${issue.message}`));
  }
  const values = parsed.data;
  const publicUrl = values.PUBLIC_URL ?? `http://${values.HOST}:${values.PORT}`;
  return {
    listen: { host: values.HOST, port: values.PORT },
    metrics: values.METRICS_PORT === undefined ? null : { host: values.METRICS_HOST, port: values.METRICS_PORT },
    concurrency: values.WEB_CONCURRENCY,
    database: {
      url: values.DATABASE_URL,
      synchronous: values.SQLITE_SYNCHRONOUS,
      poolSize: values.DATABASE_POOL_SIZE,
      timeoutMs: values.DATABASE_TIMEOUT_MS,
    },
    auth: {
      secret: values.SECRET_KEY ?? null,
      accessTokenLifeS: values.ACCESS_TOKEN_LIFE_S,
      refreshTokenLifeS: values.REFRESH_TOKEN_LIFE_S,
      sessionLifeS: values.SESSION_LIFE_S,
      maxFailedSignIns: values.MAX_FAILED_SIGN_INS,
      maxFailedSignInsPerName: values.MAX_FAILED_SIGN_INS_PER_NAME ?? 3 * values.MAX_FAILED_SIGN_INS,
      maxFailedSignInsPerAddress: values.MAX_FAILED_SIGN_INS_PER_ADDRESS ?? 10 * values.MAX_FAILED_SIGN_INS,
      allowAnonymous: values.ALLOW_ANONYMOUS,
      links: {
        resetPassword: {
          page: values.PASSWORD_RESET_PAGE ?? `${publicUrl}/reset-password`,
          lifeS: values.PASSWORD_RESET_LIFE_S,
        },
        verifyEmail: {
          page: values.EMAIL_VERIFICATION_PAGE ?? `${publicUrl}/verify-email`,
          lifeS: values.EMAIL_VERIFICATION_LIFE_S,
        },
      },
    },
    writes: {
      maxAnonymousPerAddress: values.MAX_ANONYMOUS_WRITES,
      maxSignUpsPerAddress: values.MAX_SIGN_UPS,
      maxMailsPerAddress: values.MAX_MAILS_PER_ADDRESS,
      maxMailsPerUser: values.MAX_MAILS_PER_USER,
    },
    mail:
      values.SMTP_URL === undefined || values.MAIL_FROM === undefined
        ? null
        : { url: values.SMTP_URL, from: values.MAIL_FROM },
    http: {
      corsOrigins: values.CORS_ORIGINS,
      publicUrl: values.PUBLIC_URL ?? null,
      allowedHosts: hostsOf(values),
      trustedProxies: values.TRUST_PROXY,
      bodyLimitBytes: values.BODY_LIMIT_BYTES,
      headersTimeoutMs: values.HEADERS_TIMEOUT_MS,
      idleTimeoutMs: values.IDLE_TIMEOUT_MS,
      bodyMinBytesPerS: values.BODY_MIN_BYTES_PER_S,
      maxEventLoopDelayMs: values.MAX_EVENT_LOOP_DELAY_MS,
      shutdownTimeoutMs: values.SHUTDOWN_TIMEOUT_MS,
    },
    rest: { postsWritable: values.POSTS_WRITABLE },
    graphql: {
      depthLimit: values.QUERY_DEPTH_LIMIT,
      aliasLimit: values.QUERY_ALIAS_LIMIT,
      tokenLimit: values.QUERY_TOKEN_LIMIT,
      characterLimit: values.QUERY_CHARACTER_LIMIT,
      directiveLimit: values.QUERY_DIRECTIVE_LIMIT,
      complexityLimit: values.QUERY_COMPLEXITY_LIMIT,
      introspection: values.GRAPHQL_INTROSPECTION,
      operationListPath: values.OPERATION_LIST ?? null,
      answer: { maxBytes: values.ANSWER_LIMIT_BYTES, maxSearches: values.QUERY_SEARCH_LIMIT },
    },
    changes: {
      retention: { ageS: values.CHANGE_RETENTION_S, bytes: values.CHANGE_RETENTION_BYTES },
      limits: { maxEvents: values.STREAM_MAX_EVENTS, maxBytes: values.STREAM_MAX_BYTES },
      maxWaitingBytes: values.DELIVERY_MAX_BYTES,
      maxLagMs: values.READY_MAX_LAG_S * 1000,
    },
    audit: { retentionS: values.AUDIT_RETENTION_S },
    sockets: {
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
    },
    broker: values.AMQP_URL === undefined ? null : { url: values.AMQP_URL },
    logLevel: values.LOG_LEVEL,
  };
}
