import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Row, startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';
import { SocketClient } from './kit/socket.ts';

const PASSWORD = 'a good long password';
const CREATE = `mutation ($title: String!, $key: String!) {
  it: createTodo(input: { title: $title }, idempotencyKey: $key) { ... on Todo { id } }
}`;

/** Makes something, and gives the id of what was made, or `mismatch`. */
type Make = (who: Person, key: string, title: string) => Promise<string>;

let app: TestApp;
let ann: Person;
beforeAll(async () => {
  app = await startApp({ TRUST_PROXY: '1' });
  ann = await app.signUp('ann');
});
afterAll(() => app.close());

function idOf({ data, errors }: Row): string {
  if (errors) {
    expect(errors).toMatchObject([{ extensions: { code: 'IDEMPOTENCY_MISMATCH' } }]);
    return 'mismatch';
  }
  return data.it.id;
}

const overHttp: Make = async (who, key, title) => idOf(await who.ask(CREATE, { title, key }));

const overSocket: Make = async ({ url, authorization, headers }, key, title) => {
  const client = await SocketClient.open(url, authorization, headers);
  const id = idOf(await client.execute(CREATE, { title, key }));
  await client.close();
  return id;
};

const overRest: Make = async (who, key, title) => {
  const response = await who.fetch('/notes', {
    method: 'POST',
    headers: { 'idempotency-key': key, 'content-type': 'application/json' },
    body: JSON.stringify({ title, description: '', priority: 1 }),
  });
  expect([201, 422]).toContain(response.status);
  return response.status === 201 ? (response.headers.get('location') ?? '') : 'mismatch';
};

describe.each([
  ['GraphQL over HTTP', overHttp],
  ['GraphQL over WebSocket', overSocket],
  ['REST', overRest],
])('a key without a credential (%s)', (_name, make) => {
  const [here, there] = ['192.0.2.1', '198.51.100.1'];

  it('should stand for one address: the same key from another one is another key', async () => {
    const key = randomUUID();
    const first = await make(app.anonymous.from(here), key, 'one');
    const second = await make(app.anonymous.from(there), key, 'one');
    expect(new Set([first, second, 'mismatch']).size).toBe(3);
    expect(await make(app.anonymous.from(here), key, 'one')).toBe(first);
    expect(await make(app.anonymous.from(there), key, 'one')).toBe(second);
  });

  it('should not reveal to another address that it is in use', async () => {
    const key = randomUUID();
    await make(app.anonymous.from(here), key, 'one');
    expect(await make(app.anonymous.from(there), key, 'another')).not.toBe('mismatch');
    expect(await make(app.anonymous.from(here), key, 'another')).toBe('mismatch');
  });

  it('should be no user’s key, whatever the user’s address', async () => {
    const key = randomUUID();
    const first = await make(app.anonymous.from(here), key, 'one');
    const own = await make(ann.from(here), key, 'one');
    expect(own).not.toBe(first);
    expect(await make(ann.from(there), key, 'one')).toBe(own);
    expect(await make(ann.from(there), key, 'another')).toBe('mismatch');
  });

  it('should stand for one address when requests come at once', async () => {
    const key = randomUUID();
    const made = await Promise.all(
      Array.from({ length: 20 }, (_, index) => make(app.anonymous.from(index % 2 ? here : there), key, 'one')),
    );
    expect(new Set(made).size).toBe(2);
  });
});

describe('the fingerprint of a request', () => {
  it('should be one that nobody without the server’s secret can compute', async () => {
    const input = { username: 'ben', password: PASSWORD };
    const path = '/auth/token/create/';
    await app.signUp('ben');
    await app.anonymous.gql(
      'mutation ($input: LoginInput!, $key: String!) { createAuthToken(input: $input, idempotencyKey: $key) { __typename } }',
      { input, key: randomUUID() },
    );
    for (const key of [randomUUID(), randomUUID()]) {
      const headers = { 'idempotency-key': key };
      const response = await app.anonymous.fetch(path, { method: 'POST', headers, body: new URLSearchParams(input) });
      expect(response.status).toBe(200);
    }
    const rows = await app.sql('SELECT "fingerprint" FROM "IdempotencyKey"');
    const fingerprints = rows.map((row) => row['fingerprint']);
    expect(new Set(fingerprints).size).toBe(fingerprints.length);
    for (const request of [
      ['createAuthToken', { input }],
      ['POST', path, input],
    ]) {
      const plain = createHash('sha256').update(JSON.stringify(request)).digest('hex');
      expect(fingerprints).not.toContain(plain);
    }
  });
});
