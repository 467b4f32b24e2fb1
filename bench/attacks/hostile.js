// Hostile requests over HTTP: documents, JSON, forms, headers, guesses and storms.
import { createHash } from 'node:crypto';
import { Agent } from 'node:http';
import { hostileDocument, junkText, junkValue, junkVariables, VALID, VARIABLES } from './documents.js';
import { frame } from './load.js';
import { ANONYMOUS, REFUSED } from './oracle.js';

const MEGABYTE = 1_048_576;
const JSON_TYPE = { 'content-type': 'application/json' };
/** A connection for each hostile request: one that the server closes harms no other. */
const ANEW = new Agent({ keepAlive: false });

/** The attackers' own addresses: the limits of an address must not refuse the normal load. */
const addressOf = (random) => ({
  'x-forwarded-for': `10.${random.between(0, 255)}.${random.between(0, 255)}.${random.between(1, 254)}`,
});

/** Anybody but the keeper, whose rows stay as they are. */
function anybody(world, random) {
  const user = world.someone();
  return random.chance(0.4) || world.isKeeper(user) ? ANONYMOUS : world.credentialOf(user);
}

async function sendDocument(world, random) {
  const kind = 'attack: document';
  const viewer = anybody(world, random);
  const query = hostileDocument(random);
  if (random.chance(0.15)) {
    const path = `/graphql?query=${encodeURIComponent(query.slice(0, 6000).toWellFormed())}&variables=${encodeURIComponent(frame(junkVariables(random)).toWellFormed())}`;
    await world.client.send(kind, viewer, { path, headers: addressOf(random), agent: ANEW });
    return;
  }
  const extra = random.chance(0.1) ? { operationName: junkValue(random), extensions: junkValue(random) } : {};
  await world.client.graphql(
    kind,
    viewer,
    '',
    {},
    { headers: addressOf(random), body: frame({ query, variables: junkVariables(random), ...extra }) },
  );
}

async function sendVariables(world, random) {
  const variables = junkVariables(random);
  if (random.chance(0.05)) {
    variables[random.oneOf(VARIABLES)] = 'x'.repeat(MEGABYTE - random.between(0, 2000));
  }
  await world.client.graphql('attack: variables', anybody(world, random), random.oneOf(VALID), variables, {
    headers: addressOf(random),
  });
}

/** JSON, forms and parts that are malformed, huge, or have names like `__proto__`. */
const BODIES = [
  () => '{"__proto__":{"isStaff":true},"constructor":{"prototype":{"x":1}},"query":"{__typename}"}',
  (random) => `${'['.repeat(random.between(10, 100_000))}`,
  (random) => `{"title":${'{"a":'.repeat(random.between(10, 5000))}1`,
  (random) => frame(Array.from({ length: random.between(2, 200) }, () => ({ query: '{ __typename }' }))),
  (random) =>
    frame(Object.fromEntries(Array.from({ length: random.between(10, 12_000) }, (_, index) => [`k${index}`, index]))),
  (random) => frame(junkValue(random)),
  (random) =>
    frame({
      username: junkValue(random),
      password: junkValue(random),
      title: junkValue(random),
      priority: junkValue(random),
      message: junkValue(random),
    }),
  (random) => 'x'.repeat(random.between(1, 2 * MEGABYTE)),
  (random) => random.bytes(random.between(1, 500)),
  (random) => `a=1&${'__proto__[x]=1&'.repeat(random.between(1, 2000))}`,
  (random) =>
    `--b\r\nContent-Disposition: form-data; name="title"${random.oneOf(['', '; filename="x"', '\r\nContent-Length: 99999'])}\r\n\r\nx\r\n${random.oneOf(['--b--', '--b', ''])}`,
  (random) =>
    `--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{"query":"mutation { x }"}\r\n${'--b\r\n'.repeat(random.between(1, 1500))}`,
  () => '{"title":1e999,"priority":-0,"completed":"\\ud800"}',
  () => '{"query":"{__typename}","query":"{viewer{id}}","variables":"{}"}',
];
const TYPES = [
  'application/json',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=b',
  'multipart/form-data',
  'text/plain',
  'application/graphql',
  'application/json; charset=utf-16',
  ';',
  '',
  'a/b'.repeat(500),
];
const PATHS = [
  '/graphql',
  '/notes',
  '/notes/1',
  '/api/todos/1',
  '/api/posts/',
  '/api/posts/1/',
  '/api/chats/',
  '/auth/me/',
  '/auth/username/',
  '/auth/password/',
  '/auth/verify_token/',
  '/auth/refresh_token/',
  '/api/chats/0123456789ab4cd/messages/',
  '/',
  '/docs/',
  '/openapi.json',
  '/ready',
  '/%00',
  '/%ff',
  '/..%2f..',
  '/notes/%E0%A4%A',
  '//evil.example',
  '/graphql/__proto__',
  '/reset-password',
];
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY', 'M-SEARCH'];

