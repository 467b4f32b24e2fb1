import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ConfigError, parseConfig } from '../../src/config/config.ts';

const SECRET = randomBytes(32).toString('hex');

function problemsOf(env: Record<string, string>): string[] {
  try {
    parseConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    const [title, ...problems] = (error as ConfigError).message.split('\n');
    expect(title).toBe('The configuration is invalid:');
    return problems.map((problem) => problem.trim());
  }
  return [];
}

describe('the configuration', () => {
  it('should need nothing to be set', () => {
    expect(parseConfig({})).toMatchObject({
      listen: { host: 'localhost', port: 8000 },
      database: { url: 'file:./data/tidings.db', synchronous: 'NORMAL' },
      auth: { secret: null, accessTokenLifeS: 1800, refreshTokenLifeS: 604_800, allowAnonymous: true },
      http: { corsOrigins: ['*'], bodyLimitBytes: 1_048_576, shutdownTimeoutMs: 10_000 },
      graphql: { depthLimit: 12, aliasLimit: 30, tokenLimit: 2000, directiveLimit: 30, complexityLimit: 20_000 },
      traces: null,
      log: { level: 'info', format: null, sampleRate: 1, slowMs: 1000 },
    });
  });

  it('should take every value that is set', () => {
    const config = parseConfig({
      HOST: '0.0.0.0',
      PORT: '0',
      DATABASE_URL: 'file:/var/lib/tidings.db',
      SQLITE_SYNCHRONOUS: 'FULL',
      SECRET_KEY: SECRET,
      ACCESS_TOKEN_LIFE_S: '60',
      REFRESH_TOKEN_LIFE_S: '3600',
      ALLOW_ANONYMOUS: 'false',
      CORS_ORIGINS: 'https://one.example, http://localhost:5173',
      BODY_LIMIT_BYTES: '2048',
      QUERY_DEPTH_LIMIT: '3',
      QUERY_ALIAS_LIMIT: '0',
      QUERY_TOKEN_LIMIT: '100',
      QUERY_DIRECTIVE_LIMIT: '1',
      QUERY_COMPLEXITY_LIMIT: '10',
      SHUTDOWN_TIMEOUT_MS: '1',
      LOG_LEVEL: 'silent',
    });
    expect(config).toMatchObject({
      listen: { host: '0.0.0.0', port: 0 },
      database: { url: 'file:/var/lib/tidings.db', synchronous: 'FULL' },
      auth: { secret: SECRET, accessTokenLifeS: 60, refreshTokenLifeS: 3600, allowAnonymous: false },
      http: {
        corsOrigins: ['https://one.example', 'http://localhost:5173'],
        bodyLimitBytes: 2048,
        shutdownTimeoutMs: 1,
      },
      graphql: { depthLimit: 3, aliasLimit: 0, tokenLimit: 100, directiveLimit: 1, complexityLimit: 10 },
      traces: null,
      log: { level: 'silent', format: null, sampleRate: 1, slowMs: 1000 },
    });
  });

  it('should count an empty variable as absent, and ignore what it does not know', () => {
    const empty = {
      PORT: '',
      SECRET_KEY: '',
      ALLOW_ANONYMOUS: '',
      CORS_ORIGINS: '',
      DATABASE_URL: '',
      NODE_ENV: 'test',
    };
    expect(parseConfig(empty)).toEqual(parseConfig({}));
    expect(parseConfig({ ...empty, PATH: '/bin', PORTS: 'x' })).toEqual(parseConfig({}));
  });

  it('should name every problem at once', () => {
    const problems = problemsOf({
      PORT: '65536',
      DATABASE_URL: 'mysql://localhost/tidings',
      SECRET_KEY: 'short',
      ALLOW_ANONYMOUS: 'perhaps',
      BODY_LIMIT_BYTES: '-1',
      SQLITE_SYNCHRONOUS: 'OFF',
      LOG_LEVEL: 'loud',
      HOST: '127.0.0.1',
    });
    expect(problems).toHaveLength(7);
    expect(problems).toEqual(
      expect.arrayContaining([
        'PORT must be between 0 and 65535',
        expect.stringMatching(/^DATABASE_URL must be a file: /),
        'SECRET_KEY must have at least 32 characters',
        'ALLOW_ANONYMOUS must be true or false',
        'BODY_LIMIT_BYTES must be a whole number',
        'SQLITE_SYNCHRONOUS must be NORMAL or FULL',
        expect.stringMatching(/^LOG_LEVEL .*silent/),
      ]),
    );
  });

  it.each(['x', '1.5', '1e3', '0x10', ' 1', '-1', '1_000', '99999999999999999999', 'NaN', 'Infinity'])(
    'should refuse %j as a number',
    (value) => {
      expect(problemsOf({ ACCESS_TOKEN_LIFE_S: value })).toEqual([expect.stringMatching(/^ACCESS_TOKEN_LIFE_S /)]);
    },
  );

  it.each([
    [{}, [20, 60, 200]],
    [{ MAX_FAILED_SIGN_INS: '5' }, [5, 15, 50]],
    [{ MAX_FAILED_SIGN_INS_PER_NAME: '30', MAX_FAILED_SIGN_INS_PER_ADDRESS: '40' }, [20, 30, 40]],
  ])('should bound failed attempts with %j by %j', (env, bounds) => {
    const { maxFailedSignIns, maxFailedSignInsPerName, maxFailedSignInsPerAddress } = parseConfig(env).auth;
    expect([maxFailedSignIns, maxFailedSignInsPerName, maxFailedSignInsPerAddress]).toEqual(bounds);
  });

  it.each([
    ['MAX_FAILED_SIGN_INS_PER_NAME', '0'],
    ['MAX_FAILED_SIGN_INS_PER_ADDRESS', 'many'],
  ])('should refuse %s=%s', (name, value) => {
    expect(problemsOf({ [name]: value })).toEqual([expect.stringContaining(name)]);
  });

  it.each([
    ['true', true],
    ['1', true],
    ['false', false],
    ['0', false],
  ])('should read the flag %s as %s', (value, expected) => {
    expect(parseConfig({ ALLOW_ANONYMOUS: value }).auth.allowAnonymous).toBe(expected);
  });

  it.each([
    [undefined, null],
    ['', null],
    ['https://tidings.example.org', 'https://tidings.example.org'],
    ['https://tidings.example.org/', 'https://tidings.example.org'],
    ['http://[::1]:8000', 'http://[::1]:8000'],
  ])('should read the public URL %j as %j', (value, expected) => {
    expect(parseConfig({ PUBLIC_URL: value }).http.publicUrl).toBe(expected);
  });

  it.each([
    'tidings.example.org',
    'ftp://tidings.example.org',
    'https://tidings.example.org/path',
    'https://tidings.example.org?',
    'https://ann@tidings.example.org',
    'https://tidings.example.org:443',
    'https://Tidings.example.org',
    'https://',
    '*',
  ])('should refuse %j as the public URL', (value) => {
    expect(problemsOf({ PUBLIC_URL: value })).toEqual([
      'PUBLIC_URL must be an http: or https: URL without a path, like https://tidings.example.org',
    ]);
  });

  it.each([
    'nonsense',
    'https://one.example, nonsense',
    'one.example',
    'https://one.example/path',
    'https://one.example/',
  ])('should refuse %j as a list of origins, for no browser would ever send it', (value) => {
    expect(problemsOf({ CORS_ORIGINS: value })).toEqual([
      expect.stringMatching(/^CORS_ORIGINS must be \* or a list of origins, separated by commas/),
    ]);
  });

  const MAIL = {
    SMTP_URL: 'smtp://tidings:secret@mail.example.org:587',
    MAIL_FROM: 'tidings@example.org',
    PUBLIC_URL: 'https://tidings.example.org',
  };

  it('should lead the links in mails to the public URL, or to pages that are named', () => {
    const { mail, auth } = parseConfig(MAIL);
    expect(mail).toEqual({ url: MAIL.SMTP_URL, from: MAIL.MAIL_FROM });
    expect(auth.links.resetPassword).toEqual({ page: 'https://tidings.example.org/reset-password', lifeS: 3600 });
    const page = 'https://app.example.org/verify?from=mail';
    expect(parseConfig({ ...MAIL, EMAIL_VERIFICATION_PAGE: page }).auth.links.verifyEmail.page).toBe(page);
  });

  it.each([
    [{ SMTP_URL: MAIL.SMTP_URL }, ['MAIL_FROM is required with SMTP_URL', 'PUBLIC_URL is required with SMTP_URL']],
    [
      { ...MAIL, SMTP_URL: 'http://mail.example.org' },
      [expect.stringMatching(/^SMTP_URL must be an smtp: or smtps: URL/)],
    ],
    [
      { ...MAIL, MAIL_FROM: 'a@example.org, b@example.org' },
      [expect.stringMatching(/^MAIL_FROM must be one email address/)],
    ],
    [{ ...MAIL, MAIL_FROM: 'Tidings' }, [expect.stringMatching(/^MAIL_FROM must be one email address/)]],
    [
      { PASSWORD_RESET_PAGE: 'javascript:alert(1)' },
      ['PASSWORD_RESET_PAGE must be an http: or https: URL without a fragment'],
    ],
    [
      { PASSWORD_RESET_PAGE: 'https://a.example/#x' },
      ['PASSWORD_RESET_PAGE must be an http: or https: URL without a fragment'],
    ],
  ])('should say what is wrong with mails: %j', (env, problems) => {
    expect(problemsOf(env)).toEqual(problems);
  });
});

