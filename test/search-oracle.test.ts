import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';

// A naive model of the search, over random rows and queries, for every kind of viewer.

const WORDS = [
  'tea',
  'team',
  'green',
  'Grün',
  'GRU',
  'ΣΟΦΟΣ',
  'σοφός',
  'Чай',
  'é',
  'e',
  '茶',
  'ＡＢＣ',
  'STRAẞE',
  'Ⅷ',
  'mɔ́i',
] as const;
const VIEWERS = ['anonymous', 'ann', 'ben', 'mel', 'sue'] as const;
type Viewer = (typeof VIEWERS)[number];

interface Row {
  readonly type: 'Todo' | 'Note' | 'Post' | 'ChatMessage';
  readonly title: string;
  readonly text: string;
  /** An owner, null for none; for a message, the chat. */
  readonly owner: 'ann' | 'ben' | null;
  readonly minute: number;
}

const text = fc
  .array(fc.tuple(fc.constantFrom(...WORDS), fc.constantFrom(' ', ', ', '—', '\n', '/')), { maxLength: 4 })
  .map((parts) => parts.flat().join(''));
const row: fc.Arbitrary<Row> = fc.record({
  type: fc.constantFrom('Todo', 'Note', 'Post', 'ChatMessage'),
  title: text,
  text,
  owner: fc.constantFrom('ann', 'ben', null),
  minute: fc.integer({ min: 0, max: 3 }),
});
const query = fc
  .array(
    fc.oneof(
      fc.constantFrom(...WORDS),
      fc.tuple(fc.constantFrom(...WORDS), fc.constantFrom(...WORDS)).map((words) => `"${words.join(' ')}"`),
    ),
    { minLength: 1, maxLength: 2 },
  )
  .map((parts) => parts.join(' '));

let app: TestApp;
let people: Readonly<Record<Viewer, Person>>;
let ids: Readonly<Record<string, number>>;

beforeAll(async () => {
  app = await startApp();
  people = {
    anonymous: app.anonymous,
    ann: await app.signUp('ann'),
    ben: await app.signUp('ben'),
    mel: await app.signUp('mel'),
    sue: await app.signUpStaff('sue'),
  };
  ids = Object.fromEntries(
    (await app.sql('SELECT "id", "username" FROM "User"')).map((user) => [user['username'], user['id']]),
  );
  // A chat each of ann and ben; mel is a member of both.
  for (const owner of ['ann', 'ben'] as const) {
    await app.sql(`INSERT INTO "ChatSession" ("uri", "ownerId") VALUES ('${owner}', ${ids[owner]})`);
    await app.sql(
      `INSERT INTO "ChatMember" ("chatSessionId", "userId") SELECT "id", ${ids['mel']} FROM "ChatSession" WHERE "uri" = '${owner}'`,
    );
  }
});
afterAll(() => app.close());

function sees(viewer: Viewer, { type, owner }: Row): boolean {
  switch (type) {
    case 'Post':
      return viewer !== 'anonymous';
    case 'ChatMessage':
      return viewer === 'mel' || viewer === (owner ?? 'ann');
    default:
      return owner === null || viewer === owner || viewer === 'sue';
  }
}

/** The words of a text, folded without the code under test. */
function wordsOf(text: string): string[] {
  const folded = text.toLowerCase().replaceAll('é', 'e').replaceAll('ü', 'u').replaceAll('ς', 'σ');
  return folded.split(/[ ,—\n/"]+/).filter(Boolean);
}

interface Term {
  readonly words: readonly string[];
  readonly isPrefix: boolean;
}

function termsOf(query: string): Term[] {
  const parts = query.match(/"[^"]*"|[^ "]+/g) ?? [];
  return parts.map((part, index) => ({
    words: wordsOf(part),
    isPrefix: index === parts.length - 1 && !part.startsWith('"'),
  }));
}

function contains(words: readonly string[], { words: wanted, isPrefix }: Term): boolean {
  return words.some((_word, at) =>
    wanted.every((word, index) => (isPrefix ? words[at + index]?.startsWith(word) : words[at + index] === word)),
  );
}

