import { describe, expect, it } from 'vitest';
import { type Config, ConfigError, parseConfig } from '../../src/config/config.ts';

const DAY_S = 24 * 60 * 60;
const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

const read = (name: string, value: string): Config => parseConfig({ [name]: value });

function problemOf(env: Readonly<Record<string, string>>): string {
  try {
    parseConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).name).toBe('ConfigError');
    return (error as ConfigError).message.replace('The configuration is invalid:\n  ', '');
  }
  return '';
}

type NumberOf = (config: Config) => number | undefined;

/** The numbers: the setting that a variable decides, its default, and its bounds. */
const NUMBERS: readonly (readonly [
  name: string,
  of: NumberOf,
  fallback: number | undefined,
  min: number,
  max: number,
])[] = [
  ['PORT', ({ listen }) => listen.port, 8000, 0, 65_535],
  ['METRICS_PORT', ({ metrics }) => metrics?.port, undefined, 0, 65_535],
  ['WEB_CONCURRENCY', ({ concurrency }) => concurrency, 1, 1, 1024],
  ['MIGRATION_LOCK_TIMEOUT_S', ({ database }) => database.migrationLockTimeoutMs / 1000, 120, 1, 86_400],
  ['DATABASE_POOL_SIZE', ({ database }) => database.poolSize, 10, 2, 1000],
  ['DATABASE_TIMEOUT_MS', ({ database }) => database.timeoutMs, 15_000, 100, 3_600_000],
  ['SHUTDOWN_TIMEOUT_MS', ({ http }) => http.shutdownTimeoutMs, 10_000, 0, 600_000],
  ['ACCESS_TOKEN_LIFE_S', ({ auth }) => auth.accessTokenLifeS, 1800, 1, 365 * DAY_S],
  ['REFRESH_TOKEN_LIFE_S', ({ auth }) => auth.refreshTokenLifeS, 7 * DAY_S, 1, 3650 * DAY_S],
  ['SESSION_LIFE_S', ({ auth }) => auth.sessionLifeS, 90 * DAY_S, 1, 3650 * DAY_S],
  ['MAX_FAILED_SIGN_INS', ({ auth }) => auth.maxFailedSignIns, 20, 1, 1_000_000],
  ['MAX_FAILED_SIGN_INS_PER_NAME', ({ auth }) => auth.maxFailedSignInsPerName, 60, 1, 100_000_000],
  ['MAX_FAILED_SIGN_INS_PER_ADDRESS', ({ auth }) => auth.maxFailedSignInsPerAddress, 200, 1, 100_000_000],
  ['MAX_ANONYMOUS_WRITES', ({ writes }) => writes.maxAnonymousPerAddress, 6000, 1, 100_000_000],
  ['MAX_SIGN_UPS', ({ writes }) => writes.maxSignUpsPerAddress, 500, 1, 100_000_000],
  ['MAX_MAILS_PER_ADDRESS', ({ writes }) => writes.maxMailsPerAddress, 100, 1, 100_000_000],
  ['MAX_MAILS_PER_USER', ({ writes }) => writes.maxMailsPerUser, 10, 1, 100_000_000],
  ['PASSWORD_RESET_LIFE_S', ({ auth }) => auth.links.resetPassword.lifeS, 3600, 1, 30 * DAY_S],
  ['EMAIL_VERIFICATION_LIFE_S', ({ auth }) => auth.links.verifyEmail.lifeS, 3 * DAY_S, 1, 30 * DAY_S],
  ['AUDIT_RETENTION_S', ({ audit }) => audit.retentionS, 400 * DAY_S, 1, 3650 * DAY_S],
  ['BODY_LIMIT_BYTES', ({ http }) => http.bodyLimitBytes, MIB, 1024, 100 * MIB],
  ['HEADERS_TIMEOUT_MS', ({ http }) => http.headersTimeoutMs, 30_000, 100, 600_000],
  ['IDLE_TIMEOUT_MS', ({ http }) => http.idleTimeoutMs, 30_000, 100, 3_600_000],
  ['BODY_MIN_BYTES_PER_S', ({ http }) => http.bodyMinBytesPerS, 1000, 1, 100 * MIB],
  ['MAX_EVENT_LOOP_DELAY_MS', ({ http }) => http.maxEventLoopDelayMs, 2000, 0, 60_000],
  ['QUERY_DEPTH_LIMIT', ({ graphql }) => graphql.depthLimit, 12, 1, 1000],
  ['QUERY_ALIAS_LIMIT', ({ graphql }) => graphql.aliasLimit, 30, 0, 10_000],
  ['QUERY_TOKEN_LIMIT', ({ graphql }) => graphql.tokenLimit, 2000, 100, 100_000],
  ['QUERY_CHARACTER_LIMIT', ({ graphql }) => graphql.characterLimit, 262_144, 1000, 16 * MIB],
  ['QUERY_DIRECTIVE_LIMIT', ({ graphql }) => graphql.directiveLimit, 30, 0, 10_000],
  ['QUERY_COMPLEXITY_LIMIT', ({ graphql }) => graphql.complexityLimit, 20_000, 10, 10_000_000],
  ['QUERY_SEARCH_LIMIT', ({ graphql }) => graphql.answer.maxSearches, 16, 1, 1_000_000],
  ['QUERY_SCAN_LIMIT', ({ graphql }) => graphql.answer.maxExamined, 100_000, 1, 1_000_000_000],
  ['ANSWER_LIMIT_BYTES', ({ graphql }) => graphql.answer.maxBytes, 16 * MIB, 1024, GIB],
  ['CHANGE_RETENTION_S', ({ changes }) => changes.retention.ageS, 7 * DAY_S, 1, 3650 * DAY_S],
  ['CHANGE_RETENTION_BYTES', ({ changes }) => changes.retention.bytes, 4 * GIB, 1, 1024 * GIB],
  ['STREAM_MAX_EVENTS', ({ changes }) => changes.limits.maxEvents, 1000, 1, 1_000_000],
  ['STREAM_MAX_BYTES', ({ changes }) => changes.limits.maxBytes, MIB, 1024, GIB],
  ['DELIVERY_MAX_BYTES', ({ changes }) => changes.maxWaitingBytes, 64 * MIB, MIB, 64 * GIB],
  ['READY_MAX_LAG_S', ({ changes }) => changes.maxLagMs / 1000, 60, 1, DAY_S],
  ['SOCKET_MAX_SUBSCRIPTIONS', ({ sockets }) => sockets.maxSubscriptions, 100, 1, 100_000],
  ['USER_MAX_SOCKETS', ({ sockets }) => sockets.maxPerUser, 50, 1, 100_000],
  ['ADDRESS_MAX_SOCKETS', ({ sockets }) => sockets.maxPerAddress, 2000, 1, 1_000_000],
  ['MAX_SOCKETS', ({ sockets }) => sockets.maxInAll, 20_000, 1, 10_000_000],
  ['ADDRESS_MAX_SUBSCRIPTIONS', ({ sockets }) => sockets.maxSubscriptionsPerAddress, 5000, 1, 10_000_000],
  ['MAX_SUBSCRIPTIONS', ({ sockets }) => sockets.maxSubscriptionsInAll, 100_000, 1, 100_000_000],
  ['SOCKET_MESSAGE_LIMIT_BYTES', ({ sockets }) => sockets.messageLimitBytes, 131_072, 1024, 100 * MIB],
  ['SOCKET_INIT_TIMEOUT_MS', ({ sockets }) => sockets.initTimeoutMs, 10_000, 100, 600_000],
  ['KEEP_ALIVE_MS', ({ sockets }) => sockets.keepAliveMs, 12_000, 100, 3_600_000],
];

