import { z } from 'zod';
import { estimateBits } from './accounts/secret-strength.ts';

const MIN_SECRET_LENGTH = 32;
/** Less than any 32 random digits have. */
const MIN_SECRET_BITS = 100;
const DAY_S = 86_400;
const GIB = 1_073_741_824;

/** What documentation puts in the place of a secret: everybody knows it, however long it is. */
const EXAMPLE_SECRET = /change.?me|example|secret.?key|your.?secret|insecure/i;

const NEW_SECRET = 'make one with `openssl rand -hex 32`';

/** Why a secret may not be used, or null when it may; without the secret itself. */
function secretProblem(secret: string): string | null {
  if (secret.length < MIN_SECRET_LENGTH) {
    return `has at least ${MIN_SECRET_LENGTH} characters`;
  }
  if (EXAMPLE_SECRET.test(secret)) {
    return `looks like an example: ${NEW_SECRET}`;
  }
  return estimateBits(secret) < MIN_SECRET_BITS
    ? `is easy to guess, since it repeats itself or counts: ${NEW_SECRET}`
    : null;
}

const flag = (fallback: boolean) =>
  z
    .enum(['true', 'false', '1', '0'], { error: 'is true or false' })
    .transform((text) => text === 'true' || text === '1')
    .default(fallback);

const boundedNumber = ({ min, max }: { min: number; max: number }) =>
  z
    .string()
    .regex(/^\d{1,15}$/, { error: 'is a whole number' })
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error: `lies between ${min} and ${max}` });

const wholeNumber = (fallback: number, bounds: { min: number; max: number }) => boundedNumber(bounds).default(fallback);

/** The most proxies in front of a server. */
const MAX_HOPS = 16;
const TRUST_PROXY_PROBLEM =
  'is false, the number of proxies in front (1), or their addresses, separated by commas (10.0.0.0/8, ::1); with true, every caller could choose its address';

/** Which proxies in front of the server are trusted: so many hops, or those with these addresses. */
export type TrustedProxies = number | readonly string[];

const network = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]);

const trustedProxies = z
  .string()
  .transform((text): TrustedProxies => {
    if (text === 'false' || /^\d{1,2}$/.test(text)) {
      return text === 'false' ? 0 : Number(text);
    }
    return text.split(',').map((address) => address.trim());
  })
  .refine((trusted) => (typeof trusted === 'number' ? trusted <= MAX_HOPS : trusted.every(isNetwork)), {
    error: TRUST_PROXY_PROBLEM,
  })
  .default(0);

/** Whether a text is an IP address, with or without the length of a prefix; one of 0 would trust everybody. */
function isNetwork(text: string): boolean {
  return network.safeParse(text).success && !text.endsWith('/0');
}