async function sendBody(world, random) {
  const method = random.oneOf(['POST', 'POST', 'PUT', 'PATCH', 'DELETE']);
  const headers = {
    'content-type': random.chance(0.6) ? 'application/json' : random.oneOf(TYPES),
    ...addressOf(random),
  };
  await world.client.send('attack: body', anybody(world, random), {
    method,
    path: random.oneOf(PATHS),
    headers,
    body: random.oneOf(BODIES)(random),
    agent: ANEW,
  });
}

const HEADERS = {
  host: [
    '',
    'evil.example',
    'localhost:99999999',
    '[::1',
    'a@b',
    'x'.repeat(2000),
    '127.0.0.1, evil.example',
    'http://x/',
  ],
  'x-forwarded-host': ['evil.example', '', 'a b', 'x"onload=', ','.repeat(500), '__proto__'],
  'x-forwarded-proto': ['https', 'javascript', 'https,http', ''],
  'x-forwarded-for': [
    '',
    '::1',
    '::ffff:1.2.3.4',
    '999.1.1.1',
    'unknown',
    '1.1.1.1,'.repeat(800),
    '__proto__',
    '10.0.0.1:80',
    'fe80::1%eth0',
  ],
  forwarded: ['for=1.2.3.4;host=evil.example;proto=https'],
  origin: ['null', 'http://evil.example', '*', 'http://', 'file://', 'x'.repeat(3000)],
  'sec-fetch-site': ['cross-site', 'same-origin', 'x'],
  'content-type': TYPES,
  'content-encoding': ['gzip', 'br', 'x'],
  accept: [
    'application/xml',
    'text/event-stream',
    'a/b;q=x',
    ','.repeat(3000),
    '*/*;q=0',
    'multipart/mixed',
    'application/json; indent=999999',
  ],
  'accept-encoding': ['gzip;q=9', '*;q=0', 'x'.repeat(2000)],
  'idempotency-key': ['', 'x'.repeat(5000), '__proto__', 'one'],
  'last-event-id': ['', '__proto__', 'x'.repeat(3000), 'MQ', '0'],
  'if-none-match': ['*', '"x"'.repeat(500)],
  range: ['bytes=0-', 'bytes=-1', `bytes=${'0-1,'.repeat(1000)}`],
  expect: ['100-continue', '200-ok'],
  upgrade: ['h2c', 'websocket', 'x'],
  connection: ['keep-alive, upgrade', 'close', 'x'],
  'x-http-method-override': ['DELETE'],
  prefer: ['return=minimal', 'x'.repeat(3000)],
  cookie: ['tidings-session', 'a=b;'.repeat(2000), '__proto__=1; constructor=2', 'tidings-session="', 'sessionid=%'],
  'access-control-request-method': ['PATCH', 'x'],
  'x-request-id': ['x'.repeat(3000), '{"level":60}'],
};

async function sendHeaders(world, random) {
  const names = Object.keys(HEADERS).filter(() => random.chance(0.15));
  const junk = Object.fromEntries(
    names.map((name) => [
      name,
      random.chance(0.1)
        ? random
            .bytes(30)
            .toString('latin1')
            .replace(/[^ -~\xa0-\xff]/g, 'x')
        : random.oneOf(HEADERS[name]),
    ]),
  );
  // Which of several cookies counts, and whether one does, depends on the other headers: here credentials are in `Authorization` alone.
  const bearer = anybody(world, random);
  const viewer = bearer.headers?.authorization ? bearer : ANONYMOUS;
  const method = random.oneOf(['GET', 'POST', ...METHODS]);
  const body = method === 'POST' ? frame({ query: '{ viewer { id } todos { nodes { title } } }' }) : undefined;
  const headers = { ...(body && JSON_TYPE), ...addressOf(random), ...junk };
  await world.client.send('attack: headers', viewer, { method, path: random.oneOf(PATHS), headers, body, agent: ANEW });
}

