import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError, parseConfig } from '../../src/config/config.ts';
import { VARIABLES } from '../../src/config/environment.ts';
import { withoutSecrets } from '../../src/config/hidden-secrets.ts';
import { misspelledVariables } from '../../src/config/misspelled-variables.ts';
import { printedConfig } from '../../src/config/printed-config.ts';
import type { FileReader } from '../../src/config/sources.ts';

const SECRET = randomBytes(32).toString('hex');

/** Reads files out of an object; what it lacks does not exist. */
const files =
  (texts: Readonly<Record<string, string>>): FileReader =>
  (path) => {
    const text = texts[path];
    return text === undefined ? { problem: 'does not exist' } : { text };
  };

function problemsOf(env: Record<string, string>, readFile: FileReader = files({})): string[] {
  try {
    parseConfig(env, readFile);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
  return [];
}

describe('misspelled variables', () => {
  it.each([
    ['PORTS', 'PORT'],
    ['PROT', 'PORT'],
    ['port', 'PORT'],
    ['HOSTS', 'HOST'],
    ['SECRETKEY', 'SECRET_KEY'],
    ['SECRET_KEYS', 'SECRET_KEY'],
    ['SECRET_KEY_FIEL', 'SECRET_KEY_FILE'],
    ['SECRET_KEY_OLDS', 'SECRET_KEY_OLD'],
    ['DATABASE_URI', 'DATABASE_URL'],
    ['DATABASE-URL', 'DATABASE_URL'],
    ['database_url', 'DATABASE_URL'],
    ['MAX_SOCKET', 'MAX_SOCKETS'],
    ['QUERY_DEPHT_LIMIT', 'QUERY_DEPTH_LIMIT'],
    ['QUERRY_DEPHT_LIMIT', 'QUERY_DEPTH_LIMIT'],
    ['MAX_SUBSCRIPTIONS_', 'MAX_SUBSCRIPTIONS'],
    ['CORS_ORIGIN', 'CORS_ORIGINS'],
    ['METRIC_PORT', 'METRICS_PORT'],
    ['TIDINGS_PORT', 'PORT'],
    ['TIDINGS_DATABASE_URI', 'DATABASE_URL'],
    ['TIDINGS_PASSWROD', 'TIDINGS_PASSWORD'],
    ['LOG_LEVEL_FILE', 'LOG_LEVEL'],
    ['TIDINGS_SECRET_KEY_FILE', 'SECRET_KEY_FILE'],
  ])('should be reported: %s, which was meant to be %s', (name, meant) => {
    expect(misspelledVariables({ [name]: 'x' })).toEqual([{ name, meant }]);
    expect(misspelledVariables({ [name]: '' })).toEqual([]);
  });

  it('should include every setting with a letter too many, too few, or two exchanged', () => {
    for (const name of VARIABLES.keys()) {
      const middle = Math.ceil(name.length / 2);
      const [before, after] = [name.slice(0, middle), name.slice(middle)];
      const swapped = `${name.slice(0, 1)}${name[2]}${name[1]}${name.slice(3)}`;
      for (const wrong of [`${before}Q${after}`, `${before}${after.slice(1)}`, swapped, `TIDINGS_${name}`]) {
        if (!VARIABLES.has(wrong)) {
          expect(misspelledVariables({ [wrong]: '1' }), wrong).toEqual([{ name: wrong, meant: expect.any(String) }]);
        }
      }
    }
  });

  it('should not include settings, and what other programs set', () => {
    const settings = Object.fromEntries([...VARIABLES.keys()].flatMap((name) => [[name, 'x']]));
    expect(misspelledVariables({ ...settings, SECRET_KEY_FILE: 'x', DATABASE_URL_FILE: 'x' })).toEqual([]);
    const names = COMMON.trim().split(/\s+/);
    expect(names.length).toBeGreaterThan(200);
    expect(misspelledVariables(Object.fromEntries(names.map((name) => [name, '1'])))).toEqual([]);
  });

  it('should not include the links that Kubernetes and Docker make to a service', () => {
    expect(misspelledVariables({ TIDINGS_PORT: 'tcp://10.0.0.7:8000', TIDINGS_SERVICE_HOST: '10.0.0.7' })).toEqual([]);
    expect(misspelledVariables({ TIDINGS_SERVICE_PORT: '8000', TIDINGS_PORT_8000_TCP_PORT: '8000' })).toEqual([]);
  });
});

describe('secrets in files', () => {
  it('should be read, without the line break at the end', () => {
    const read = files({
      '/key': `${SECRET}\n`,
      '/db': 'postgres://db/tidings\r\n',
      '/old': `${SECRET}a\n${SECRET}b\n`,
    });
    const env = { SECRET_KEY_FILE: '/key', DATABASE_URL_FILE: '/db', SECRET_KEY_OLD_FILE: '/old', DATABASE_URL: '' };
    const { auth, database } = parseConfig(env, read);
    expect(auth).toMatchObject({ secret: SECRET, oldSecrets: [`${SECRET}a`, `${SECRET}b`] });
    expect(database.url).toBe('postgres://db/tidings');
    expect(parseConfig({ TIDINGS_PASSWORD_FILE: '/p' }, files({ '/p': ' two words \n' })).commands.password).toBe(
      ' two words ',
    );
    expect(parseConfig({ SECRET_KEY_FILE: '' }, read).auth.secret).toBeNull();
  });

  it.each<[Record<string, string>, string]>([
    [{ SECRET_KEY_FILE: '/none' }, 'SECRET_KEY_FILE names /none, which does not exist'],
    [{ SMTP_URL_FILE: '/empty' }, 'SMTP_URL_FILE names /empty, which is empty; it must contain the value of SMTP_URL'],
    [{ AMQP_URL_FILE: '/blank' }, 'AMQP_URL_FILE names /blank, which is empty; it must contain the value of AMQP_URL'],
    [{ SECRET_KEY: SECRET, SECRET_KEY_FILE: '/key' }, 'SECRET_KEY and SECRET_KEY_FILE are both set; set one of them'],
    [
      { SECRET_KEY_FILE: '/lines' },
      'SECRET_KEY_FILE names /lines, which has several lines; it must contain the value of SECRET_KEY and nothing else',
    ],
    [{ SECRET_KEY_FILE: '/short' }, 'SECRET_KEY of SECRET_KEY_FILE must have at least 32 characters'],
    [{ DATABASE_URL_FILE: '/short' }, expect.stringMatching(/^DATABASE_URL of DATABASE_URL_FILE must be a file: URL/)],
    // PostgreSQL requires a secret; one whose file is missing is not reported as missing itself.
    [{ DATABASE_URL: 'postgres://db/x', SECRET_KEY_FILE: '/none' }, expect.stringContaining('does not exist')],
  ])('should be refused with one sentence: %j', (env, problem) => {
    const read = files({
      '/empty': '',
      '/blank': ' \n',
      '/key': SECRET,
      '/lines': 'a\nb\n',
      '/short': 'hidden-word\n',
    });
    expect(problemsOf(env, read)).toEqual([problem]);
    expect(problemsOf(env, read).join()).not.toContain('hidden-word');
  });

  it('should be reported together with the other problems', () => {
    expect(problemsOf({ SECRET_KEY_FILE: '/none', PORT: 'x', AMQP_URL_FILE: '/none' })).toEqual([
      expect.stringContaining('AMQP_URL_FILE names /none'),
      expect.stringContaining('SECRET_KEY_FILE names /none'),
      'PORT must be a whole number',
    ]);
  });
});

describe('the keys that only verify', () => {
  const [first = '', second = '', third = ''] = [1, 2, 3].map(() => randomBytes(24).toString('hex'));

  it.each([
    [`${first}, ${second},`, [first, second]],
    [`${first}\n${second}\r\n\n`, [first, second]],
    [`${first}\n${second} until 2026-12-01T00:00:00.000Z\n`, [first, second]],
    [`${first},with a comma\n`, [`${first},with a comma`]],
  ])('should be separated by commas, or one a line: %j', (text, keys) => {
    expect(parseConfig({ SECRET_KEY_OLD: text }).auth.oldSecrets).toEqual(keys);
  });

  it.each([
    [`${first},short-hidden`, /^SECRET_KEY_OLD must be keys.*; key 2 of 2 must have at least 32 characters$/],
    [`${'x'.repeat(64)}\n${first}`, /key 1 of 2 is easy to guess/],
    [`${first}${second},`.repeat(5), /^SECRET_KEY_OLD must have at most 4 keys, .*; it has 5$/],
  ])('should be as hard to guess as the one that signs: %#', (text, problem) => {
    expect(problemsOf({ SECRET_KEY: third, SECRET_KEY_OLD: text })).toEqual([expect.stringMatching(problem)]);
    expect(problemsOf({ SECRET_KEY_OLD: text }).join()).not.toMatch(/hidden|xxxx/);
  });
});

describe('a value without its secrets', () => {
  it.each([
    ['postgres://ann:hidden@db:5432/tidings?sslmode=require', 'postgres://ann:***@db:5432/tidings?sslmode=require'],
    ['postgres://:hidden@db/tidings', 'postgres://:***@db/tidings'],
    ['postgres:///tidings?user=ann&password=hidden&host=/run', 'postgres:///tidings?user=ann&password=***'],
    ['postgres://ann:hid@den@db/tidings', 'postgres://ann:***@db/tidings'],
    ['postgres://ann:hid#den@db/tidings', 'postgres://***'],
    ['postgres://ann:1/hidden@db/tidings', 'postgres://***'],
    ['postgres://ann:1?hidden@db/tidings', 'postgres://***'],
    ['postgres://ann:1#hidden', 'postgres://***'],
    ['amqp://guest:hid%40den@mq/vhost', 'amqp://guest:***@mq/vhost'],
    ['smtps://mail.example.org/?auth.user=ann&auth.pass=hidden', 'smtps://mail.example.org/?auth.user=***'],
    ['file:./data/tidings.db', 'file:./data/tidings.db'],
    ['hidden', '***'],
  ])('should show of %s only %s', (url, shown) => {
    expect(withoutSecrets(url, 'password')).toBe(shown);
    expect(withoutSecrets(url, 'value')).toBe('***');
  });

  it('should not have any part of a password, whatever unescaped characters it has', () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 4 }),
      fc.stringMatching(/^[1a@:/?#&=%[\]\\ \n]{0,5}$/),
    );
    const scheme = fc.constantFrom('postgres', 'postgresql', 'amqp', 'amqps', 'smtp', 'smtps');
    fc.assert(
      fc.property(scheme, fc.constantFrom('', 'ann', 'a%40b'), part, part, (name, user, before, after) => {
        const password = `${before}hidden${after}`;
        for (const url of [
          `${name}://${user}:${password}@host:1/path?a=b`,
          `${name}://host/path?password=${password}`,
        ]) {
          expect(withoutSecrets(url, 'password')).not.toContain('hidden');
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('the printed configuration', () => {
  it('should have every variable with its value and source, and be read again as the same', () => {
    const env = { PORT: '81', MAIL_FROM: 'Tidings <a@example.org>', MAX_FAILED_SIGN_INS: '7', SECRET_KEY_FILE: '/k y' };
    const text = printedConfig(env, files({ '/k y': SECRET }));
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines.map((line) => line.split('=')[0])).toEqual([...VARIABLES.keys()]);
    expect(lines).toEqual(
      expect.arrayContaining([
        'PORT=81  # environment',
        'HOST=localhost  # default',
        'METRICS_PORT=  # default: no metrics',
        'MAIL_FROM="Tidings <a@example.org>"  # environment',
        'MAX_FAILED_SIGN_INS_PER_NAME=21  # default',
        'PASSWORD_RESET_PAGE=http://localhost:81/reset-password  # default',
        'SECRET_KEY=***  # file "/k y"',
      ]),
    );
    const again = lines.map((line) => /^(\w+)=(.*?) {2}#/.exec(line)?.slice(1) ?? []);
    const unquoted = again.map(([name, value = '']) => [name, value.startsWith('"') ? JSON.parse(value) : value]);
    const read = parseConfig({ ...Object.fromEntries(unquoted), SECRET_KEY: SECRET });
    expect(read).toEqual(parseConfig({ ...env, SECRET_KEY: SECRET, SECRET_KEY_FILE: '' }));
  });

  it('should not contain any secret', () => {
    const text = printedConfig(
      {
        DATABASE_URL: 'postgres://ann:hidden-word@db/tidings',
        AMQP_URL: 'amqp://ann:hidden-word@mq',
        SMTP_URL: 'smtp://ann:hidden-word@mail',
        MAIL_FROM: 'a@example.org',
        PUBLIC_URL: 'https://example.org',
        SECRET_KEY: `${SECRET}hidden-word`,
        SECRET_KEY_OLD: `${SECRET}hidden-word`,
        TIDINGS_PASSWORD: 'hidden-word',
        PASSWORD_RESET_PAGE: 'https://ann:hidden-word@example.org/',
      },
      files({}),
    );
    expect(text).not.toContain('hidden-word');
    expect(text).not.toContain(SECRET);
    expect(text).toContain('DATABASE_URL=postgres://ann:***@db/tidings  # environment');
  });
});

/** Variables of shells, desktops, services, containers, continuous integration and frameworks. */
const COMMON = `
PATH HOME USER LOGNAME SHELL PWD OLDPWD SHLVL TERM LANG LANGUAGE LC_ALL LC_CTYPE LC_TIME TZ EDITOR VISUAL PAGER LESS LS_COLORS MAIL HOSTNAME HOSTTYPE OSTYPE MACHTYPE
UID EUID PPID PS1 PS2 PS4 IFS TMPDIR TMP TEMP DISPLAY WAYLAND_DISPLAY XAUTHORITY XDG_SESSION_ID XDG_SESSION_TYPE XDG_RUNTIME_DIR XDG_DATA_DIRS XDG_CONFIG_HOME
DBUS_SESSION_BUS_ADDRESS SSH_CLIENT SSH_CONNECTION SSH_TTY SSH_AUTH_SOCK SSH_AGENT_PID SUDO_USER SUDO_UID SUDO_GID SUDO_COMMAND COLORTERM COLUMNS LINES TERM_PROGRAM
INVOCATION_ID JOURNAL_STREAM NOTIFY_SOCKET LISTEN_FDS LISTEN_PID LISTEN_FDNAMES MAINPID WATCHDOG_USEC WATCHDOG_PID CREDENTIALS_DIRECTORY STATE_DIRECTORY RUNTIME_DIRECTORY
SYSTEMD_EXEC_PID MEMORY_PRESSURE_WATCH
http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY FTP_PROXY SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE REQUESTS_CA_BUNDLE
NODE_ENV NODE_PATH NODE_OPTIONS NODE_VERSION NODE_EXTRA_CA_CERTS NODE_NO_WARNINGS YARN_VERSION NPM_CONFIG_LOGLEVEL NPM_TOKEN NVM_DIR NVM_BIN INIT_CWD COREPACK_HOME FORCE_COLOR
NO_COLOR DEBUG VITEST VITEST_WORKER_ID VITEST_POOL_ID VITEST_MODE TEST PROD DEV MODE BASE_URL
npm_config_user_agent npm_config_registry npm_config_cache npm_config_prefix npm_config_loglevel npm_config_noproxy npm_config_node_gyp npm_command npm_execpath npm_node_execpath
npm_lifecycle_event npm_lifecycle_script npm_package_json npm_package_name npm_package_version npm_config_global_prefix npm_config_init_module npm_config_userconfig npm_config_port
PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGSSLMODE PGPASSFILE PGSERVICE PGDATA PGOPTIONS PGAPPNAME POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB POSTGRES_HOST POSTGRES_PORT
POSTGRES_URL MYSQL_HOST MYSQL_URL REDIS_URL REDIS_HOST REDIS_PORT MONGO_URL MONGODB_URI RABBITMQ_URL RABBITMQ_PASSWORD CLOUDAMQP_URL KAFKA_URL ELASTIC_URL SENTRY_DSN
DATABASE_HOST DATABASE_PORT DATABASE_USER DATABASE_NAME DATABASE_SSL DATABASE_PASSWORD DB_HOST DB_PORT DB_NAME DB_USER DB_PASSWORD DB_URL TEST_DATABASE_URL SHADOW_DATABASE_URL
SMTP_HOST SMTP_PORT SMTP_USER SMTP_PASS SMTP_PASSWORD SMTP_FROM MAIL_HOST MAIL_PORT MAIL_USER MAIL_TO MAILTO MAILER MAILCHECK APP_URL APP_KEY APP_ENV APP_NAME APP_DEBUG API_KEY
API_URL JWT_SECRET SECRET_KEY_BASE SECRET SESSION_SECRET COOKIE_SECRET ACCESS_TOKEN REFRESH_TOKEN LOG_FILE LOG_FORMAT LOG_DIR LOGLEVEL_ROOT RUST_LOG RUST_BACKTRACE GOPATH
KUBERNETES_PORT KUBERNETES_PORT_443_TCP KUBERNETES_PORT_443_TCP_ADDR KUBERNETES_PORT_443_TCP_PORT KUBERNETES_PORT_443_TCP_PROTO KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT
KUBERNETES_SERVICE_PORT_HTTPS POD_NAME POD_NAMESPACE POD_IP NODE_NAME CONTAINER DOCKER_HOST COMPOSE_PROJECT_NAME AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
AZURE_CLIENT_ID GOOGLE_APPLICATION_CREDENTIALS DYNO WEB_MEMORY MEMORY_AVAILABLE HEROKU_APP_NAME RAILWAY_PUBLIC_DOMAIN FLY_APP_NAME FLY_REGION VERCEL_URL RENDER_EXTERNAL_URL
CI GITHUB_ACTIONS GITHUB_TOKEN GITHUB_SHA GITHUB_REF GITHUB_REPOSITORY GITHUB_WORKSPACE GITHUB_RUN_ID GITHUB_ACTOR GITHUB_ENV GITHUB_PATH RUNNER_OS RUNNER_TEMP RUNNER_TOOL_CACHE
GITLAB_CI CI_JOB_TOKEN CI_COMMIT_SHA CI_PROJECT_DIR JENKINS_URL BUILD_NUMBER BUILD_ID JAVA_HOME PYTHONPATH PYTHONUNBUFFERED VIRTUAL_ENV CONDA_PREFIX PIP_CACHE_DIR GIT_DIR GIT_EDITOR
WEBSITES_PORT WEBSITE_HOSTNAME K_SERVICE K_REVISION K_CONFIGURATION pm_id NODE_APP_INSTANCE PM2_HOME instances name status HOMEPATH COMSPEC APPDATA
POST SORT FORT SPORT GHOST COST LOST MOST VHOST COPYFILE _ __CF_USER_TEXT_ENCODING TIDINGS_TEST_DATABASE TIDINGS_TEST_REQUIRE_ALL TIDINGS_TEST_MAIN TIDINGS_ORACLE_RUNS
`;
