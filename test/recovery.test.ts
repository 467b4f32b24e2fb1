import { type AddressInfo, createServer } from 'node:net';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { afterSeconds, startApp, type TestApp } from './kit/app.ts';
import { BROWSER_ARGUMENTS } from './kit/browser.ts';
import { type MailServer, type ReceivedMail, startMailServer } from './kit/mail-server.ts';
import type { Person } from './kit/person.ts';
import { describeWith } from './kit/present.ts';

const PUBLIC_URL = 'https://tidings.example.org';
const NEXT_PASSWORD = 'quite another password';
const REQUEST = 'mutation ($username: String!) { requestPasswordReset(username: $username) }';
const RESET = `mutation ($input: ResetPasswordInput!) {
  resetPassword(input: $input) { __typename ... on User { username } ... on Error { message } ... on ValidationError { fields { path message } } }
}`;
const VERIFY = `mutation ($token: String!) {
  verifyEmail(token: $token) { __typename ... on User { username } ... on Error { message } }
}`;
const PASSWORD = 'a good long password';
/** For how long the server waits for each answer of a mail server. */
const MAIL_TIMEOUT_MS = 10_000;
const UPDATE = `mutation ($email: String!) { updateViewer(input: { email: $email, currentPassword: "${PASSWORD}" }) { __typename } }`;
const UPDATE_ALONE = 'mutation ($email: String!) { updateViewer(input: { email: $email }) { __typename } }';
const ENDED = {
  __typename: 'CredentialsError',
  message: 'The link is invalid, has expired or was already used. Request a new one.',
};

const HEAD_START_MS = 8;

let mails: MailServer;
let app: TestApp;
let settings: Record<string, string>;

beforeAll(async () => {
  mails = await startMailServer();
  settings = { SMTP_URL: mails.url, MAIL_FROM: 'Tidings <tidings@example.org>', PUBLIC_URL };
  app = await startApp({ ...settings, TRUST_PROXY: '1' });
});
afterAll(async () => {
  await app.close();
  await mails.close();
});

async function signUpWithEmail(username: string, email = `${username}@example.org`): Promise<Person> {
  const person = await app.signUp(username);
  await person.gql(UPDATE, { email });
  return person;
}
const request = (username: string, person = app.anonymous) => person.gql(REQUEST, { username });
const reset = async (token: string, newPassword = NEXT_PASSWORD, person = app.anonymous) =>
  (await person.gql(RESET, { input: { token, newPassword } })).resetPassword;
const verify = async (token: string) => (await app.anonymous.gql(VERIFY, { token })).verifyEmail;
const tokenIn = ({ text = '' }: ReceivedMail) => /#token=(\S+)/.exec(text)?.[1] ?? '';
const mailedToken = async (username: string) => {
  await request(username);
  return tokenIn(await mails.next(`${username}@example.org`));
};
const stateOf = async (person: Person): Promise<boolean> =>
  (await person.gql('{ viewer { emailVerified } }')).viewer.emailVerified;

