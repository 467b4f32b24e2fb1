import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';

const SEARCH = 'query ($search: String) { users(first: 50, search: $search) { totalCount nodes { username email } } }';

let app: TestApp;
let ann: Person;

beforeAll(async () => {
  app = await startApp({ MAX_USER_SEARCHES: '60' });
  ann = await app.signUp('anna');
  for (const username of ['ben', 'Benno', 'be_n', 'carl', 'shy', 'shyer', 'gone']) {
    await app.signUp(username);
  }
  const set = (assignment: string, username: string) =>
    app.sql(`UPDATE "User" SET ${assignment} WHERE "username" = ?`, username);
  await set(`"firstName" = 'Benedikt', "lastName" = 'Öhm'`, 'carl');
  await set(`"addableBy" = 'CONTACTS', "lastName" = 'Benz'`, 'shy');
  await set(`"addableBy" = 'CONTACTS'`, 'shyer');
  await set(`"isActive" = FALSE, "firstName" = 'Ben'`, 'gone');
});
afterAll(() => app.close());

async function found(by: Person, search: string): Promise<string[]> {
  const { users } = await by.gql(SEARCH, { search });
  expect(users.totalCount).toBe(users.nodes.length);
  return users.nodes.map(({ username }: Person) => username);
}

describe('users(search:)', () => {
  it.each([
    ['ben', ['Benno', 'ben', 'carl']],
    ['BEN', ['Benno', 'ben', 'carl']],
    [' benn ', ['Benno']],
    ['Benedikt', ['carl']],
    ['öhm', ['carl']],
    ['be_', ['be_n']],
    ['b%', []],
    ['en', []],
    ['an', []],
    ['sh', []],
    ['go', []],
    ["b' OR 1=1 --", []],
    ['\u{10ffff}\u{10ffff}', []],
  ])('should find by %j whom the viewer may invite', async (search, expected) => {
    expect(await found(ann, search)).toEqual(expected);
  });

  it('should find those who let only contacts add them when they share a chat with the viewer', async () => {
    const shy = await app.anonymous.signIn('shy', 'a good long password');
    const { createChatSession } = await ann.gql('mutation { createChatSession { uri } }');
    await shy.gql('mutation ($uri: String!) { joinChat(uri: $uri) { __typename } }', { uri: createChatSession.uri });
    expect(await found(ann, 'sh')).toEqual(['shy']);
    await shy.gql('mutation ($uri: String!) { leaveChat(uri: $uri) { __typename } }', { uri: createChatSession.uri });
    expect(await found(ann, 'sh')).toEqual([]);
  });

  it('should show no private fields, and staff everybody', async () => {
    const { users } = await ann.gql(SEARCH, { search: 'carl' });
    expect(users.nodes).toEqual([{ username: 'carl', email: null }]);
    const staff = await app.signUpStaff('sue');
    expect(await found(staff, 'go')).toEqual(['gone']);
    expect(await found(staff, 'sh')).toEqual(['shy', 'shyer']);
  });

  it.each(['', ' ', 'a', 'x'.repeat(151)])('should refuse %j', async (search) => {
    const { errors } = await ann.ask(SEARCH, { search });
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'VALIDATION', fields: [{ path: 'search' }] });
  });

  it('should be the only way to list users for others than staff', async () => {
    expect(await ann.codeOf('{ users { nodes { username } } }')).toBe('FORBIDDEN');
    expect(await ann.codeOf('{ users(search: null) { nodes { username } } }')).toBe('FORBIDDEN');
    expect(await ann.codeOf('{ users(search: "be", filter: { emailContains: "a" }) { nodes { username } } }')).toBe(
      'FORBIDDEN',
    );
    expect(await app.anonymous.codeOf('{ users(search: "be") { nodes { username } } }')).toBe('UNAUTHENTICATED');
  });

  it('should be limited for each user', async () => {
    const eve = await app.signUp('eve');
    const codes = new Set<string | undefined>();
    for (let time = 0; time < 61; time += 1) {
      codes.add((await eve.ask(SEARCH, { search: 'be' })).errors?.[0]?.extensions?.['code']);
    }
    expect([...codes]).toEqual([undefined, 'RATE_LIMITED']);
    expect(await found(ann, 'benn')).toEqual(['Benno']);
  });
});