describe('the numbers of the configuration', () => {
  it.each(NUMBERS)('should be set by %s, and by no other variable', (name, of, fallback, min, max) => {
    expect(of(parseConfig({}))).toBe(fallback);
    const others = Object.fromEntries(
      NUMBERS.filter(([other]) => other !== name).map(([other, , , low, high]) => [
        other,
        String(Math.floor((low + high) / 2)),
      ]),
    );
    // Two limits of failed sign-ins follow from a third one.
    if (!name.startsWith('MAX_FAILED_SIGN_INS_')) {
      expect(of(parseConfig(others))).toBe(fallback);
    }
    expect([of(read(name, String(min))), of(read(name, String(max)))]).toEqual([min, max]);
  });

  it.each(NUMBERS)('should be refused outside the bounds of %s', (name, _of, _fallback, min, max) => {
    const problem = `${name} must be between ${min} and ${max}`;
    expect(problemOf({ [name]: String(max + 1) })).toBe(problem);
    expect(problemOf({ [name]: String(min - 1) })).toBe(min === 0 ? `${name} must be a whole number` : problem);
  });
});

describe('the flags of the configuration', () => {
  it.each<[string, (config: Config) => boolean, boolean]>([
    ['ALLOW_ANONYMOUS', ({ auth }) => auth.allowAnonymous, true],
    ['POSTS_WRITABLE', ({ rest }) => rest.postsWritable, false],
    ['GRAPHQL_INTROSPECTION', ({ graphql }) => graphql.introspection, true],
    ['CHAT_SOCKET_OPEN', ({ sockets }) => sockets.chatOpen, false],
  ])('should be set by %s', (name, of, fallback) => {
    expect(of(parseConfig({}))).toBe(fallback);
    expect(['true', '1', 'false', '0'].map((value) => of(read(name, value)))).toEqual([true, true, false, false]);
    expect(problemOf({ [name]: 'yes' })).toBe(`${name} must be true or false`);
  });
});

