import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createStorage, TABS, withoutSecrets } from '../../graphiql/secrets.ts';

/** A password that occurs nowhere else in the texts of these tests. */
const secretText = fc.string({ minLength: 1, maxLength: 40 }).map((text) => `Zq${text}qZ`);
const gap = fc.constantFrom('', ' ', '\n', ' # note\n', ',', ' ##########################\n ');
const json = JSON.stringify;

describe('withoutSecrets', () => {
  it('should remove a password wherever GraphQL and JSON can have it, half typed as well', () => {
    fc.assert(
      fc.property(secretText, gap, gap, fc.nat(), (text, one, two, cut) => {
        const operations = [
          [`mutation { signIn(input: { username: "ann", password${one}:${two}${json(text)} }) { __typename } }`, ''],
          [`mutation { resetPassword(input: { newPassword: """${json(text)}""" }) { __typename } }`, ''],
          [`mutation ($password: String!${two}=${one}${json(text)}) { verifyToken(token: $password) { user } }`, ''],
          ['mutation ($i: LoginInput!) { signIn(input: $i) { __typename } }', json({ i: { password: text } })],
          [
            `mutation ($p: String!) { signIn(input: { username: "ann", password${one}:${two}$p }) { __typename } }`,
            json({ p: text }),
          ],
        ] as const;
        for (const [query, variables] of operations) {
          const cleaned = withoutSecrets(query, variables);
          expect(`${cleaned.query}${cleaned.variables}`).not.toContain('Zq');
          const typed = withoutSecrets(query.slice(0, cut % (query.length + 1)), variables);
          expect(typed.query).not.toContain('Zq');
        }
      }),
    );
  });

  it.each([
    ['# mutation { signIn(input: {password: "Zq"}) }', '# mutation { signIn(input: {password: ""}) }'],
    ['{ a }\n# signIn(input: {password:\n#   "Zq"})\n{ b }', '{ a }\n# signIn(input: {password:\n#   ""})\n{ b }'],
    ['# password: Zq, see the wiki', '# password: "", see the wiki'],
    ['mutation { signIn(input: {password: Zq-1!x}) { id } }', 'mutation { signIn(input: {password: ""}) { id } }'],
    ['# password: a#Zq', '# password: ""'],
    ['{ signIn(input: {password: a#Zq', '{ signIn(input: {password: ""'],
    ['mutation ($password: String! = Zq', 'mutation ($password: String! = ""'],
  ])('should remove a password in a comment and without quotes: %s', (query, expected) => {
    expect(withoutSecrets(query, '').query).toBe(expected);
  });

  it('should remove a password without quotes from variables', () => {
    const typed = '{"password": Zq-1!x, /* "token": "Zq" */ "token": [12Zq';
    expect(withoutSecrets('', typed).variables).toBe('{"password": "", /* "token": "" */ "token": [""');
  });

  it.each([
    '# query ($token: String!) { a(password: $token) { token } }',
    'query ($password: [String!]!, $tokens: Int) { token: id, mySecret: title a(token: null, secret: $tokens) }',
    '# A note without such a name: "text"',
  ])('should keep types, variables, aliases and notes: %s', (query) => {
    expect(withoutSecrets(query, '').query).toBe(query);
  });

  it('should change nothing else', () => {
    fc.assert(
      fc.property(fc.json(), fc.string(), (variables, text) => {
        fc.pre(!/password|token|secret/i.test(variables + text));
        expect(withoutSecrets(text, variables)).toEqual({ query: text, variables });
      }),
    );
    const other = {
      query: 'query ($password: String!, $username: String!) { a(b: $username) }',
      variables: '{"password": null, "username": "ann"}',
    };
    expect(withoutSecrets(other.query, other.variables)).toEqual(other);
    const query = 'mutation ($i: RefreshTokenInput!) { createAuthToken(input: $i, name: "phone") { token } }';
    expect(withoutSecrets(query, '{"i": {"username": "ann"}}').query).toBe(query);
  });

  it.each([
    'password: #',
    'password: /* * ',
    '# "token": ',
    '# password: a-\n',
    'password: , ',
    'token',
    '"password": "\\',
    '$password: [a! = ',
    '"""',
    '$',
  ])('should take linear time: %s, repeated', (part) => {
    const start = process.cpuUsage();
    withoutSecrets(part.repeat(5_000), `password: ${part.slice(-1).repeat(25_000)}`);
    // In microseconds: the processor's time, since the tests share a machine.
    expect(process.cpuUsage(start).user).toBeLessThan(1_000_000);
  });
});

describe('the storage of GraphiQL', () => {
  /** As `localStorage`, whose keys are its properties. */
  function localStorageOf(entries: Record<string, string>) {
    const methods = {
      getItem: (key: string) => entries[key] ?? null,
      setItem: (key: string, value: string) => Object.assign(entries, { [key]: value }),
      removeItem: (key: string) => delete entries[key],
    };
    for (const [name, value] of Object.entries(methods)) {
      Object.defineProperty(entries, name, { value, enumerable: false });
    }
    return entries as typeof entries & typeof methods;
  }

  it('should keep neither passwords nor headers of tabs and of the history, nor those that it finds', () => {
    const operation = {
      query: 'query ($password: String) { a }',
      variables: '{"password":"Zq"}',
      headers: '{"authorization":"Zq"}',
    };
    const stored = localStorageOf({
      [TABS]: json({ tabs: [{ ...operation, headers: null, title: 'A' }], activeTabIndex: 0 }),
      'graphiql:queries': json({ queries: [operation] }),
      'graphiql:favorites': '{"favorites": [',
      'graphiql:variables': operation.variables,
      'graphiql:theme': 'dark',
      other: 'Zq',
    });
    const storage = createStorage(stored);
    expect(json({ ...stored, other: '' })).not.toContain('Zq');
    expect(JSON.parse(storage.getItem(TABS) ?? '')).toEqual({
      tabs: [{ query: operation.query, variables: '{"password":""}', headers: null, title: 'A' }],
      activeTabIndex: 0,
    });
    storage.setItem('graphiql:favorites', json({ favorites: [operation] }));
    storage.setItem('graphiql:headers', operation.headers);
    expect(json({ ...stored, other: '' })).not.toContain('Zq');
    expect([storage.getItem('graphiql:theme'), storage.length]).toEqual(['dark', 4]);
    storage.clear();
    expect(stored).toEqual({ other: 'Zq' });
  });
});