function expected(rows: readonly (Row & { readonly id: number })[], viewer: Viewer, query: string): string[] {
  const terms = termsOf(query);
  const types = ['Todo', 'Note', 'Post', 'ChatMessage'];
  return rows
    .filter((each) => sees(viewer, each))
    .flatMap((each) => {
      const title = each.type === 'ChatMessage' ? [] : wordsOf(each.title);
      const text = wordsOf(each.text);
      const inTitle = terms.every((term) => contains(title, term));
      const anywhere = terms.every((term) => contains(title, term) || contains(text, term));
      return anywhere ? [{ ...each, rank: inTitle ? 'TITLE' : 'TEXT' }] : [];
    })
    .sort(
      (a, b) =>
        b.rank.localeCompare(a.rank) ||
        b.minute - a.minute ||
        types.indexOf(a.type) - types.indexOf(b.type) ||
        b.id - a.id,
    )
    .map(({ type, id, rank }) => `${type} ${id} ${rank}`);
}

async function insert({ type, title, text, owner, minute }: Row): Promise<number> {
  const user = owner === null ? 'NULL' : String(ids[owner]);
  const time = `'2026-01-01T00:0${minute}:00.000+00:00'`;
  const statements = {
    Todo: `"Todo" ("title", "description", "ownerId", "createdAt") VALUES (?, ?, ${user}, ${time})`,
    Note: `"Note" ("title", "description", "priority", "createdAt", "createdBy", "ownerId", "insertedAt") VALUES (?, ?, 1, '', '', ${user}, ${time})`,
    Post: `"Post" ("title", "content", "authorId", "createdAt") VALUES (?, ?, ${user}, ${time})`,
    ChatMessage: `"ChatMessage" ("message", "chatSessionId", "userId", "createdAt")
      SELECT ?, "id", "ownerId", ${time} FROM "ChatSession" WHERE "uri" = '${owner ?? 'ann'}'`,
  };
  const values = type === 'ChatMessage' ? [text] : [title, text];
  const [made] = await app.sql(`INSERT INTO ${statements[type]} RETURNING "id"`, ...values);
  return Number(made?.['id']);
}

const SEARCH = `query ($query: String!, $first: Int, $after: String) {
  search(query: $query, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      rank
      title { text isMatch }
      snippet { text isMatch }
      node { __typename ... on Todo { databaseId } ... on Note { databaseId } ... on Post { databaseId } ... on ChatMessage { databaseId } }
    }
  }
}`;

/** All results, page by page. */
async function searched(viewer: Viewer, query: string, first: number) {
  const found: string[] = [];
  const marked: string[][] = [];
  for (let after: string | null = null; ; ) {
    const { search } = await people[viewer].gql(SEARCH, { query, first, after });
    for (const { rank, node, title, snippet } of search.nodes) {
      found.push(`${node.__typename} ${node.databaseId} ${rank}`);
      const parts = [...title, ...snippet] as { text: string; isMatch: boolean }[];
      marked.push(parts.filter(({ isMatch }) => isMatch).map(({ text }) => text));
    }
    after = search.pageInfo.endCursor;
    if (!search.pageInfo.hasNextPage) {
      expect(search.totalCount).toBe(found.length);
      return { found, marked };
    }
  }
}

it('should find what a naive model finds, for every viewer, in the same order', async () => {
  const world = fc.record({ rows: fc.array(row, { minLength: 4, maxLength: 12 }), query, query2: query });
  await fc.assert(
    fc.asyncProperty(world, async ({ rows, query, query2 }) => {
      for (const table of ['Todo', 'Note', 'Post', 'ChatMessage']) {
        await app.sql(`DELETE FROM "${table}"`);
      }
      const made: (Row & { id: number })[] = [];
      for (const each of rows) {
        made.push({ ...each, id: await insert(each) });
      }
      for (const viewer of VIEWERS) {
        for (const text of [query, query2]) {
          const { found, marked } = await searched(viewer, text, 3);
          expect(found, `${viewer}: ${text}`).toEqual(expected(made, viewer, text));
          const words = termsOf(text).flatMap((term) => term.words);
          for (const parts of marked) {
            expect(parts.length).toBeGreaterThan(0);
            expect(parts.every((part) => words.some((word) => wordsOf(part)[0]?.startsWith(word)))).toBe(true);
          }
        }
      }
    }),
    { numRuns: 6 },
  );
});