describe('the texts of the configuration', () => {
  it('should be absent where nothing is set', () => {
    expect(parseConfig({})).toMatchObject({
      metrics: null,
      mail: null,
      broker: null,
      auth: { secret: null },
      http: { publicUrl: null, allowedHosts: [], trustedProxies: 0 },
      graphql: { operationListPath: null },
    });
  });

  it('should name where it listens, and where metrics are served', () => {
    expect(parseConfig({ HOST: '::1', METRICS_PORT: '9090' })).toMatchObject({
      listen: { host: '::1' },
      metrics: { host: 'localhost', port: 9090 },
    });
    expect(parseConfig({ METRICS_HOST: '10.0.0.1', METRICS_PORT: '1' }).metrics).toEqual({ host: '10.0.0.1', port: 1 });
  });

  it('should name the file of the operations', () => {
    expect(read('OPERATION_LIST', 'operations.json').graphql.operationListPath).toBe('operations.json');
  });

  it.each(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])('should log from %s on', (level) => {
    expect(read('LOG_LEVEL', level).log.level).toBe(level);
  });

  it('should lead links to pages of the server where none are named', () => {
    const { links } = parseConfig({ HOST: '127.0.0.1', PORT: '81' }).auth;
    expect([links.resetPassword.page, links.verifyEmail.page]).toEqual([
      'http://127.0.0.1:81/reset-password',
      'http://127.0.0.1:81/verify-email',
    ]);
    const page = 'https://app.example.org/reset';
    expect(read('PASSWORD_RESET_PAGE', page).auth.links.resetPassword.page).toBe(page);
  });

  it.each([
    'http://app.example.org/ page',
    ' https://app.example.org',
    'ftp://app.example.org',
    'https://',
    'https://[',
  ])('should refuse %j as a page', (page) => {
    expect(problemOf({ EMAIL_VERIFICATION_PAGE: page })).toBe(
      'EMAIL_VERIFICATION_PAGE must be an http: or https: URL without a fragment',
    );
  });
});

describe('the database', () => {
  const SECRET_KEY = 'f2a94c1d7be03865a1c4e97d20b58f36';

  it.each(['file:x', 'file:/var/lib/tidings.db', 'postgres://db/tidings', 'postgresql://db/tidings'])(
    'should be at %s',
    (url) => {
      expect(parseConfig({ DATABASE_URL: url, SECRET_KEY }).database.url).toBe(url);
    },
  );

  it.each(['file:', 'postgres:db', 'postgresq://db', 'xfile:x', 'xpostgres://db', 'sqlite.db'])(
    'should not be at %s',
    (url) => {
      expect(problemOf({ DATABASE_URL: url, SECRET_KEY })).toBe(
        'DATABASE_URL must be a file: URL, like file:./data/tidings.db, or a postgres:// URL',
      );
    },
  );

  it('should be reached around a pooler by a URL of PostgreSQL', () => {
    const pooled = { DATABASE_URL: 'postgres://pooler/tidings', SECRET_KEY };
    expect(parseConfig(pooled).database.directUrl).toBeNull();
    const DATABASE_DIRECT_URL = 'postgres://db/tidings';
    expect(parseConfig({ ...pooled, DATABASE_DIRECT_URL }).database.directUrl).toBe(DATABASE_DIRECT_URL);
    expect(problemOf({ ...pooled, DATABASE_DIRECT_URL: 'file:x' })).toBe(
      'DATABASE_DIRECT_URL must be a postgres:// URL',
    );
    expect(problemOf({ DATABASE_DIRECT_URL })).toBe(
      'DATABASE_DIRECT_URL is for PostgreSQL, and DATABASE_URL is a SQLite file; leave it out',
    );
  });

  it('should have a secret that several nodes share, unless it is a file', () => {
    expect(problemOf({ DATABASE_URL: 'postgres://db/tidings' })).toBe(
      'SECRET_KEY is required with PostgreSQL; set the same secret on all nodes',
    );
    expect(problemOf({ DATABASE_URL: 'file:x' })).toBe('');
  });
});