async function guess(world, random) {
  const kind = 'attack: guesses';
  const [victim] = [random.oneOf(world.users)];
  const payload = Buffer.from(frame({ user_id: Number(victim.id), exp: 9e9 })).toString('base64url');
  const token = random.oneOf([
    `${victim.id}.${random.between(1e9, 2e9)}.${random.bytes(32).toString('base64url')}`,
    random.bytes(32).toString('hex'),
    `x.${payload}.y`,
    junkText(random),
    '',
  ]);
  const [query, variables] = random.oneOf([
    [
      'mutation ($input: ResetPasswordInput!) { resetPassword(input: $input) { __typename } }',
      { input: { token, newPassword: 'an intruder was here' } },
    ],
    ['mutation ($token: String!) { verifyEmail(token: $token) { __typename ... on User { username } } }', { token }],
    [
      'mutation ($token: String!) { refreshToken(refreshToken: $token) { __typename ... on TokenPair { token } } }',
      { token },
    ],
    [
      'mutation ($token: String!) { verifyToken(token: $token) { __typename ... on VerifiedToken { user { username } } } }',
      { token },
    ],
    ['mutation ($name: String!) { requestPasswordReset(username: $name) }', { name: victim.name }],
  ]);
  const { text } = await world.client.graphql(kind, { ...REFUSED, headers: {} }, query, variables, {
    headers: addressOf(random),
  });
  if (/"__typename":"(User|TokenPair|VerifiedToken)"/.test(text)) {
    world.oracle.breach(`A guessed token was taken: ${frame(variables)} ${text}`);
  }
}

/** Several sign-ups and sign-ins at once, each of which costs a hash. */
async function storm(world, random) {
  const one = async () => {
    const victim = random.oneOf(world.users);
    const headers = addressOf(random);
    const input = {
      username: random.chance(0.5) ? victim.name : junkText(random),
      password: random.chance(0.8) ? `wrong ${random.next()}` : junkText(random),
    };
    const [query, variables] = random.chance(0.5)
      ? [
          'mutation ($input: LoginInput!) { obtainToken(input: $input) { __typename ... on TokenPair { token } } }',
          { input },
        ]
      : [
          'mutation ($input: SignUpInput!) { signUp(input: $input) { __typename ... on User { email } } }',
          {
            input: {
              ...input,
              username: random.oneOf([victim.name.toUpperCase(), `storm${random.between(0, 1e6)}`, junkText(random)]),
            },
          },
        ];
    const { text } = await world.client.graphql('attack: storm', { ...REFUSED, headers: {} }, query, variables, {
      headers,
    });
    if (text.includes('"TokenPair"')) {
      world.oracle.breach(`Somebody signed in with a wrong password: ${frame(variables)}`);
    }
  };
  await Promise.all(Array.from({ length: random.between(1, 6) }, one));
}

async function persisted(world, random) {
  const query = random.oneOf(VALID);
  const hash = createHash('sha256').update(query).digest('hex');
  const extensions = {
    persistedQuery: {
      version: random.oneOf([1, 1, 1, 2, '1', null]),
      sha256Hash: random.oneOf([
        hash,
        hash.toUpperCase(),
        'x',
        '',
        '__proto__',
        random.bytes(32).toString('hex'),
        null,
        {},
      ]),
    },
  };
  const body = random.oneOf([
    { extensions },
    { query, extensions },
    { query: `${query} `, extensions },
    { documentId: random.oneOf([hash, '__proto__', '', 'x'.repeat(5000), 1]) },
    { extensions: { persistedQuery: junkValue(random) }, variables: junkVariables(random) },
  ]);
  await world.client.graphql(
    'attack: persisted query',
    anybody(world, random),
    '',
    {},
    { body: frame(body), headers: addressOf(random) },
  );
}

/** The keys of others, and one key for two requests: nobody gets the answer to somebody else. */
async function reuseKey(world, random) {
  const kind = 'attack: idempotency key';
  const user = world.someone();
  const viewer = world.isKeeper(user) ? ANONYMOUS : world.credentialOf(user);
  const key = `key ${random.between(0, 30)}`;
  const text = viewer === ANONYMOUS ? 'zqN0z' : `zqO${user}z`;
  if (random.chance(0.5)) {
    const input = { title: text, description: text, priority: random.between(0, 1) };
    const query =
      'mutation ($input: CreateNoteInput!, $key: String) { createNote(input: $input, idempotencyKey: $key) { __typename ... on Note { title owner { username } } } }';
    await world.client.graphql(kind, viewer, query, { input, key }, { headers: addressOf(random) });
    return;
  }
  const headers = { ...JSON_TYPE, ...addressOf(random), 'idempotency-key': key, prefer: 'return=minimal' };
  const body = frame({ title: text, description: text, priority: random.between(0, 1) });
  await world.client.send(kind, viewer, { method: 'POST', path: '/notes', headers, body });
}

export const HOSTILE = [
  [6, sendDocument],
  [5, sendVariables],
  [4, sendBody],
  [4, sendHeaders],
  [3, guess],
  [1, storm],
  [2, persisted],
  [2, reuseKey],
];
