import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';

const PASSWORD = 'a good long password';
const JSON_TYPE = 'application/json';

let app: TestApp;
let ann: Person;
beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
});
afterAll(() => app.close());

const form = (fields: Record<string, string>) => ({ method: 'POST', body: new URLSearchParams(fields) });

function graphql(query: string, accept = JSON_TYPE): Promise<Response> {
  const headers = { 'content-type': JSON_TYPE, accept };
  return ann.fetch('/graphql', { method: 'POST', headers, body: JSON.stringify({ query }) });
}

const OBTAIN = `mutation { obtainToken(input: { username: "ann", password: "${PASSWORD}" }) { ... on TokenPair { token } } }`;

const ANSWERS: Readonly<Record<string, () => Promise<Response>>> = {
  'a query': () => graphql('{ viewer { username } }'),
  'a query by GET': () => ann.fetch(`/graphql?query=${encodeURIComponent('{ viewer { username } }')}`),
  'a query of the specified type': () => graphql('{ viewer { username } }', 'application/graphql-response+json'),
  'a sign-in by GraphQL': () => graphql(OBTAIN),
  'a sign-in over server-sent events': () => graphql(OBTAIN, 'text/event-stream'),
  'a query that is refused': () => graphql('{ nothing }'),
  'a JWT': () => app.anonymous.fetch('/auth/obtain_token/', form({ username: 'ann', password: PASSWORD })),
  'a JWT of the posts app': () =>
    app.anonymous.fetch('/api/auth/obtain_token/', form({ username: 'ann', password: PASSWORD })),
  'a key': () => app.anonymous.fetch('/auth/token/create/', form({ username: 'ann', password: PASSWORD })),
  'an account': () => ann.fetch('/auth/me/'),
  'a list under a credential': () => ann.fetch('/notes'),
  'a list that is streamed': () => ann.fetch('/api/posts/'),
  'a refused credential': () => ann.with('Token x').fetch('/auth/me/'),
};

describe('Cache-Control', () => {
  it.each(Object.entries(ANSWERS))('should forbid that %s is stored', async (_name, ask) => {
    const response = await ask();
    await response.text();
    expect(response.headers.get('cache-control')).toMatch(/^no-store\b/);
  });

  it('should let browsers keep the files of GraphiQL, which are the same for everybody', async () => {
    const page = await app.anonymous.fetch('/graphql', { headers: { accept: 'text/html' } });
    const script = /src="([^"]+\.js)"/.exec(await page.text())?.[1] ?? '';
    const response = await app.anonymous.fetch(script);
    expect(response.headers.get('cache-control')).toContain('immutable');
    await response.body?.cancel();
  });
});
