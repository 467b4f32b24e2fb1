import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { cookiesOf, Person, pageHeaders, SIGN_IN, signInPage } from './kit/person.ts';
import { RawSocket, SocketClient } from './kit/socket.ts';

const PASSWORD = 'a good long password';
const ME = '{ viewer { username } }';
const DAY_S = 86_400;
const CLEARED = [['', 0]];

let app: TestApp;
let count = 0;
beforeAll(async () => {
  app = await startApp({ MAX_FAILED_SIGN_INS: '1000' });
});
afterAll(() => app.close());

async function newPerson(): Promise<Person> {
  count += 1;
  return app.signUp(`user${count}`);
}

const newPage = async (): Promise<Person> => signInPage(app.url, (await newPerson()).username);
const isCleared = (answer: { headers: Headers }) => cookiesOf(answer).map(({ value, maxAge }) => [value, maxAge]);
const input = (username: string) => ({ input: { username, password: PASSWORD } });

describe('a cookie that is not accepted', () => {
  it.each(['x', '', 'A'.repeat(43), '%00', `${'A'.repeat(5000)}`])(
    'should be refused and cleared: %.20s',
    async (value) => {
      const page = new Person(app.url, null, '', pageHeaders(app.url, `tidings-session=${value}`));
      const answer = await page.ask(ME);
      if (value === '') {
        expect(answer.data).toEqual({ viewer: null });
        return;
      }
      expect(answer.errors?.[0]?.extensions?.['code']).toBe('UNAUTHENTICATED');
      expect(isCleared(answer)).toEqual(CLEARED);
    },
  );

  it('should not keep a browser from signing up, signing in and out, or GraphiQL', async () => {
    count += 1;
    const username = `user${count}`;
    const page = new Person(app.url, null, '', pageHeaders(app.url, `tidings-session=${'A'.repeat(43)}`));
    const signUp = 'mutation ($input: SignUpInput!) { signUp(input: $input) { __typename } }';
    expect(await page.gql(signUp, input(username))).toEqual({ signUp: { __typename: 'User' } });
    expect(isCleared(await page.ask('mutation { signOut }'))).toEqual(CLEARED);
    const answer = await page.ask(SIGN_IN, input(username));
    expect(answer.data?.signIn.username).toBe(username);
    expect(cookiesOf(answer).map(({ maxAge }) => maxAge)).toEqual([90 * DAY_S]);
    const html = await page.fetch('/graphql', { headers: { accept: 'text/html' } });
    expect(html.status).toBe(200);
    await html.text();
  });

  it('should be refused by REST paths with 401, and ignored by those that ignore credentials', async () => {
    const { username } = await newPerson();
    const page = new Person(app.url, null, '', pageHeaders(app.url, `tidings-session=${'A'.repeat(43)}`));
    const list = await page.fetch('/notes');
    expect(list.status).toBe(401);
    await list.text();
    expect(isCleared(list)).toEqual(CLEARED);
    const body = new URLSearchParams({ username, password: PASSWORD });
    const token = await page.fetch('/auth/obtain_token/', { method: 'POST', body });
    expect(token.status).toBe(200);
    await token.text();
  });

  it('should close sockets with 4403', async () => {
    const headers = pageHeaders(app.url, `tidings-session=${'A'.repeat(43)}`);
    await expect(SocketClient.open(app.url, null, headers)).rejects.toThrow('4403 The session has ended');
    const legacy = new RawSocket(`${app.url}/ws/subscribe/`, { headers });
    expect(await legacy.closed).toMatchObject({ code: 4403 });
  });
});

describe('an Authorization header', () => {
  it('should take precedence over the cookie, refused or not, from any page', async () => {
    const [ann, page] = [await newPerson(), await newPage()];
    const both = (authorization: string, origin = app.url) =>
      new Person(app.url, authorization, '', { ...page.headers, origin });
    expect((await both(ann.authorization ?? '').gql(ME)).viewer.username).toBe(ann.username);
    expect((await both(ann.authorization ?? '', 'https://evil.example').gql(ME)).viewer.username).toBe(ann.username);
    expect(await both('Bearer x').codeOf(ME)).toBe('UNAUTHENTICATED');
    expect(cookiesOf(await both('Bearer x').ask(ME))).toEqual([]);
    // That of a proxy is none of ours.
    expect((await both('Basic eDp5').gql(ME)).viewer.username).toBe(page.username);
    const socket = await SocketClient.open(app.url, ann.authorization, page.headers);
    expect((await socket.execute(ME)).data.viewer.username).toBe(ann.username);
    await socket.close();
  });

  it('should sign out its own session, and leave the cookie alone', async () => {
    const page = await newPage();
    const ann = await newPerson();
    const both = new Person(app.url, ann.authorization, '', page.headers);
    expect(cookiesOf(await both.ask('mutation { signOut }'))).toEqual([]);
    expect(await ann.codeOf(ME)).toBe('UNAUTHENTICATED');
    expect((await page.gql(ME)).viewer.username).toBe(page.username);
  });
});