describe('the trusted proxies', () => {
  it.each<[string, unknown]>([
    ['false', 0],
    ['0', 0],
    ['1', 1],
    ['16', 16],
    ['10.0.0.1', ['10.0.0.1']],
    ['10.0.0.0/8, ::1,fd00::/8', ['10.0.0.0/8', '::1', 'fd00::/8']],
  ])('should be read from %j', (value, expected) => {
    expect(read('TRUST_PROXY', value).http.trustedProxies).toEqual(expected);
  });

  it.each(['true', '17', '100', '-1', '1x', 'x1', '0.0.0.0/0', '::/0', '10.0.0.0/33', 'proxy.example', '10.0.0.1, x'])(
    'should be refused where callers could choose their address: %j',
    (value) => {
      expect(problemOf({ TRUST_PROXY: value })).toMatch(
        /^TRUST_PROXY must be false, the number of proxies in front \(1\), or their addresses/,
      );
    },
  );
});

describe('the hosts and origins', () => {
  const PUBLIC_URL = 'https://tidings.example.org:8443';

  it('should accept the host of the public URL besides those that are named', () => {
    expect(parseConfig({ PUBLIC_URL, ALLOWED_HOSTS: 'One.example, [::1]:8000' }).http.allowedHosts).toEqual([
      'one.example',
      '[::1]:8000',
      'tidings.example.org:8443',
    ]);
    expect(parseConfig({ ALLOWED_HOSTS: ',one.example:80,' }).http.allowedHosts).toEqual(['one.example:80']);
  });

  it('should accept any host where none is named, even with a public URL', () => {
    expect(parseConfig({ PUBLIC_URL }).http.allowedHosts).toEqual([]);
  });

  it.each(['one.example/', 'http://one.example', 'one.example:123456', 'one.example:', '[::1', '*', 'one example'])(
    'should refuse %j as a host',
    (host) => {
      expect(problemOf({ ALLOWED_HOSTS: host })).toBe(
        'ALLOWED_HOSTS must be a list of hosts, with or without a port, separated by commas',
      );
    },
  );

  it('should allow each origin of the list, or any', () => {
    expect(read('CORS_ORIGINS', '*').http.corsOrigins).toEqual(['*']);
    expect(read('CORS_ORIGINS', ' https://a.example ,, http://b.example:81').http.corsOrigins).toEqual([
      'https://a.example',
      'http://b.example:81',
    ]);
  });
});

describe('the broker', () => {
  it.each(['amqp://localhost', 'amqps://guest:guest@mq.example:5671/%2f'])('should be at %s', (url) => {
    expect(read('AMQP_URL', url).broker).toEqual({ url, exchangeRetentionS: 604_800 });
  });

  it.each([
    'http://localhost',
    'xamqp://localhost',
    'amqp:///vhost',
    'amqp:localhost',
    'amqp://[',
    'amqp://mq/%zz',
    'amqp://mq/%2',
  ])('should not be at %s', (url) => {
    expect(problemOf({ AMQP_URL: url })).toBe(
      'AMQP_URL must be an amqp: or amqps: URL, like amqp://guest:guest@localhost:5672',
    );
  });
});

describe('the settings of mail', () => {
  const MAIL = { SMTP_URL: 'smtps://mail.example', MAIL_FROM: 'a@b.example', PUBLIC_URL: 'https://tidings.example' };

  it.each(['a@b.example', 'Tidings <a@b.example>', 'The Tidings team <a@b.example>'])('should send from %j', (from) => {
    expect(parseConfig({ ...MAIL, MAIL_FROM: from }).mail).toEqual({ url: 'smtps://mail.example', from });
  });

  it.each([
    'a',
    '@b',
    'a@',
    'a@b@c',
    'a b@c',
    'a@b c',
    'a@b, c@d',
    'T <a@b',
    'T <a>',
    'T <a@b> x',
    'T\n <a@b>',
    '<a@b>',
    'T, U <a@b>',
    'T <a @b>',
  ])('should not send from %j', (from) => {
    expect(problemOf({ ...MAIL, MAIL_FROM: from })).toMatch(/^MAIL_FROM must be one email address, with a name or/);
  });

  it.each(['smtp:mail.example', 'xsmtp://mail.example', 'smtp:///', 'smtp://[', 'smtpss://mail.example'])(
    'should not send by %s',
    (url) => {
      expect(problemOf({ ...MAIL, SMTP_URL: url })).toMatch(/^SMTP_URL must be an smtp: or smtps: URL, like smtp:/);
    },
  );

  it('should not be needed for an address without a mail server', () => {
    expect(parseConfig({ MAIL_FROM: 'a@b.example' }).mail).toBeNull();
  });
});
