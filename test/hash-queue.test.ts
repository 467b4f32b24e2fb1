import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import type { GraphQLAnswer, Person } from './kit/person.ts';
import { SocketClient } from './kit/socket.ts';

const PASSWORD = 'a good long password';
const NAMES = ['ann', 'ben', 'cleo', 'dan'] as const;
/** About twice as many as src/accounts/hash-queue.ts computes and lets wait. */
const CROWD = 200 * Math.max(1, availableParallelism() - 1);
/** How many requests of a kind meet the full queue: far more than the slots that become free in the meantime. */
const LATECOMERS = 40;
/** For a queue that a loaded machine empties slowly, in milliseconds. */
const DEADLINE_MS = 100_000;
const TIMEOUT_MS = 120_000;

const SIGN_UP = `mutation ($input: SignUpInput!, $key: String) {
  signUp(input: $input, idempotencyKey: $key) { __typename ... on User { username } }
}`;
const OBTAIN = `mutation ($input: LoginInput!) {
  obtainToken(input: $input) { __typename ... on TokenPair { token user { username } } }
}`;
const REFUSAL = {
  message: 'Too many passwords are being checked. Try again in a few seconds.',
  extensions: { code: 'RATE_LIMITED' },
};

/** A positive number of seconds, as `Retry-After` has it. */
const SECONDS = /^[1-9]\d*$/;

let app: TestApp;
let people: readonly Person[];

beforeAll(async () => {
  app = await startApp({ MAX_FAILED_SIGN_INS: '1000000', SOCKET_MAX_SUBSCRIPTIONS: '100000' });
  people = await Promise.all(NAMES.map((name) => app.signUp(name)));
});
afterAll(() => app.close());

const nameOf = (index: number): string => NAMES[index % NAMES.length] ?? '';
const login = (username: string) => ({ input: { username, password: PASSWORD } });
const usernames = async (prefix: string): Promise<string[]> => {
  const rows = await app.sql('SELECT "username" FROM "User" WHERE "username" LIKE ? ORDER BY "id"', `${prefix}%`);
  return rows.map((row) => row['username']);
};

interface Crowd {
  /** Resolves with the first refusal: the queue is full. Without one, when all are answered. */
  readonly full: Promise<void>;
  /** How many of those who got in have their answer. */
  readonly countDone: () => number;
  /** Every answer, in the order of the operations. */
  readonly answers: Promise<readonly { username: string; data?: Record<string, unknown> | null; errors?: unknown }[]>;
}

/** Sends the same operation for many users in one go over one WebSocket, which brings them to the server faster than requests. */
async function crowd(query: string, usernameOf: (index: number) => string): Promise<Crowd> {
  const socket = await SocketClient.open(app.url, null);
  let countDone = 0;
  let setFull = (): void => undefined;
  const full = new Promise<void>((resolve) => {
    setFull = resolve;
  });
  const operations = Array.from({ length: CROWD }, (_, index) => {
    const username = usernameOf(index);
    return { username, operation: socket.start(query, login(username)) };
  });
  const answers = Promise.all(
    operations.map(async ({ username, operation }) => {
      const answer = await operation.results.next(`answer for ${username}`, DEADLINE_MS);
      if (answer.errors) {
        setFull();
      } else {
        countDone += 1;
      }
      return { username, ...answer };
    }),
  ).finally(() => {
    setFull();
    return socket.close();
  });
  return { full, countDone: () => countDone, answers };
}

const latecomers = <Result>(make: (index: number) => Promise<Result>): Promise<Result[]> =>
  Promise.all(Array.from({ length: LATECOMERS }, (_, index) => make(index)));

/** Sends latecomers over REST, expects each of them to be refused or answered with the status, and returns how many were refused. */
async function countRefused(expected: number, send: (index: number) => Promise<Response>): Promise<number> {
  const responses = await latecomers(send);
  const refused = responses.filter(({ status }) => status === 429);
  for (const response of refused) {
    expect(response.headers.get('retry-after')).toMatch(SECONDS);
    expect(await response.json()).toEqual({ detail: REFUSAL.message });
  }
  for (const response of responses.filter(({ status }) => status !== 429)) {
    expect(response.status).toBe(expected);
    expect(response.headers.get('retry-after')).toBeNull();
  }
  return refused.length;
}