describe('somebody who has forgotten their password', () => {
  it('should be sent a link to the public URL that sets a new one', async () => {
    await signUpWithEmail('ann');
    await request('ANN');
    const mail = await mails.next('ann@example.org');
    expect(mail).toMatchObject({
      from: { name: 'Tidings', address: 'tidings@example.org' },
      to: [{ address: 'ann@example.org' }],
      subject: 'Set a new password',
    });
    expect(mail.text).toContain(`${PUBLIC_URL}/reset-password#token=`);
    expect(await reset(tokenIn(mail))).toEqual({ __typename: 'User', username: 'ann' });
    await app.anonymous.signIn('ann', NEXT_PASSWORD);
  });

  it('should end every credential of the account with the new password', async () => {
    const ben = await signUpWithEmail('ben');
    const { createAuthToken } = await app.anonymous.gql(
      `mutation ($input: LoginInput!) { createAuthToken(input: $input) { ... on AuthTokenKey { authToken } } }`,
      { input: { username: 'ben', password: PASSWORD } },
    );
    const key = ben.with(`Token ${createAuthToken.authToken}`);
    await key.gql('{ viewer { id } }');
    await reset(await mailedToken('ben'));
    for (const person of [ben, key]) {
      expect(await person.codeOf('{ viewer { id } }')).toBe('UNAUTHENTICATED');
    }
  });

  it('should be able to use a link once, of two attempts at the same moment, too', async () => {
    await signUpWithEmail('cleo');
    const token = await mailedToken('cleo');
    const other = await mailedToken('cleo');
    const results = await Promise.all([reset(token, NEXT_PASSWORD), reset(token, 'a third long password')]);
    expect(results.map(({ __typename }) => __typename).toSorted()).toEqual(['CredentialsError', 'User']);
    expect(await reset(token)).toEqual(ENDED);
    expect(await reset(other)).toEqual(ENDED);
  });

  it('should receive the problems of the new password, and keep the link valid', async () => {
    await signUpWithEmail('dana');
    const token = await mailedToken('dana');
    expect(await reset(token, 'dana')).toMatchObject({
      __typename: 'ValidationError',
      fields: expect.arrayContaining([expect.objectContaining({ path: 'newPassword' })]),
    });
    expect(await reset(token)).toMatchObject({ __typename: 'User' });
  });

  it('should find the link dead after a change of the password or of the address', async () => {
    const emil = await signUpWithEmail('emil');
    const token = await mailedToken('emil');
    await emil.gql(UPDATE, { email: 'other@example.org' });
    expect(await reset(token)).toEqual(ENDED);
    await emil.gql(UPDATE, { email: 'emil@example.org' });
    const { changePassword } = await emil.gql(
      `mutation { changePassword(input: { currentPassword: "${PASSWORD}", newPassword: "${NEXT_PASSWORD}" }) { __typename } }`,
    );
    expect(changePassword.__typename).toBe('TokenPair');
    expect(await reset(token)).toEqual(ENDED);
  });

  it('should not be able to make a link for somebody else, for longer, or for another purpose', async () => {
    const fay = await signUpWithEmail('fay');
    const guy = await signUpWithEmail('guy');
    const idOf = async (person: Person) => String((await person.gql('{ viewer { databaseId } }')).viewer.databaseId);
    const token = await mailedToken('fay');
    const [id, end, mac] = token.split('.');
    expect(id).toBe(await idOf(fay));
    await fay.gql('mutation { requestEmailVerification }');
    const verification = tokenIn(await mails.next('fay@example.org'));
    for (const forged of [
      `${await idOf(guy)}.${end}.${mac}`,
      `${id}.${Number(end) + 1}.${mac}`,
      `${id}.${end}.${mac?.slice(0, -1)}`,
      `${id}.${end}`,
      verification,
      '',
      '0.0.0',
      'é'.repeat(10_000),
    ]) {
      expect(await reset(forged)).toEqual(ENDED);
    }
    expect(await verify(token)).toEqual(ENDED);
    expect(await reset(token)).toMatchObject({ __typename: 'User' });
  });

  it('should find the link dead when its time is over', async () => {
    const short = await startApp({ ...settings, PASSWORD_RESET_LIFE_S: '60' });
    try {
      const hal = await short.signUp('hal');
      await hal.gql(UPDATE, { email: 'hal@example.org' });
      await request('hal', short.anonymous);
      const token = tokenIn(await mails.next('hal@example.org'));
      const resetLater = (seconds: number) => afterSeconds(seconds, () => reset(token, NEXT_PASSWORD, short.anonymous));
      expect(await resetLater(61)).toEqual(ENDED);
      expect(await resetLater(50)).toMatchObject({ __typename: 'User' });
    } finally {
      await short.close();
    }
  });

  it('should be answered alike whether there is such an account or not, before its mail is sent', async () => {
    await signUpWithEmail('ida');
    const release = mails.hold();
    try {
      for (const username of ['ida', 'nobody at all']) {
        expect(await request(username)).toEqual({ requestPasswordReset: true });
      }
      // Both answers are there, and the mail still waits.
      await expect.poll(mails.held, { timeout: 5000 }).toBe(1);
    } finally {
      release();
    }
    await mails.next('ida@example.org');
  });

  it('should be refused after too many requests for one name or in all from one address, with the time to try again', async () => {
    const limited = await startApp({
      ...settings,
      TRUST_PROXY: '1',
      MAX_MAILS_PER_USER: '2',
      MAX_MAILS_PER_ADDRESS: '3',
    });
    try {
      const asked = async (username: string, address: string) => {
        const { errors, headers } = await limited.anonymous.from(address).ask(REQUEST, { username });
        return errors ? [errors[0]?.extensions?.['code'], Number(headers.get('retry-after')) > 3500] : true;
      };
      const refused = ['RATE_LIMITED', true];
      expect([await asked('x', '192.0.2.1'), await asked('X', '192.0.2.1')]).toEqual([true, true]);
      expect(await asked('x', '192.0.2.1')).toEqual(refused);
      expect(await asked('x', '192.0.2.2')).toBe(true);
      const storm = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => asked(name, '192.0.2.9')));
      expect(storm.filter((answer) => answer === true)).toHaveLength(3);
      // Nobody stops the verification of somebody else by it.
      const wil = await limited.signUp('wil');
      await wil.gql(UPDATE, { email: 'wil@example.org' });
      for (let time = 0; time < 3; time++) {
        await asked('wil', '192.0.2.20');
      }
      await wil.from('192.0.2.21').gql('mutation { requestEmailVerification }');
    } finally {
      await limited.close();
    }
  });

  it('should be able to ask for one mail in an operation, whose answer comes before anything is looked up', async () => {
    await signUpWithEmail('vic');
    const { errors } = await app.anonymous.ask(
      'mutation ($u: String!) { a: requestPasswordReset(username: $u) b: requestPasswordReset(username: $u) }',
      { u: 'vic' },
    );
    expect(errors).toMatchObject([{ path: ['b'], extensions: { code: 'BAD_INPUT' } }]);
    await mails.next('vic@example.org');
    const statements = await app.statementsOf(() => request('vic'));
    expect(statements.length).toBeGreaterThan(0);
    expect(statements.filter((sql) => sql.includes('"User"'))).toEqual([]);
    await mails.next('vic@example.org');
  });

  it('should get no link at an address that was given without the password', async () => {
    const uma = await signUpWithEmail('uma');
    await uma.gql(UPDATE_ALONE, { email: 'thief@example.com' });
    const me = () => uma.gql('{ viewer { email resetEmail } }');
    expect((await me()).viewer).toEqual({ email: 'thief@example.com', resetEmail: 'uma@example.org' });
    const patched = await uma.fetch('/auth/me/', {
      method: 'PATCH',
      body: new URLSearchParams({ email: 'x@example.com' }),
    });
    expect(patched.status).toBe(200);
    expect((await me()).viewer).toEqual({ email: 'x@example.com', resetEmail: 'uma@example.org' });
    await request('uma');
    await mails.next('uma@example.org');
    expect(mails.received.flatMap(({ recipients }) => recipients)).not.toContain('x@example.com');
    const wrong =
      'mutation { updateViewer(input: { email: "y@example.com", currentPassword: "wrong" }) { __typename } }';
    expect((await uma.gql(wrong)).updateViewer.__typename).toBe('ValidationError');
    expect((await me()).viewer.email).toBe('x@example.com');
  });

  it('should not be undone by what the old password confirmed a moment before', async () => {
    const tim = await signUpWithEmail('tim');
    const token = await mailedToken('tim');
    const change = `mutation { changePassword(input: { currentPassword: "${PASSWORD}", newPassword: "the password of a thief" }) { __typename } }`;
    const thief = tim.ask(change);
    // The password is confirmed first where it takes less time than this, which it does at times: both orders are right.
    await pause(HEAD_START_MS);
    const owner = await reset(token);
    const { data, errors } = await thief;
    const isThiefs = data?.changePassword?.__typename === 'TokenPair';
    // One of the two succeeds, and the other one receives an error.
    expect([owner.__typename, errors?.[0]?.extensions?.['code']]).toEqual(
      isThiefs ? ['CredentialsError', undefined] : ['User', 'UNAUTHENTICATED'],
    );
    await app.anonymous.signIn('tim', isThiefs ? 'the password of a thief' : NEXT_PASSWORD);
  });

  it('should receive an error for a malformed token, whatever numbers it has', async () => {
    for (const [id, end] of [
      ['9999999999', '99999999999'],
      ['2147483648', '999999999999'],
      ['0', '99999999999'],
    ]) {
      const token = `${id}.${end}.${'A'.repeat(43)}`;
      expect(await reset(token)).toEqual(ENDED);
      expect(await verify(token)).toEqual(ENDED);
    }
  });

  it('should receive an error when the server sends no mails', async () => {
    const without = await startApp();
    try {
      const { errors } = await without.anonymous.ask(REQUEST, { username: 'ann' });
      expect(errors?.[0]).toMatchObject({
        message: 'This server is not configured to send mail. Contact its operator.',
        extensions: { code: 'BAD_INPUT' },
      });
    } finally {
      await without.close();
    }
  });

  it('should get no mail with a closed account, nor be signed in by an older link', async () => {
    const closing = await startApp(settings);
    const jo = await closing.signUp('jo');
    await jo.gql(UPDATE, { email: 'jo@example.org' });
    await request('jo', closing.anonymous);
    const token = tokenIn(await mails.next('jo@example.org'));
    await jo.gql(`mutation { deactivateViewer(currentPassword: "${PASSWORD}") { __typename } }`);
    expect(await reset(token, NEXT_PASSWORD, closing.anonymous)).toEqual(ENDED);
    await request('jo', closing.anonymous);
    // A server that stops sends the mails that wait.
    await closing.close();
    expect(mails.received.flatMap(({ recipients }) => recipients)).not.toContain('jo@example.org');
  });

  it('should get the mail when the mail server refuses it at first, and not again when that was for good', async () => {
    const own = await startApp(settings);
    for (const name of ['kim', 'lou']) {
      await (await own.signUp(name)).gql(UPDATE, { email: `${name}@example.org` });
    }
    mails.refuse(1, 451);
    await request('kim', own.anonymous);
    await mails.next('kim@example.org');
    mails.refuse(1, 550);
    await request('kim', own.anonymous);
    await expect.poll(mails.refusals, { timeout: 5000 }).toBe(0);
    // By the time that this one is there, the server has read the refusal.
    await request('lou', own.anonymous);
    await mails.next('lou@example.org');
    // A server that stops sends the mails that it would try again later.
    await own.close();
    expect(mails.received.flatMap(({ recipients }) => recipients)).not.toContain('kim@example.org');
  });
});

