import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fillSearchIndex } from '../src/search-index/backfill.ts';
import { SEARCHED } from '../src/slices.ts';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';

const SEARCH = `query ($query: String!, $types: [SearchType!], $first: Int, $after: String) {
  search(query: $query, types: $types, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      rank
      title { text isMatch }
      snippet { text isMatch }
      node { __typename ... on Todo { text: title } ... on Note { text: title } ... on Post { text: title } ... on ChatMessage { text: message } }
    }
  }
}`;

interface Part {
  readonly text: string;
  readonly isMatch: boolean;
}

let app: TestApp;
let ann: Person;

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
});
afterAll(() => app.close());

const marked = (parts: readonly Part[]): string =>
  parts.map(({ text, isMatch }) => (isMatch ? `[${text}]` : text)).join('');

async function find(person: Person, query: string, variables: object = {}) {
  const { search } = await person.gql(SEARCH, { query, first: 100, ...variables });
  return search.nodes.map(
    ({
      node,
      rank,
      title,
      snippet,
    }: {
      node: { __typename: string; text: string };
      rank: string;
      title: Part[];
      snippet: Part[];
    }) => `${node.__typename} ${rank} ${marked(title)}: ${marked(snippet)}`,
  );
}

const todo = (person: Person, title: string, description: string | null = null) =>
  person.gql('mutation ($input: CreateTodoInput!) { createTodo(input: $input) { __typename } }', {
    input: { title, description },
  });

const codeOf = async (person: Person, query: string, variables: object = {}): Promise<string | undefined> =>
  person.codeOf(SEARCH, { query, ...variables });

describe('a search', () => {
  beforeAll(() => todo(ann, 'Buy green milk', 'in the Café — “quickly”, e-mail ann@example.com'));
  const found = (title: string, text: string, rank = 'TEXT') => [`Todo ${rank} ${title}: ${text}`];
  const text = 'in the Café — “quickly”, e-mail ann@example.com';

  it.each<[string, string[]]>([
    ['milk buy', found('[Buy] green [milk]', text, 'TITLE')],
    ['BUY GRE', found('[Buy] [green] milk', text, 'TITLE')],
    ['"buy green"', found('[Buy] [green] milk', text, 'TITLE')],
    ['"green buy"', []],
    ['gre buy', []],
    ['"gre"', []],
    ['"buy gre', found('[Buy] [green] milk', text, 'TITLE')],
    ['"milk in"', []],
    ['milk cafe', found('Buy green [milk]', text.replace('Café', '[Café]'))],
    ['e-mail', found('Buy green milk', text.replace('e-mail', '[e]-[mail]'))],
    ['mail-e', []],
    ['ann@example', found('Buy green milk', text.replace('ann@example', '[ann]@[example]'))],
  ])('should find by %s', async (query, expected) => {
    expect(await find(ann, query)).toEqual(expected);
  });

  it.each([
    '"',
    '"""',
    'milk"',
    '*',
    '-milk',
    'milk AND',
    'OR',
    'NOT milk',
    'NEAR(milk buy)',
    'title:milk',
    '{title}: milk',
    '^milk',
    "milk' OR 1=1 --",
    "milk'':*",
    'a & b | !c',
    '<->',
    'milk:*',
    '\\',
    '(((',
    '%_',
    'milk\n\tbuy',
    '😀',
    '#',
    'x'.repeat(200),
    '茶'.repeat(200),
    '\u0301',
    '½ ²',
  ])('should take %j as words', async (query) => {
    const { status, errors } = await ann.ask(SEARCH, { query });
    expect(status).toBe(200);
    expect([undefined, 'VALIDATION']).toContain(errors?.[0]?.extensions?.['code']);
  });

  it('should find a word of 70 letters by itself, also within a phrase', async () => {
    const word = 'z'.repeat(70);
    await todo(ann, 'long', `${word} word`);
    const expected = [`Todo TEXT long: [${word}] [word]`];
    expect(await find(ann, `"${word} word"`)).toEqual(expected);
    expect(await find(ann, `"${word}"`)).toEqual([`Todo TEXT long: [${word}] word`]);
  });

  // Letters that the folding of the databases and that of JavaScript may treat differently.
  it.each(['ＡＢＣ', 'STRAẞE', 'Ⅷ', 'mɔ́i', 'İĞ', 'Ѐ', 'ᏸᎠ'])('should find the text %s by itself', async (text) => {
    await todo(ann, `${text} itself`);
    expect(await find(ann, `"${text} itself"`)).toEqual([`Todo TITLE [${text}] [itself]: `]);
  });

  it.each(['', '   ', '"" ?!', 'x'.repeat(201), 'a '.repeat(17), 'a\0b', '\ud800'])(
    'should refuse %j',
    async (query) => {
      expect(await codeOf(ann, query)).toBe('VALIDATION');
    },
  );

  it('should refuse malformed cursors and sizes, and count the lists that it searches', async () => {
    expect(await codeOf(ann, 'x', { after: 'nonsense' })).toBe('BAD_CURSOR');
    expect(await codeOf(ann, 'x', { first: 101 })).toBe('VALIDATION');
    const fields = Array.from({ length: 3 }, (_, index) => `a${index}: search(query: "x") { totalCount }`);
    expect((await ann.ask(`{ ${fields.slice(1).join(' ')} }`)).errors).toBeUndefined();
    expect(await ann.codeOf(`{ ${fields.join(' ')} }`)).toBe('COMPLEXITY');
    expect(await find(ann, 'milk', { types: [] })).toEqual([]);
  });

  it('should show a part of a long text around the first match', async () => {
    await todo(ann, 'long', `${'lorem 😀 '.repeat(100)}needle <b>${' ipsum'.repeat(100)}`);
    const { search } = await ann.gql(SEARCH, { query: 'needle' });
    const parts: Part[] = search.nodes[0].snippet;
    expect(parts.map(({ isMatch }) => isMatch)).toEqual([false, true, false]);
    expect(parts[0]?.text).toMatch(/^….*lorem 😀 $/u);
    expect(parts[1]?.text).toBe('needle');
    expect(parts[2]?.text).toMatch(/^ <b> ipsum.*…$/);
    const whole = parts.map((part) => part.text).join('');
    expect(whole.length).toBeLessThanOrEqual(242);
    expect(whole.isWellFormed()).toBe(true);
  });

  it('should keep its pages stable while objects are inserted', async () => {
    for (const title of ['page one', 'page two', 'page three']) {
      await todo(ann, title);
    }
    const first = (await ann.gql(SEARCH, { query: 'page', first: 2 })).search;
    await todo(ann, 'page four');
    const { search } = await ann.gql(SEARCH, { query: 'page', first: 2, after: first.pageInfo.endCursor });
    expect(search.nodes.map(({ node }: { node: { text: string } }) => node.text)).toEqual(['page one']);
    expect(search).toMatchObject({ totalCount: 4, pageInfo: { hasNextPage: false } });
  });
});