describe('more passwords than the queue of hashes takes', { timeout: TIMEOUT_MS }, () => {
  it('should be refused at once over a WebSocket, and the sign-ins that got in answered', async () => {
    const { full, countDone, answers } = await crowd(OBTAIN, nameOf);
    await full;
    const doneWhenFull = countDone();
    const settled = await answers;
    const refused = settled.filter(({ errors }) => errors !== undefined);
    const done = settled.filter(({ errors }) => errors === undefined);
    expect(refused.length).toBeGreaterThan(0);
    expect(done.length).toBeGreaterThan(doneWhenFull);
    for (const { errors } of refused) {
      expect(errors).toMatchObject([REFUSAL]);
      expect(JSON.stringify(errors)).not.toContain('"http"');
    }
    for (const { username, data } of done) {
      expect(data).toMatchObject({ obtainToken: { __typename: 'TokenPair', user: { username } } });
    }
    expect((await app.anonymous.signIn('ann', PASSWORD)).username).toBe('ann');
  });

  it('should be those for names that nobody has as well, so that their answers take as long', async () => {
    const { answers } = await crowd(OBTAIN, (index) => `nobody${index}`);
    const settled = await answers;
    const refused = settled.filter(({ errors }) => errors !== undefined);
    // A server that compares no password where there is no user would have refused none.
    expect(refused.length).toBeGreaterThan(0);
    for (const { data, errors } of settled) {
      const answer = errors ?? data;
      expect(answer).toMatchObject(errors ? [REFUSAL] : { obtainToken: { __typename: 'CredentialsError' } });
    }
  });

  it('should be refused as sign-ups, of which exactly those that got in make accounts', async () => {
    const { answers } = await crowd(SIGN_UP, (index) => `eve${index}`);
    const settled = await answers;
    const made = settled.filter(({ errors }) => errors === undefined);
    const refused = settled.find(({ errors }) => errors !== undefined);
    expect(made.length).toBeGreaterThan(0);
    for (const { username, data } of made) {
      expect(data).toEqual({ signUp: { __typename: 'User', username } });
    }
    expect((await usernames('eve')).toSorted()).toEqual(made.map(({ username }) => username).toSorted());
    const { signUp } = await app.anonymous.gql(SIGN_UP, login(refused?.username ?? ''));
    expect(signUp).toEqual({ __typename: 'User', username: refused?.username });
    await app.anonymous.signIn(made.at(-1)?.username ?? '', PASSWORD);
  });

  it('should leave all other requests answered meanwhile', async () => {
    const [ann] = people as [Person];
    const socket = await SocketClient.open(app.url, ann.authorization);
    const { full, countDone, answers } = await crowd(SIGN_UP, (index) => `fay${index}`);
    await full;
    expect(await app.anonymous.gql('{ __typename }')).toEqual({ __typename: 'Query' });
    expect(await ann.gql('{ viewer { username } }')).toEqual({ viewer: { username: 'ann' } });
    expect(await socket.execute('{ viewer { username } }')).toMatchObject({ data: { viewer: { username: 'ann' } } });
    const created = await ann.gql('mutation { createTodo(input: { title: "tea" }) { ... on Todo { title } } }');
    expect(created.createTodo.title).toBe('tea');
    for (const path of ['/health', '/ready', '/auth/me/']) {
      expect((await ann.fetch(path)).status).toBe(200);
    }
    const doneMeanwhile = countDone();
    const settled = await answers;
    expect(settled.filter(({ errors }) => errors === undefined).length).toBeGreaterThan(doneMeanwhile);
    await socket.close();
  });

  it.each([
    // What GraphQL over HTTP asks for: a well-formed request is answered 200 in the older media type.
    ['application/json', 200],
    ['application/graphql-response+json', 429],
  ])('should be refused over HTTP with Retry-After, as %s with the status %i', async (accept, status) => {
    const prefix = `gus-${status}-`;
    const send = async (query: string, variables: Record<string, unknown>) => {
      const headers = { 'content-type': 'application/json', accept };
      const response = await app.anonymous.fetch('/graphql', {
        method: 'POST',
        headers,
        body: JSON.stringify({ query, variables }),
      });
      const { data, errors } = (await response.json()) as GraphQLAnswer;
      return { response, data, errors };
    };
    const { full, answers } = await crowd(SIGN_UP, (index) => `hal-${status}-${index}`);
    await full;
    const groups = await Promise.all([
      latecomers(async (index) => ({
        ...(await send(OBTAIN, login(nameOf(index)))),
        expected: { obtainToken: { __typename: 'TokenPair', user: { username: nameOf(index) } } },
      })),
      latecomers(async (index) => ({
        ...(await send(SIGN_UP, { ...login(prefix + index), key: prefix + index })),
        expected: { signUp: { __typename: 'User', username: prefix + index } },
      })),
    ]);
    for (const group of groups) {
      const refused = group.filter(({ errors }) => errors !== undefined);
      expect(refused.length).toBeGreaterThan(0);
      for (const { response, errors } of refused) {
        expect(errors).toMatchObject([REFUSAL]);
        expect(response.status).toBe(status);
        expect(response.headers.get('retry-after')).toMatch(SECONDS);
      }
      for (const { response, data, expected } of group.filter(({ errors }) => errors === undefined)) {
        expect(response.status).toBe(200);
        expect(response.headers.get('retry-after')).toBeNull();
        expect(data).toMatchObject(expected);
      }
    }
    await answers;
    // A refusal is not kept as the answer of an idempotency key.
    const username = prefix + groups[1].findIndex(({ errors }) => errors !== undefined);
    const again = await app.anonymous.gql(SIGN_UP, { ...login(username), key: username });
    expect(again).toEqual({ signUp: { __typename: 'User', username } });
  });

  it('should be refused by the REST paths with 429 and Retry-After', async () => {
    const [ann] = people as [Person];
    const { full, answers } = await crowd(SIGN_UP, (index) => `ida${index}`);
    await full;
    const wrong = { current_password: 'not the password' };
    const post = (person: Person, path: string, body: Record<string, string>): Promise<Response> =>
      person.fetch(path, { method: 'POST', body: new URLSearchParams(body) });
    const newcomer = (index: number) => `joe${index}`;
    const refusals = await Promise.all([
      countRefused(200, (index) => post(app.anonymous, '/auth/obtain_token/', login(nameOf(index)).input)),
      countRefused(200, (index) => post(app.anonymous, '/auth/token/create/', login(nameOf(index)).input)),
      countRefused(201, (index) => post(app.anonymous, '/auth/users/create/', login(newcomer(index)).input)),
      // A wrong password, so that those who get in change nothing for the others.
      countRefused(400, () => post(ann, '/auth/password/', { ...wrong, new_password: 'quite another password' })),
      countRefused(400, () => post(ann, '/auth/username/', { ...wrong, new_username: 'anna' })),
      countRefused(400, () => post(ann, '/auth/users/delete/', wrong)),
    ]);
    expect(Math.min(...refusals)).toBeGreaterThan(0);
    expect(await usernames('joe')).toHaveLength(LATECOMERS - (refusals[2] ?? 0));
    await answers;
    for (const [path, body, status] of [
      ['/auth/obtain_token/', login('ann').input, 200],
      ['/auth/token/create/', login('ben').input, 200],
      ['/auth/users/create/', login('kim').input, 201],
    ] as const) {
      expect((await post(app.anonymous, path, body)).status).toBe(status);
    }
    expect((await ann.gql('{ viewer { username } }')).viewer.username).toBe('ann');
  });
});
