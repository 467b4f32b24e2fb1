import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Row, startApp, type TestApp } from './kit/app.ts';
import { Person } from './kit/person.ts';
import { startProcess } from './kit/process.ts';
import { SocketClient } from './kit/socket.ts';

const PASSWORD = 'a good long password';
const WRONG = 'not the password';
const LIMITS = { MAX_FAILED_SIGN_INS: '3', MAX_FAILED_SIGN_INS_PER_NAME: '6', MAX_FAILED_SIGN_INS_PER_ADDRESS: '30' };
const MAX = 3;
const MAX_PER_NAME = 6;
const MAX_PER_ADDRESS = 30;
const WINDOW_S = 300;
const OBTAIN = `mutation ($input: LoginInput!) {
  obtainToken(input: $input) { __typename ... on TokenPair { token refreshToken } ... on Error { message } }
}`;
const CREATE_KEY = `mutation ($input: LoginInput!) {
  createAuthToken(input: $input) { __typename ... on AuthTokenKey { authToken } ... on Error { message } }
}`;
const REFRESH = `mutation ($refreshToken: String!) { refreshToken(refreshToken: $refreshToken) { __typename } }`;

/** What became of an attempt: the password was checked, or not. */
type Fate = 'right' | 'wrong' | 'refused';
type Transport = (who: Person, username: string, password: string) => Promise<Fate>;

let app: TestApp;
let count = 0;
beforeAll(async () => {
  app = await startApp({ ...LIMITS, TRUST_PROXY: '1' });
});
afterAll(() => app.close());

/** An address that no other test uses. */
function newAddress(): string {
  count += 1;
  return `10.0.${count >> 8}.${count & 0xff}`;
}

/** Somebody without credentials, at an address that no other test uses. */
const visitor = (): Person => app.anonymous.from(newAddress());

/** An account whose user never signed in. */
async function newAccount(): Promise<string> {
  count += 1;
  const input = { username: `user${count}`, password: PASSWORD };
  await app.anonymous.gql('mutation ($input: SignUpInput!) { signUp(input: $input) { __typename } }', { input });
  return input.username;
}

function fateOf({ data, errors }: Row): Fate {
  if (errors) {
    expect(errors).toMatchObject([
      {
        message: expect.stringContaining('Too many failed attempts'),
        extensions: { code: 'RATE_LIMITED', retryAfter: expect.any(Number) },
      },
    ]);
    return 'refused';
  }
  const { __typename } = data.obtainToken ?? data.createAuthToken;
  return __typename === 'CredentialsError' ? 'wrong' : 'right';
}

const overGraphQL =
  (mutation: string): Transport =>
  async (who, username, password) =>
    fateOf(await who.ask(mutation, { input: { username, password } }));

const overRest =
  (path: string): Transport =>
  async (who, username, password) => {
    const { status } = await who.fetch(path, { method: 'POST', body: new URLSearchParams({ username, password }) });
    expect([200, 400, 429]).toContain(status);
    return status === 429 ? 'refused' : status === 200 ? 'right' : 'wrong';
  };

const overSocket: Transport = async ({ url, headers }, username, password) => {
  const client = await SocketClient.open(url, null, headers);
  const fate = fateOf(await client.execute(OBTAIN, { input: { username, password } }));
  await client.close();
  return fate;
};

const obtain = overGraphQL(OBTAIN);

const TRANSPORTS: Readonly<Record<string, Transport>> = {
  obtainToken: obtain,
  createAuthToken: overGraphQL(CREATE_KEY),
  'obtainToken over WebSocket': overSocket,
  'POST /auth/obtain_token/': overRest('/auth/obtain_token/'),
  'POST /auth/jwt/create/': overRest('/auth/jwt/create/'),
  'POST /api/auth/obtain_token/': overRest('/api/auth/obtain_token/'),
  'POST /auth/token/create/': overRest('/auth/token/create/'),
};
const BY_TRANSPORT = Object.entries(TRANSPORTS);

const times = <Value>(length: number, make: (index: number) => Value): Value[] =>
  Array.from({ length }, (_, index) => make(index));

