import { z } from 'zod';
import { estimateBits } from './secret-strength.ts';

const MIN_SECRET_LENGTH = 32;
/** The least estimated entropy of a secret, which is lower than that of 32 random digits. */
const MIN_SECRET_BITS = 100;
const DAY_S = 86_400;
const GIB = 1_073_741_824;

/** Placeholders of documentation, which are public whatever their length. */
const EXAMPLE_SECRET = /change.?me|example|secret.?key|your.?secret|insecure/i;

const NEW_SECRET = 'generate one with `openssl rand -hex 32`';

/** Returns the reason for which a secret is refused, which does not contain the secret; null when it is accepted. */
function secretProblem(secret: string): string | null {
  if (secret.length < MIN_SECRET_LENGTH) {
    return `must have at least ${MIN_SECRET_LENGTH} characters`;
  }
  if (EXAMPLE_SECRET.test(secret)) {
    return `looks like an example value: ${NEW_SECRET}`;
  }
  return estimateBits(secret) < MIN_SECRET_BITS
    ? `is easy to guess, since it has repetitions or sequences of characters: ${NEW_SECRET}`
    : null;
}

const flag = (fallback: boolean) =>
  z
    .enum(['true', 'false', '1', '0'], { error: 'must be true or false' })
    .transform((text) => text === 'true' || text === '1')
    .default(fallback);

const boundedNumber = ({ min, max }: { min: number; max: number }) =>
  z
    .string()
    .regex(/^\d{1,15}$/, { error: 'must be a whole number' })
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error: `must be between ${min} and ${max}` });

const wholeNumber = (fallback: number, bounds: { min: number; max: number }) => boundedNumber(bounds).default(fallback);

/** The largest number of proxies in front of a server. */
const MAX_HOPS = 16;
const TRUST_PROXY_PROBLEM =
  'must be false, the number of proxies in front (1), or their addresses, separated by commas (10.0.0.0/8, ::1); true would let every caller choose its address';

/** The trusted proxies in front of the server: a number of hops, or addresses and networks. */
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

/** Returns whether a text is an IP address or a network; a prefix of length 0 is refused, since it would trust all addresses. */
function isNetwork(text: string): boolean {
  return network.safeParse(text).success && !text.endsWith('/0');
}

const webPage = z.string().refine((text) => /^https?:\/\/[^#\s]+$/.test(text) && URL.canParse(text), {
  error: 'must be an http: or https: URL without a fragment',
});

/** The variables of the listeners, the processes and the database. */
const SERVER_VARIABLES = {
  HOST: z.string().min(1).default('localhost'),
  PORT: wholeNumber(8000, { min: 0, max: 65_535 }),
  METRICS_HOST: z.string().min(1).default('localhost'),
  METRICS_PORT: boundedNumber({ min: 0, max: 65_535 }).optional(),
  WEB_CONCURRENCY: wholeNumber(1, { min: 1, max: 1024 }),
  DATABASE_URL: z
    .string()
    .regex(/^(file:.|postgres(ql)?:\/\/)/, {
      error: 'must be a file: URL, like file:./data/tidings.db, or a postgres:// URL',
    })
    .default('file:./data/tidings.db'),
  DATABASE_POOL_SIZE: wholeNumber(10, { min: 2, max: 1000 }),
  DATABASE_TIMEOUT_MS: wholeNumber(15_000, { min: 100, max: 3_600_000 }),
  SQLITE_SYNCHRONOUS: z.enum(['NORMAL', 'FULL'], { error: 'must be NORMAL or FULL' }).default('NORMAL'),
  AMQP_URL: z
    .string()
    .refine(isBrokerUrl, { error: 'must be an amqp: or amqps: URL, like amqp://guest:guest@localhost:5672' })
    .optional(),
  SHUTDOWN_TIMEOUT_MS: wholeNumber(10_000, { min: 0, max: 600_000 }),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  LOG_FORMAT: z.enum(['json', 'pretty'], { error: 'must be json or pretty' }).optional(),
  LOG_SAMPLE_RATE: z
    .string()
    .regex(/^(0|1|0?\.\d{1,6}|1\.0{1,6})$/, { error: 'must be a number from 0 to 1, like 0.1' })
    .transform(Number)
    .default(1),
  OTEL_EXPORTER_OTLP_ENDPOINT: webPage.optional(),
  OTEL_SERVICE_NAME: z.string().min(1).default('tidings'),
  LOG_SLOW_MS: wholeNumber(1000, { min: 1, max: 3_600_000 }),
};