describe('a mail server that does not answer', () => {
  it('should neither hold up requests nor the stop of the server', async () => {
    let connections = 0;
    const silent = createServer(() => {
      connections += 1;
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const stuck = await startApp({ ...settings, SMTP_URL: `smtp://127.0.0.1:${port}` });
    const person = await stuck.signUp('olga');
    await person.gql(UPDATE, { email: 'olga@example.org' });
    await request('olga', stuck.anonymous);
    await expect.poll(() => connections, { timeout: 5000 }).toBe(1);
    const start = performance.now();
    for (let time = 0; time < 5; time++) {
      await request('olga', stuck.anonymous);
    }
    await stuck.close();
    expect(performance.now() - start).toBeLessThan(MAIL_TIMEOUT_MS);
    silent.close();
  });
});

describe('an email address', () => {
  it('should be verified by the link that is mailed to it, until it changes', async () => {
    const lea = await signUpWithEmail('lea');
    expect(await stateOf(lea)).toBe(false);
    await lea.gql('mutation { requestEmailVerification }');
    const mail = await mails.next('lea@example.org');
    expect(mail.text).toContain(`${PUBLIC_URL}/verify-email#token=`);
    const token = tokenIn(mail);
    expect(await verify(token)).toEqual({ __typename: 'User', username: 'lea' });
    expect(await stateOf(lea)).toBe(true);
    expect(await verify(token)).toMatchObject({ __typename: 'User' });
    await lea.gql(UPDATE, { email: 'lea@example.com' });
    expect(await stateOf(lea)).toBe(false);
    expect(await verify(token)).toEqual(ENDED);
  });

  it('should be asked for by its user alone, when there is one', async () => {
    expect(await app.anonymous.codeOf('mutation { requestEmailVerification }')).toBe('UNAUTHENTICATED');
    const max = await app.signUp('max');
    expect(await max.codeOf('mutation { requestEmailVerification }')).toBe('VALIDATION');
    const lea = await app.signUp('mia');
    const { user } = await lea.gql('{ user(username: "max") { emailVerified } }');
    expect(user.emailVerified).toBeNull();
  });

  it('should get no more mails than are allowed, however many accounts name it', async () => {
    const shared = 'shared@example.org';
    const limited = await startApp({ ...settings, MAX_MAILS_PER_USER: '2' });
    try {
      for (const [index, name] of ['one', 'two', 'three'].entries()) {
        const person = await limited.signUp(name);
        await person.gql(UPDATE, { email: index === 0 ? 'Shared@example.org' : shared });
        await person.gql('mutation { requestEmailVerification }');
      }
    } finally {
      // Sends the mails that wait.
      await limited.close();
    }
    expect(mails.received.filter(({ recipients }) => recipients[0]?.toLowerCase() === shared)).toHaveLength(2);
  });
});

describeWith('chromium', 'somebody who follows a link in a mail', (executablePath) => {
  it('should set a password and confirm an address on pages of this server alone', async () => {
    const nat = await signUpWithEmail('nat');
    await nat.gql('mutation { requestEmailVerification }');
    const verification = tokenIn(await mails.next('nat@example.org'));
    const token = await mailedToken('nat');
    const browser = await chromium.launch({ executablePath, args: BROWSER_ARGUMENTS });
    try {
      const page = await browser.newPage();
      const complaints: string[] = [];
      const requested: string[] = [];
      page.on('console', (message) => /error|warning/.test(message.type()) && complaints.push(message.text()));
      page.on('pageerror', ({ message }) => complaints.push(message));
      page.on('request', (request) => requested.push(request.url()));
      await page.goto(`${app.url}/verify-email#token=${verification}`);
      await page.getByRole('button').click();
      await expect.poll(() => page.getByRole('status').textContent()).toBe('Your email address is confirmed.');
      expect(await stateOf(nat)).toBe(true);
      await page.goto(`${app.url}/reset-password#token=${token}`);
      await page.getByLabel('New password').fill('password1');
      await page.getByRole('button').click();
      await expect.poll(() => page.getByRole('status').textContent()).toMatch(/too common/);
      await page.getByLabel('New password').fill(NEXT_PASSWORD);
      await page.getByRole('button').click();
      await expect.poll(() => page.getByRole('status').textContent()).toBe('Your password is set. Sign in with it.');
      await app.anonymous.signIn('nat', NEXT_PASSWORD);
      await page.goto(`${app.url}/reset-password`);
      await expect.poll(() => page.getByRole('status').textContent()).toMatch(/not complete/);
      expect(complaints).toEqual([]);
      expect(requested.filter((url) => new URL(url).origin !== app.url || url.includes(token))).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});