const environment = z.object({
  HOST: z.string().min(1).default('localhost'),
  PORT: wholeNumber(8000, { min: 0, max: 65_535 }),
  METRICS_HOST: z.string().min(1).default('localhost'),
  METRICS_PORT: boundedNumber({ min: 0, max: 65_535 }).optional(),
  WEB_CONCURRENCY: wholeNumber(1, { min: 1, max: 1024 }),
  DATABASE_URL: z
    .string()
    .regex(/^(file:.|postgres(ql)?:\/\/)/, {
      error: 'is a file: URL, like file:./data/tidings.db, or a postgres:// URL',
    })
    .default('file:./data/tidings.db'),
  DATABASE_POOL_SIZE: wholeNumber(10, { min: 2, max: 1000 }),
  DATABASE_TIMEOUT_MS: wholeNumber(15_000, { min: 100, max: 3_600_000 }),
  SQLITE_SYNCHRONOUS: z.enum(['NORMAL', 'FULL'], { error: 'is NORMAL or FULL' }).default('NORMAL'),
  SECRET_KEY: z
    .string()
    .superRefine((value, issues) => {
      const message = secretProblem(value);
      if (message) {
        issues.addIssue({ code: 'custom', message });
      }
    })
    .optional(),
  ACCESS_TOKEN_LIFE_S: wholeNumber(1800, { min: 1, max: 365 * DAY_S }),
  REFRESH_TOKEN_LIFE_S: wholeNumber(7 * DAY_S, { min: 1, max: 3650 * DAY_S }),
  SESSION_LIFE_S: wholeNumber(90 * DAY_S, { min: 1, max: 3650 * DAY_S }),
  MAX_FAILED_SIGN_INS: wholeNumber(20, { min: 1, max: 1_000_000 }),
  MAX_FAILED_SIGN_INS_PER_NAME: boundedNumber({ min: 1, max: 100_000_000 }).optional(),
  MAX_FAILED_SIGN_INS_PER_ADDRESS: boundedNumber({ min: 1, max: 100_000_000 }).optional(),
  MAX_ANONYMOUS_WRITES: wholeNumber(6000, { min: 1, max: 100_000_000 }),
  MAX_SIGN_UPS: wholeNumber(500, { min: 1, max: 100_000_000 }),
  ALLOW_ANONYMOUS: flag(true),
  TRUST_PROXY: trustedProxies,
  PUBLIC_URL: z
    .string()
    .transform((text) => text.replace(/\/$/, ''))
    .refine(isWebOrigin, { error: 'is an http: or https: URL without a path, like https://tidings.example.org' })
    .optional(),
  CORS_ORIGINS: z
    .string()
    .transform((text) =>
      text
        .split(',')
        .map((origin) => origin.trim())
        .filter(Boolean),
    )
    .pipe(z.array(z.string().refine(isOrigin, { error: 'is * or a list of origins, separated by commas' })))
    .default(['*']),
  POSTS_WRITABLE: flag(false),
  BODY_LIMIT_BYTES: wholeNumber(1_048_576, { min: 1024, max: 104_857_600 }),
  HEADERS_TIMEOUT_MS: wholeNumber(30_000, { min: 100, max: 600_000 }),
  IDLE_TIMEOUT_MS: wholeNumber(30_000, { min: 100, max: 3_600_000 }),
  BODY_MIN_BYTES_PER_S: wholeNumber(1000, { min: 1, max: 104_857_600 }),
  MAX_EVENT_LOOP_DELAY_MS: wholeNumber(2_000, { min: 0, max: 60_000 }),
  QUERY_DEPTH_LIMIT: wholeNumber(12, { min: 1, max: 1000 }),
  QUERY_ALIAS_LIMIT: wholeNumber(30, { min: 0, max: 10_000 }),
  QUERY_TOKEN_LIMIT: wholeNumber(2000, { min: 100, max: 100_000 }),
  QUERY_CHARACTER_LIMIT: wholeNumber(262_144, { min: 1000, max: 16_777_216 }),
  QUERY_DIRECTIVE_LIMIT: wholeNumber(30, { min: 0, max: 10_000 }),
  QUERY_COMPLEXITY_LIMIT: wholeNumber(20_000, { min: 10, max: 10_000_000 }),
  ANSWER_LIMIT_BYTES: wholeNumber(16 * 1_048_576, { min: 1024, max: GIB }),
  CHANGE_RETENTION_S: wholeNumber(7 * DAY_S, { min: 1, max: 3650 * DAY_S }),
  CHANGE_RETENTION_BYTES: wholeNumber(4 * GIB, { min: 1, max: 1024 * GIB }),
  STREAM_MAX_EVENTS: wholeNumber(1000, { min: 1, max: 1_000_000 }),
  STREAM_MAX_BYTES: wholeNumber(1_048_576, { min: 1024, max: GIB }),
  DELIVERY_MAX_BYTES: wholeNumber(64 * 1_048_576, { min: 1_048_576, max: 64 * GIB }),
  READY_MAX_LAG_S: wholeNumber(60, { min: 1, max: DAY_S }),
  SOCKET_MAX_SUBSCRIPTIONS: wholeNumber(100, { min: 1, max: 100_000 }),
  USER_MAX_SOCKETS: wholeNumber(50, { min: 1, max: 100_000 }),
  ADDRESS_MAX_SOCKETS: wholeNumber(2000, { min: 1, max: 1_000_000 }),
  MAX_SOCKETS: wholeNumber(20_000, { min: 1, max: 10_000_000 }),
  ADDRESS_MAX_SUBSCRIPTIONS: wholeNumber(5000, { min: 1, max: 10_000_000 }),
  MAX_SUBSCRIPTIONS: wholeNumber(100_000, { min: 1, max: 100_000_000 }),
  SOCKET_MESSAGE_LIMIT_BYTES: wholeNumber(131_072, { min: 1024, max: 104_857_600 }),
  SOCKET_INIT_TIMEOUT_MS: wholeNumber(10_000, { min: 100, max: 600_000 }),
  KEEP_ALIVE_MS: wholeNumber(12_000, { min: 100, max: 3_600_000 }),
  CHAT_SOCKET_OPEN: flag(false),
  AMQP_URL: z
    .string()
    .refine(isBrokerUrl, { error: 'is an amqp: or amqps: URL, like amqp://guest:guest@localhost:5672' })
    .optional(),
  SHUTDOWN_TIMEOUT_MS: wholeNumber(10_000, { min: 0, max: 600_000 }),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

function isOrigin(text: string): boolean {
  return text === '*' || (URL.canParse(text) && new URL(text).origin === text);
}

function isWebOrigin(text: string): boolean {
  return /^https?:/.test(text) && isOrigin(text);
}

function isBrokerUrl(text: string): boolean {
  return /^amqps?:\/\/[^/\s]+/.test(text) && URL.canParse(text) && !/%(?![0-9a-f]{2})/i.test(text);
}

/** What is generated beside a SQLite file, several nodes over PostgreSQL have to share. */
function needSharedSecret(
  { DATABASE_URL, SECRET_KEY }: { readonly DATABASE_URL: string; readonly SECRET_KEY?: string | undefined },
  issues: z.RefinementCtx,
): void {
  if (!DATABASE_URL.startsWith('file:') && SECRET_KEY === undefined) {
    issues.addIssue({
      code: 'custom',
      path: ['SECRET_KEY'],
      message: 'is needed with PostgreSQL, the same for all nodes',
    });
  }
}

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
  };
  readonly writes: {
    /** How many writes without a credential one address may make within five minutes. */
    readonly maxAnonymousPerAddress: number;
    /** How many attempts to make an account one address may make within an hour. */
    readonly maxSignUpsPerAddress: number;
  };
  readonly http: {
    /** Origins that may call from a browser; `*` alone allows any, without credentials. */
    readonly corsOrigins: readonly string[];
    /** The scheme, host and port at which callers reach the server, like `https://tidings.example.org`; null when that is not configured. */
    readonly publicUrl: string | null;
    /** The proxies in front whose `X-Forwarded-*` headers are believed. */
    readonly trustedProxies: TrustedProxies;
    readonly bodyLimitBytes: number;
    /** How long a new connection may be silent, and the headers of a request may take, in milliseconds. */
    readonly headersTimeoutMs: number;
    /** How long a connection is kept open for a next request, in milliseconds. */
    readonly idleTimeoutMs: number;
    /** The least rate of a body, over any period as long as `headersTimeoutMs`. */
    readonly bodyMinBytesPerS: number;
    /** With a larger delay of the event loop, requests are refused, in milliseconds; 0 for never. */
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
    /** How many bytes of texts an operation may read, and its answer have. */
    readonly answerLimitBytes: number;
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

/**
 * Reads the configuration out of environment variables. An empty variable counts as absent.
 *
 * @throws {ConfigError} naming all problems at once
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = environment.superRefine(needSharedSecret).safeParse(present);
  if (!parsed.success) {
    throw new ConfigError(parsed.error.issues.map((issue) => `${issue.path[0]?.toString()} ${issue.message}`));
  }
  const values = parsed.data;
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
    },
    writes: { maxAnonymousPerAddress: values.MAX_ANONYMOUS_WRITES, maxSignUpsPerAddress: values.MAX_SIGN_UPS },
    http: {
      corsOrigins: values.CORS_ORIGINS,
      publicUrl: values.PUBLIC_URL ?? null,
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
      answerLimitBytes: values.ANSWER_LIMIT_BYTES,
    },
    changes: {
      retention: { ageS: values.CHANGE_RETENTION_S, bytes: values.CHANGE_RETENTION_BYTES },
      limits: { maxEvents: values.STREAM_MAX_EVENTS, maxBytes: values.STREAM_MAX_BYTES },
      maxWaitingBytes: values.DELIVERY_MAX_BYTES,
      maxLagMs: values.READY_MAX_LAG_S * 1000,
    },
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