const countOf = (fates: readonly Fate[], wanted: Fate): number => fates.filter((fate) => fate === wanted).length;

describe.each(BY_TRANSPORT)('attempts to sign in (%s)', (_name, attempt) => {
  it('should be refused by every transport after too many failures, even with the right password', async () => {
    const [username, who] = [await newAccount(), visitor()];
    for (const _ of times(MAX, String)) {
      expect(await attempt(who, username, WRONG)).toBe('wrong');
    }
    for (const [, other] of BY_TRANSPORT) {
      expect(await other(who, username.toUpperCase(), PASSWORD)).toBe('refused');
    }
    expect(await attempt(visitor(), username, PASSWORD)).toBe('right');
  });

  it('should be no more than the limit, however many come at once', async () => {
    const [username, who] = [await newAccount(), visitor()];
    const fates = await Promise.all(times(40, () => attempt(who, username, WRONG)));
    expect([countOf(fates, 'wrong'), countOf(fates, 'refused')]).toEqual([MAX, 40 - MAX]);
  });

  it('should not be counted when they succeed', async () => {
    const [username, who] = [await newAccount(), visitor()];
    for (const _ of times(MAX - 1, String)) {
      expect(await attempt(who, username, WRONG)).toBe('wrong');
    }
    for (const _ of times(2 * MAX, String)) {
      expect(await attempt(who, username, PASSWORD)).toBe('right');
    }
    expect(await attempt(who, username, WRONG)).toBe('wrong');
    expect(await attempt(who, username, PASSWORD)).toBe('refused');
  });

  it('should be bounded for one name, from however many addresses they come', async () => {
    const username = await newAccount();
    const fates = await Promise.all(times(4 * MAX_PER_NAME, () => attempt(visitor(), username, WRONG)));
    expect([countOf(fates, 'wrong'), countOf(fates, 'refused')]).toEqual([MAX_PER_NAME, 3 * MAX_PER_NAME]);
    expect(await attempt(visitor(), await newAccount(), PASSWORD)).toBe('right');
  });

  it('should be bounded for one address, with however many names they come', async () => {
    const who = visitor();
    const fates = await Promise.all(
      times(2 * MAX_PER_ADDRESS, (index) => attempt(who, `nobody${count}-${index}`, WRONG)),
    );
    expect([countOf(fates, 'wrong'), countOf(fates, 'refused')]).toEqual([MAX_PER_ADDRESS, MAX_PER_ADDRESS]);
    const username = await newAccount();
    expect(await attempt(who, username, PASSWORD)).toBe('refused');
    expect(await attempt(visitor(), username, PASSWORD)).toBe('right');
  });
});

