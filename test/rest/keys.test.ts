import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { contract, fresh, NOT_BLANK, NOT_NULL, NOT_TEXT, PASSWORD, perform, type World } from './wire.ts';

const POST_ONLY = { allow: 'POST, OPTIONS', challenge: 'Token' };
const KEY_ANSWER = /^\{"auth_token":"[0-9a-f]{40}"\}$/;
const UNABLE = { non_field_errors: ['Unable to login with provided credentials.'] };

let app: TestApp;
const world: World = {};

beforeAll(async () => {
  app = await startApp({ MAX_FAILED_SIGN_INS: '1000000' });
  Object.assign(world, { url: app.url });
  for (const username of ['ann', 'eve']) {
    world[username] = (await app.signUp(username)).authorization;
  }
  await app.sql('UPDATE "User" SET "isActive" = ? WHERE "username" = ?', false, 'eve');
});
afterAll(() => app.close());

describe('making a key', () => {
  const call = 'POST /auth/token/create/';
  contract('answers', () => world, POST_ONLY, [
    { name: 'JSON', call, json: { username: 'ann', password: PASSWORD }, status: 200, answer: KEY_ANSWER },
    {
      name: 'a form',
      call,
      form: `username=ann&password=${encodeURIComponent(PASSWORD)}`,
      status: 200,
      answer: KEY_ANSWER,
    },
    { name: 'a wrong password', call, json: { username: 'ann', password: 'wrong' }, status: 400, answer: UNABLE },
    { name: 'an unknown name', call, json: { username: 'nobody', password: PASSWORD }, status: 400, answer: UNABLE },
    { name: 'a closed account', call, json: { username: 'eve', password: PASSWORD }, status: 400, answer: UNABLE },
    { name: 'a missing name', call, json: { password: PASSWORD }, status: 400, answer: UNABLE },
    { name: 'a missing password', call, json: { username: 'ann' }, status: 400, answer: UNABLE },
    { name: 'nothing', call, status: 400, answer: UNABLE },
    {
      name: 'nulls',
      call,
      json: { username: null, password: null },
      status: 400,
      answer: { username: [NOT_NULL], password: [NOT_NULL] },
    },
    {
      name: 'an empty name',
      call,
      json: { username: '', password: PASSWORD },
      status: 400,
      answer: { username: [NOT_BLANK] },
    },
    { name: 'an empty password', call, form: 'username=ann&password=', status: 400, answer: { password: [NOT_BLANK] } },
    {
      name: 'what is no text',
      call,
      json: { username: {}, password: true },
      status: 400,
      answer: { username: [NOT_TEXT], password: [NOT_TEXT] },
    },
  ]);

  it('should give a new key each time, and older ones stay valid', async () => {
    const make = async (): Promise<string> =>
      JSON.parse((await perform({ call, json: { username: 'ann', password: PASSWORD } }, world)).text).auth_token;
    const keys = [await make(), await make()];
    expect(new Set(keys).size).toBe(2);
    for (const key of keys) {
      const headers = { authorization: `Token ${key}` };
      expect(await perform({ call: 'GET /auth/me/', headers }, world)).toMatchObject({ status: 200 });
    }
    const stored = await app.sql('SELECT * FROM "AuthToken"');
    expect(keys.some((key) => JSON.stringify(stored).includes(key))).toBe(false);
  });
});

describe('signing in too often with a wrong password', () => {
  it.each([
    ['obtain_token', {}],
    ['token/create', {}],
    ['obtain_token', { 'idempotency-key': '{new}' }],
    ['token/create', { 'idempotency-key': '{new}' }],
  ] as const)('should be refused for a while (%s, %j)', async (path, headers) => {
    const careful = await startApp({ MAX_FAILED_SIGN_INS: '3' });
    await careful.signUp('ann');
    const statuses: number[] = [];
    for (const password of ['a', 'b', 'c', 'd', PASSWORD]) {
      const json = { username: 'ann', password };
      const answer = await perform({ call: `POST /auth/${path}/`, headers, json }, { url: careful.url, new: fresh() });
      statuses.push(answer.status);
    }
    await careful.close();
    expect(statuses).toEqual([400, 400, 400, 429, 429]);
  });
});