/** The variables of credentials, mail and write limits. */
const AUTH_VARIABLES = {
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
  MAX_MAILS_PER_ADDRESS: wholeNumber(100, { min: 1, max: 100_000_000 }),
  MAX_MAILS_PER_USER: wholeNumber(10, { min: 1, max: 100_000_000 }),
  SMTP_URL: z
    .string()
    .refine((text) => /^smtps?:\/\/[^/\s]+/.test(text) && URL.canParse(text), {
      error: 'must be an smtp: or smtps: URL, like smtp://user:password@mail.example.org:587',
    })
    .optional(),
  MAIL_FROM: z
    .string()
    .regex(/^(?:[^<>@,;\r\n]+ <[^<>@\s,;]+@[^<>@\s,;]+>|[^<>@\s,;]+@[^<>@\s,;]+)$/, {
      error: 'must be one email address, with a name or without, like Tidings <tidings@example.org>',
    })
    .optional(),
  PASSWORD_RESET_LIFE_S: wholeNumber(3600, { min: 1, max: 30 * DAY_S }),
  EMAIL_VERIFICATION_LIFE_S: wholeNumber(3 * DAY_S, { min: 1, max: 30 * DAY_S }),
  PASSWORD_RESET_PAGE: webPage.optional(),
  EMAIL_VERIFICATION_PAGE: webPage.optional(),
  ALLOW_ANONYMOUS: flag(true),
  AUDIT_RETENTION_S: wholeNumber(400 * DAY_S, { min: 1, max: 3650 * DAY_S }),
};

/** The variables of HTTP, REST and GraphQL. */
const HTTP_VARIABLES = {
  TRUST_PROXY: trustedProxies,
  PUBLIC_URL: z
    .string()
    .transform((text) => text.replace(/\/$/, ''))
    .refine(isWebOrigin, { error: 'must be an http: or https: URL without a path, like https://tidings.example.org' })
    .optional(),
  ALLOWED_HOSTS: z
    .string()
    .transform((text) => listOf(text.toLowerCase()))
    .pipe(
      z.array(
        z.string().regex(/^([a-z\d_.-]+|\[[\da-f:.]+\])(:\d{1,5})?$/, {
          error: 'must be a list of hosts, with or without a port, separated by commas',
        }),
      ),
    )
    .default([]),
  CORS_ORIGINS: z
    .string()
    .transform(listOf)
    .pipe(z.array(z.string().refine(isOrigin, { error: 'must be * or a list of origins, separated by commas' })))
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
  QUERY_SEARCH_LIMIT: wholeNumber(16, { min: 1, max: 1_000_000 }),
  GRAPHQL_INTROSPECTION: flag(true),
  OPERATION_LIST: z.string().min(1).optional(),
  ANSWER_LIMIT_BYTES: wholeNumber(16 * 1_048_576, { min: 1024, max: GIB }),
};

/** The variables of subscriptions, sockets and the change log. */
const SUBSCRIPTION_VARIABLES = {
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
};

const values = z.object({
  ...SERVER_VARIABLES,
  ...AUTH_VARIABLES,
  ...HTTP_VARIABLES,
  ...SUBSCRIPTION_VARIABLES,
});

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean);
}

function isOrigin(text: string): boolean {
  return text === '*' || (URL.canParse(text) && new URL(text).origin === text);
}

function isWebOrigin(text: string): boolean {
  return /^https?:/.test(text) && isOrigin(text);
}

function isBrokerUrl(text: string): boolean {
  return /^amqps?:\/\/[^/\s]+/.test(text) && URL.canParse(text) && !/%(?![0-9a-f]{2})/i.test(text);
}

/** Requires a secret with PostgreSQL, where several nodes have to share it. For SQLite it is generated beside the file. */
function requireSharedSecret(
  { DATABASE_URL, SECRET_KEY }: { readonly DATABASE_URL: string; readonly SECRET_KEY?: string | undefined },
  issues: z.RefinementCtx,
): void {
  if (!DATABASE_URL.startsWith('file:') && SECRET_KEY === undefined) {
    issues.addIssue({
      code: 'custom',
      path: ['SECRET_KEY'],
      message: 'is required with PostgreSQL; set the same secret on all nodes',
    });
  }
}

/** Requires a sender and the origin of links when mail is configured. */
function requireMailSettings(
  values: Partial<Record<'SMTP_URL' | 'MAIL_FROM' | 'PUBLIC_URL', string | undefined>>,
  issues: z.RefinementCtx,
): void {
  for (const name of ['MAIL_FROM', 'PUBLIC_URL'] as const) {
    if (values.SMTP_URL !== undefined && values[name] === undefined) {
      issues.addIssue({ code: 'custom', path: [name], message: 'is required with SMTP_URL' });
    }
  }
}

/** The schema of the environment variables, with their defaults. */
export const environment = values.superRefine(requireSharedSecret).superRefine(requireMailSettings);

/** The parsed environment variables. */
export type Environment = z.infer<typeof environment>;