describe('the limits of failed attempts', () => {
  it('should hold over many sockets at once', async () => {
    const [username, who] = [await newAccount(), visitor()];
    const sockets = await Promise.all(times(8, () => SocketClient.open(app.url, null, who.headers)));
    const input = { username, password: WRONG };
    const fates = await Promise.all(
      times(200, async (index) => fateOf(await sockets[index % 8]?.execute(OBTAIN, { input }))),
    );
    await Promise.all(sockets.map((socket) => socket.close()));
    expect(countOf(fates, 'wrong')).toBe(MAX);
  });

  it('should hold over several processes', async () => {
    const [username, who] = [await newAccount(), visitor()];
    const other = await startProcess({ ...app.databaseEnv, ...LIMITS, TRUST_PROXY: '1' });
    const there = new Person(other.url, null, '', who.headers);
    const fates = await Promise.all(times(60, (index) => obtain(index % 2 ? who : there, username, WRONG)));
    await other.stop();
    expect(countOf(fates, 'wrong')).toBe(MAX);
  });

  it('should treat names that nobody has alike', async () => {
    const who = visitor();
    for (const username of ['nobody', 'x'.repeat(5000), 'nul\0', '\ud83c', '']) {
      const fates = await Promise.all(times(3 * MAX, () => obtain(who, username, WRONG)));
      expect(countOf(fates, 'wrong')).toBe(MAX);
    }
  });

  it('should say when to try again', async () => {
    const [username, who] = [await newAccount(), visitor()];
    await Promise.all(times(MAX, () => obtain(who, username, WRONG)));
    const { headers, errors } = await who.ask(OBTAIN, { input: { username, password: PASSWORD } });
    const seconds = Number(headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(WINDOW_S - 60);
    expect(seconds).toBeLessThanOrEqual(WINDOW_S);
    expect(errors?.[0]?.extensions?.['retryAfter']).toBe(seconds);
    expect(errors?.[0]?.message).toContain(`${seconds} s`);
    for (const path of ['/auth/obtain_token/', '/auth/token/create/']) {
      const body = new URLSearchParams({ username, password: PASSWORD });
      const response = await who.fetch(path, { method: 'POST', body });
      expect(response.status).toBe(429);
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(WINDOW_S - 60);
      expect(await response.json()).toEqual({ detail: expect.stringContaining('Too many failed attempts') });
    }
    const specified = { accept: 'application/graphql-response+json', 'content-type': 'application/json' };
    const body = JSON.stringify({ query: OBTAIN, variables: { input: { username, password: PASSWORD } } });
    const response = await who.fetch('/graphql', { method: 'POST', headers: specified, body });
    expect(response.status).toBe(429);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(WINDOW_S - 60);
  });

  it('should begin anew when the window has passed, also one that a wrong clock has written', async () => {
    for (const resetsAt of [new Date(0), new Date('2099-01-01')]) {
      const [username, who] = [await newAccount(), visitor()];
      await Promise.all(times(MAX, () => obtain(who, username, WRONG)));
      expect(await obtain(who, username, PASSWORD)).toBe('refused');
      await app.app.services.database.rateLimit.updateMany({ where: { count: MAX }, data: { resetsAt } });
      const fates = await Promise.all(times(3 * MAX, () => obtain(who, username, WRONG)));
      expect(countOf(fates, 'wrong')).toBe(MAX);
    }
  });

  it('should give nothing back to a window that began after the attempt', async () => {
    const [username, who] = [await newAccount(), visitor()];
    const { rateLimit } = app.app.services.database;
    await rateLimit.deleteMany();
    const slow = obtain(who, username, PASSWORD);
    await expect.poll(() => rateLimit.count(), { interval: 1 }).toBeGreaterThanOrEqual(3);
    await rateLimit.updateMany({ data: { resetsAt: new Date(0) } });
    const fates = await Promise.all(times(3 * MAX, () => obtain(who, username, WRONG)));
    expect(await slow).toBe('right');
    expect(countOf(fates, 'wrong')).toBe(MAX);
    expect(await obtain(who, username, PASSWORD)).toBe('refused');
  });

  it('should leave open sessions alone', async () => {
    const username = await newAccount();
    const { obtainToken } = await visitor().gql(OBTAIN, { input: { username, password: PASSWORD } });
    const who = visitor();
    await Promise.all(times(4 * MAX_PER_ADDRESS, () => obtain(who, username, WRONG)));
    await Promise.all(times(4 * MAX_PER_NAME, () => obtain(visitor(), username, WRONG)));
    expect(await obtain(visitor(), username, PASSWORD)).toBe('refused');
    const person = who.with(`Bearer ${obtainToken.token}`);
    expect((await person.gql('{ viewer { username } }')).viewer).toEqual({ username });
    const { refreshToken } = await who.gql(REFRESH, { refreshToken: obtainToken.refreshToken });
    expect(refreshToken).toEqual({ __typename: 'TokenPair' });
  });

  it('should let users in from an address where they signed in lately, whoever guesses elsewhere', async () => {
    const [username, home] = [await newAccount(), visitor()];
    expect(await obtain(home, username, PASSWORD)).toBe('right');
    await Promise.all(times(3 * MAX_PER_NAME, () => obtain(visitor(), username, WRONG)));
    expect(await obtain(visitor(), username, PASSWORD)).toBe('refused');
    expect(await obtain(home, username, PASSWORD)).toBe('right');
    // That address has a limit, too.
    const fates = await Promise.all(times(3 * MAX, () => obtain(home, username, WRONG)));
    expect(countOf(fates, 'wrong')).toBe(MAX);
    expect(await obtain(home, username, PASSWORD)).toBe('refused');
  });

  it('should not count an attempt that one of them refuses against the others', async () => {
    const [username, who] = [await newAccount(), visitor()];
    await Promise.all(times(10 * MAX_PER_NAME, () => obtain(who, username, WRONG)));
    expect(await obtain(visitor(), username, PASSWORD)).toBe('right');
    expect(await obtain(who, await newAccount(), PASSWORD)).toBe('right');
  });

  it('should not be noticed by thirty people behind one address who mistype, with the defaults', {
    timeout: 120_000,
  }, async () => {
    const ordinary = await startApp({ TRUST_PROXY: '1' });
    const office = ordinary.anonymous.from('192.0.2.1');
    const fates: Fate[] = [];
    for (const index of times(30, Number)) {
      await ordinary.signUp(`person${index}`);
      const mistyped = times(5, () => obtain(office, `person${index}`, WRONG));
      fates.push(...(await Promise.all(mistyped)), await obtain(office, `person${index}`, PASSWORD));
    }
    await ordinary.close();
    expect([countOf(fates, 'wrong'), countOf(fates, 'right')]).toEqual([150, 30]);
  });
});

describe('the address of an attempt', () => {
  const failFrom = async (...addresses: readonly string[]): Promise<Fate[]> => {
    const username = await newAccount();
    const fates: Fate[] = [];
    for (const address of addresses) {
      fates.push(await obtain(app.anonymous.from(address), username, WRONG));
    }
    return fates;
  };
  const all = (fate: Fate): Fate[] => times(MAX, () => fate);

  it('should be the network of 64 bits for IPv6, however it is written', async () => {
    expect(
      await failFrom('2001:db8::1', '2001:DB8:0:0::ff', '2001:0db8::8:800:200c:417a', '2001:db8:0:0:1:2:3:4'),
    ).toEqual([...all('wrong'), 'refused']);
    expect(await failFrom('2001:db8::1', '2001:db8:1::1', '2001:db8:0:1::1', '2001:db9::')).toEqual([
      ...all('wrong'),
      'wrong',
    ]);
  });

  it('should be the same for IPv4 within IPv6', async () => {
    expect(await failFrom('192.0.2.7', '::ffff:192.0.2.7', '::FFFF:192.0.2.7', '192.0.2.7')).toEqual([
      ...all('wrong'),
      'refused',
    ]);
  });

  it.each([
    ['over HTTP', obtain],
    ['over WebSocket', overSocket],
  ] as const)('should be what the proxy adds, not what the client writes (%s)', async (_name, attempt) => {
    const [username, address] = [await newAccount(), newAddress()];
    const fates: Fate[] = [];
    for (const forged of ['192.0.2.1, ', '192.0.2.2,', '192.0.2.3, 192.0.2.4, ', '']) {
      fates.push(await attempt(app.anonymous.from(`${forged}${address}`), username, WRONG));
    }
    expect(fates).toEqual([...all('wrong'), 'refused']);
  });

  it('should be that of the connection where no proxy is trusted', async () => {
    const direct = await startApp(LIMITS);
    const fates: Fate[] = [];
    for (const attempt of [obtain, overSocket, obtain, overSocket]) {
      fates.push(await attempt(direct.anonymous.from(newAddress()), 'nobody', WRONG));
    }
    await direct.close();
    expect(fates).toEqual([...all('wrong'), 'refused']);
  });

  it('should be found behind as many proxies as there are', async () => {
    const farther = await startApp({ ...LIMITS, TRUST_PROXY: '2' });
    for (const attempt of [obtain, overSocket]) {
      const [username, address] = [`nobody${count}`, newAddress()];
      const fates: Fate[] = [];
      for (const index of times(MAX + 1, Number)) {
        const who = farther.anonymous.from(`192.0.2.${index}, ${address}, 198.51.100.${index}`);
        fates.push(await attempt(who, username, WRONG));
      }
      expect(fates).toEqual([...all('wrong'), 'refused']);
    }
    await farther.close();
  });
});
