import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';

const PASSWORD = 'a good long password';
const OBTAIN = `mutation ($input: LoginInput!) {
  obtainToken(input: $input) { __typename ... on Error { message } }
}`;

let app: TestApp;
beforeAll(async () => {
  app = await startApp({ MAX_FAILED_SIGN_INS: '3' });
});
afterAll(() => app.close());

const fail = (username: string): Promise<unknown> =>
  app.anonymous.gql(OBTAIN, { input: { username, password: 'not the password' } });
const codeOf = (username: string): Promise<string | undefined> =>
  app.anonymous.codeOf(OBTAIN, { input: { username, password: PASSWORD } });

describe('after too many failed attempts to sign in', () => {
  it('should not even look at the right password, by any door', async () => {
    await app.signUp('ann');
    for (let count = 0; count < 3; count += 1) {
      await fail('ann');
    }
    expect(await codeOf('ann')).toBe('RATE_LIMITED');
    expect(await codeOf('ANN')).toBe('RATE_LIMITED');
    for (const path of ['/auth/obtain_token/', '/auth/token/create/']) {
      const response = await app.anonymous.fetch(path, {
        method: 'POST',
        body: new URLSearchParams({ username: 'ann', password: PASSWORD }),
      });
      expect(response.status).toBe(429);
      expect(await response.json()).toEqual({ detail: expect.stringContaining('Too many failed attempts') });
    }
  });

  it('should treat names that nobody has alike, and leave other names alone', async () => {
    await app.signUp('ben');
    for (let count = 0; count < 3; count += 1) {
      await fail('nobody');
    }
    expect(await codeOf('nobody')).toBe('RATE_LIMITED');
    const { obtainToken } = await app.anonymous.gql(OBTAIN, { input: { username: 'ben', password: PASSWORD } });
    expect(obtainToken).toMatchObject({ __typename: 'TokenPair' });
  });

  it('should count failures that come all at once', async () => {
    await app.signUp('cleo');
    await Promise.all(
      Array.from({ length: 6 }, () => app.anonymous.ask(OBTAIN, { input: { username: 'cleo', password: 'no' } })),
    );
    expect(await codeOf('cleo')).toBe('RATE_LIMITED');
  });

  it('should let the user try again when the window has passed', async () => {
    await app.signUp('dan');
    for (let count = 0; count < 3; count += 1) {
      await fail('dan');
    }
    expect(await codeOf('dan')).toBe('RATE_LIMITED');
    await app.app.services.database.rateLimit.updateMany({ data: { resetsAt: new Date(0) } });
    const { obtainToken } = await app.anonymous.gql(OBTAIN, { input: { username: 'dan', password: PASSWORD } });
    expect(obtainToken).toMatchObject({ __typename: 'TokenPair' });
  });
});