describe('the index', () => {
  const titles = async (query: string) =>
    (await ann.gql(SEARCH, { query, types: ['TODO'] })).search.nodes.map(
      ({ node }: { node: { text: string } }) => node.text,
    );

  it('should follow what a database shell writes, cascades included', async () => {
    const [user] = await app.sql(`SELECT "id" FROM "User" WHERE "username" = 'ann'`);
    const [list] = await app.sql(
      `INSERT INTO "TodoList" ("name", "ownerId") VALUES ('x', ${user?.['id']}) RETURNING "id"`,
    );
    await app.sql(
      `INSERT INTO "Todo" ("title", "ownerId", "listId") VALUES ('shell one', ${user?.['id']}, ${list?.['id']}), ('shell two', ${user?.['id']}, NULL)`,
    );
    expect(await titles('shell')).toHaveLength(2);
    await app.sql(`UPDATE "Todo" SET "title" = 'husk' WHERE "title" = 'shell two'`);
    expect(await titles('shell')).toEqual(['shell one']);
    expect(await titles('husk')).toEqual(['husk']);
    await app.sql(`DELETE FROM "TodoList" WHERE "id" = ${list?.['id']}`);
    expect(await titles('shell')).toEqual([]);
    await app.sql(`UPDATE "Todo" SET "id" = "id" + 1000000 WHERE "title" = 'husk'`);
    expect(await titles('husk')).toEqual(['husk']);
  });

  it('should not prevent writes of texts that it cannot hold in full', async () => {
    const words = Array.from({ length: 60_000 }, (_, index) =>
      String.fromCodePoint(0x4e00 + (index % 20_000), 0x3400 + (index % 6_000)),
    ).join(' ');
    await app.sql(
      `INSERT INTO "Todo" ("title", "description", "ownerId") SELECT 'huge', ?, "id" FROM "User" WHERE "username" = 'ann'`,
      words,
    );
    await app.sql(`UPDATE "Todo" SET "description" = ? WHERE "title" = 'huge'`, `${'y'.repeat(300_000)} x`);
    expect(await titles('huge')).toEqual(['huge']);
  });

  it('should be filled with rows from before it existed, the newest first', async () => {
    await todo(ann, 'ancient');
    await app.sql(`DELETE FROM "SearchEntry"`);
    await app.sql(`DELETE FROM "SearchBackfill"`);
    expect(await titles('ancient')).toEqual([]);
    await fillSearchIndex(app.app.services.database, SEARCHED, new AbortController().signal);
    expect(await titles('ancient')).toEqual(['ancient']);
    expect(await titles('milk')).toEqual(['Buy green milk']);
    const progress = await app.sql(`SELECT * FROM "SearchBackfill"`);
    expect(progress.map(({ belowId }) => belowId)).toEqual(SEARCHED.map(() => 0));
  });
});

describe('a message', () => {
  it('should be found by participants only, for as long as they are', async () => {
    const [ben, eve] = [await app.signUp('ben'), await app.signUp('eve')];
    const { createChatSession: chat } = await ann.gql('mutation { createChatSession { uri } }');
    await ann.gql('mutation ($uri: String!) { addChatMembers(uri: $uri, usernames: ["ben"]) { __typename } }', chat);
    await ben.gql(
      'mutation ($uri: String!) { sendMessage(uri: $uri, message: "a secret rendezvous") { __typename } }',
      chat,
    );
    const seen = async () =>
      [
        await find(ann, 'rendez'),
        await find(ben, 'rendez'),
        await find(eve, 'rendez'),
        await find(app.anonymous, 'rendez'),
      ].map(({ length }) => length);
    expect(await seen()).toEqual([1, 1, 0, 0]);
    expect(await find(ann, 'rendez')).toEqual(['ChatMessage TEXT : a secret [rendezvous]']);
    await ann.gql('mutation ($uri: String!) { removeChatMember(uri: $uri, username: "ben") { __typename } }', chat);
    expect(await seen()).toEqual([1, 0, 0, 0]);
  });
});
