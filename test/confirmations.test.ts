import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Row, startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';
import { SocketClient } from './kit/socket.ts';

const PASSWORD = 'a good long password';
const NEXT_PASSWORD = 'quite another password';
const WRONG = 'not the password';
const MAX = 3;
const MAX_PER_USER = 6;
const CHANGE = `mutation ($password: String!) {
  it: changePassword(input: { currentPassword: $password, newPassword: "${NEXT_PASSWORD}" }) {
    __typename ... on TokenPair { token } ... on ValidationError { fields { path } }
  }
}`;
const CLOSE = `mutation ($password: String!) {
  it: deactivateViewer(currentPassword: $password) { __typename ... on ValidationError { fields { path } } }
}`;

/** What became of a confirmation: the password was checked, or not. */
type Fate = 'right' | 'wrong' | 'refused';
type Transport = (who: Person, password: string) => Promise<Fate>;

let app: TestApp;
let count = 0;
beforeAll(async () => {
  app = await startApp({ MAX_FAILED_SIGN_INS: String(MAX), MAX_FAILED_SIGN_INS_PER_NAME: String(MAX_PER_USER) });
});
afterAll(() => app.close());

const newcomer = (): Promise<Person> => {
  count += 1;
  return app.signUp(`user${count}`);
};

function fateOf({ data, errors }: Row): Fate {
  if (errors) {
    expect(errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED', retryAfter: expect.any(Number) } }]);
    return 'refused';
  }
  if (data.it.__typename !== 'ValidationError') {
    return 'right';
  }
  expect(data.it.fields).toEqual([{ path: 'currentPassword' }]);
  return 'wrong';
}

const overGraphQL =
  (mutation: string): Transport =>
  async (who, password) =>
    fateOf(await who.ask(mutation, { password }));

const overSocket =
  (mutation: string): Transport =>
  async (who, password) => {
    const client = await SocketClient.open(app.url, who.authorization);
    // The change ends the credential of the socket, which may be closed before the result is sent.
    const ended = client.closed.then(({ code }): Fate => (code === 4403 ? 'right' : 'refused'));
    const fate = await Promise.race([client.execute(mutation, { password }).then(fateOf), ended]);
    client.raw.terminate();
    return fate;
  };

const overRest =
  (path: string, fields: Record<string, string> = {}): Transport =>
  async (who, password) => {
    const body = new URLSearchParams({ current_password: password, ...fields });
    const response = await who.fetch(path, { method: 'POST', body });
    if (response.status === 429) {
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
      return 'refused';
    }
    if (response.status === 204) {
      return 'right';
    }
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ current_password: ['Invalid password.'] });
    return 'wrong';
  };

const BY_TRANSPORT: readonly (readonly [string, Transport])[] = [
  ['changePassword', overGraphQL(CHANGE)],
  ['changePassword over WebSocket', overSocket(CHANGE)],
  ['deactivateViewer', overGraphQL(CLOSE)],
  ['deactivateViewer over WebSocket', overSocket(CLOSE)],
  ['POST /auth/password/', overRest('/auth/password/', { new_password: NEXT_PASSWORD })],
  ['POST /auth/username/', overRest('/auth/username/', { new_username: 'another-name' })],
  ['POST /auth/users/delete/', overRest('/auth/users/delete/')],
];

const times = <Value>(length: number, make: (index: number) => Value): Value[] =>
  Array.from({ length }, (_, index) => make(index));

const wrongOnes = (fates: readonly Fate[]): number => fates.filter((fate) => fate === 'wrong').length;

describe.each(BY_TRANSPORT)('confirming the present password (%s)', (_name, confirm) => {
  it('should be refused everywhere after too many failures, even with the right password', async () => {
    const who = await newcomer();
    for (const _ of times(MAX, String)) {
      expect(await confirm(who, WRONG)).toBe('wrong');
    }
    for (const [, other] of BY_TRANSPORT) {
      expect(await other(who, PASSWORD)).toBe('refused');
    }
  });

  it('should fail no more often than the limit, however many come at once', async () => {
    const who = await newcomer();
    const fates = await Promise.all(times(40, () => confirm(who, WRONG)));
    expect(wrongOnes(fates)).toBe(MAX);
  });

  it('should work after failures below the limit, and for everybody else', async () => {
    const [who, other] = [await newcomer(), await newcomer()];
    await Promise.all(times(2 * MAX, () => confirm(other, WRONG)));
    for (const _ of times(MAX - 1, String)) {
      expect(await confirm(who, WRONG)).toBe('wrong');
    }
    expect(await confirm(who, PASSWORD)).toBe('right');
  });
});

describe('the limit of confirmations', () => {
  const change = overGraphQL(CHANGE);

  it('should leave the session, signing in and the user’s other sessions alone', async () => {
    const thief = await newcomer();
    await Promise.all(times(4 * MAX, () => change(thief, WRONG)));
    expect(await change(thief, PASSWORD)).toBe('refused');
    expect((await thief.gql('{ viewer { username } }')).viewer).toEqual({ username: thief.username });
    const owner = await app.anonymous.signIn(thief.username, PASSWORD);
    expect(await change(owner, PASSWORD)).toBe('right');
    expect(await thief.codeOf('{ viewer { username } }')).toBe('UNAUTHENTICATED');
  });

  it('should be shared by all credentials of the user', async () => {
    const first = await newcomer();
    const sessions = await Promise.all(times(3, () => app.anonymous.signIn(first.username, PASSWORD)));
    const fates = await Promise.all(
      [first, ...sessions].flatMap((session) => times(2 * MAX, () => change(session, WRONG))),
    );
    expect(wrongOnes(fates)).toBe(MAX_PER_USER);
    const again = await app.anonymous.signIn(first.username, PASSWORD);
    expect(await change(again, PASSWORD)).toBe('refused');
  });

  it('should not be used up by failures to sign in, nor use those up', async () => {
    const who = await newcomer();
    const input = { username: who.username, password: WRONG };
    const OBTAIN = 'mutation ($input: LoginInput!) { obtainToken(input: $input) { __typename } }';
    await Promise.all(times(2 * MAX, () => app.anonymous.ask(OBTAIN, { input })));
    expect(await app.anonymous.codeOf(OBTAIN, { input })).toBe('RATE_LIMITED');
    expect(await change(who, PASSWORD)).toBe('right');
  });

  it('should not count a confirmation whose new password is refused', async () => {
    const who = await newcomer();
    const refused = overRest('/auth/password/', { new_password: '12345678' });
    for (const _ of times(2 * MAX, String)) {
      await expect(refused(who, PASSWORD)).rejects.toThrow('new_password');
    }
    expect(await change(who, PASSWORD)).toBe('right');
  });
});