describe('the signing secret of the environment', () => {
  it('should have at least 32 characters', () => {
    expect(problemsOf({ SECRET_KEY: SECRET.slice(0, 31) })).toEqual(['SECRET_KEY must have at least 32 characters']);
    expect(parseConfig({ SECRET_KEY: SECRET.slice(0, 32) }).auth.secret).toBe(SECRET.slice(0, 32));
  });

  it.each([
    'change-me-change-me-change-me-change-me',
    'CHANGEME0123456789012345678901234567890',
    'this-is-an-example-of-a-long-enough-key',
    'django-insecure-0123456789abcdefghijklmn',
    'your-secret-goes-here-and-is-long-enough',
    'my_secret_key_my_secret_key_my_secret_key',
  ])('should not look like an example: %j', (value) => {
    expect(problemsOf({ SECRET_KEY: value })).toEqual([expect.stringMatching(/^SECRET_KEY looks like an example/)]);
  });

  it.each([
    'x'.repeat(64),
    ' '.repeat(64),
    'password'.repeat(8),
    'password1password2password3password4',
    '0123456789'.repeat(4),
    '0123456789abcdef'.repeat(4),
    'abcdefghijklmnopqrstuvwxyz0123456789',
    'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
    'zyxwvutsrqponmlkjihgfedcba9876543210',
    'd2a9c1f0'.repeat(8),
    'aaaaaaaabbbbbbbbccccccccdddddddd',
    'abababababababababababababababababab',
  ])('should not be easy to guess: %j', (value) => {
    expect(problemsOf({ SECRET_KEY: value })).toEqual([expect.stringMatching(/^SECRET_KEY is easy to guess/)]);
  });

  it('should not appear in the reported problem', () => {
    const value = 'hunter2-hunter2-hunter2';
    expect(problemsOf({ SECRET_KEY: value }).join()).not.toContain('hunter2');
  });
});
