import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { contract, NOT_FOUND, perform, type Row, type World } from './wire.ts';

const CHALLENGE = 'JWT realm="api"';
const LIST = { allow: 'GET, HEAD, OPTIONS', challenge: CHALLENGE };
const UNKNOWN_IDS = [
  ...['0', '-1', '7', '2147483648', '9223372036854775807', '9223372036854775808', '1'.repeat(40), '1'.repeat(200)],
  ...['abc', '1.5', '1e1', '%201', '1%20', '%00', '1%00', '%ff', '%C3%28', '%', '%zz', '%2F', '1%2F2', '%27', '..%2F1'],
];

let app: TestApp;
const world: World = {};

interface Shown {
  readonly id: number;
  readonly title: string;
  readonly content: string;
  readonly created_at: string;
  readonly updated_at: string;
}

const POSTS: readonly Shown[] = [
  {
    id: 1,
    title: 'b',
    content: 'Zürich 🍏',
    created_at: '2018-10-28T12:00:00Z',
    updated_at: '2018-10-28T12:00:00.123000Z',
  },
  {
    id: 2,
    title: 'a',
    content: '"quoted"\nand broken',
    created_at: '2018-10-28T12:00:00.120000Z',
    updated_at: '2018-10-28T12:00:01Z',
  },
  {
    id: 3,
    title: 'b',
    content: '<b>&amp;\u2028',
    created_at: '2018-10-28T12:00:00.001000Z',
    updated_at: '2018-10-28T12:00:02Z',
  },
  {
    id: 4,
    title: 'c',
    content: 'x',
    created_at: '1999-12-31T23:59:59.999000Z',
    updated_at: '2038-01-19T03:14:08Z',
  },
  { id: 5, title: 'a', content: '\\', created_at: '2018-10-28T12:00:00Z', updated_at: '2018-10-28T12:00:00Z' },
];

/** An instant as Prisma keeps it in a SQLite file. */
const kept = (shown: string): string => new Date(shown).toISOString().replace('Z', '+00:00');
const posts = (...ids: readonly number[]) => ids.map((id) => POSTS[id - 1]);

async function addPosts({ sql }: TestApp): Promise<void> {
  for (const { id, title, content, created_at, updated_at } of POSTS) {
    await sql(
      'INSERT INTO "Post" ("id", "title", "content", "createdAt", "updatedAt") VALUES (?, ?, ?, ?, ?)',
      ...[id, title, content, kept(created_at), kept(updated_at)],
    );
  }
}

beforeAll(async () => {
  app = await startApp();
  await addPosts(app);
  Object.assign(world, { url: app.url, ann: (await app.signUp('ann')).authorization });
});
afterAll(() => app.close());

const get = (name: string, query: string, answer: unknown, has?: Row['has']): Row => ({
  name,
  call: `GET /api/posts/${query}`,
  as: 'ann',
  status: 200,
  answer,
  ...(has && { has }),
});

describe('the list of posts', () => {
  const all = posts(1, 2, 3, 4, 5);
  contract('is a bare array', () => world, LIST, [
    get('by id', '', all),
    get('without a limit, whatever the offset', '?offset=2', all),
    get('without a limit, whatever the cursor', '?cursor=garbage', all),
    get('with a limit of zero', '?limit=0', all),
    get('with an empty limit', '?limit=', all),
    get('with a limit below zero', '?limit=-1', all),
    get('with a limit that is no number', '?limit=ten', all),
    get('with a limit that is not whole', '?limit=1.5', all),
    get('in an order', '?ordering=title', posts(2, 5, 1, 3, 4)),
    get('in the other direction', '?ordering=-title', posts(4, 1, 3, 2, 5)),
    get('in two orders', '?ordering=-title,-id', posts(4, 3, 1, 5, 2)),
    get('in an order by content', '?ordering=-id,content', posts(5, 4, 3, 2, 1)),
    get('in an order by time', '?ordering=created_at,-updated_at', posts(4, 1, 5, 3, 2)),
    get('in no order that is known', '?ordering=author,-password,__proto__,constructor', all),
    get('in the orders that are known', '?ordering=nope,%20-id%20,,title', posts(5, 4, 3, 2, 1)),
    get('with parameters that nobody knows', '?page=2&x[]=%ff', all),
    {
      name: 'or its headers only',
      call: 'HEAD /api/posts/',
      as: 'ann',
      status: 200,
      has: { 'content-type': 'application/json' },
    },
  ]);

  const envelope = (next: string | null, previous: string | null, ...ids: number[]) => ({
    count: 5,
    next: next && `{url}{path}?${next}`,
    previous: previous && `{url}{path}?${previous}`,
    results: posts(...ids),
  });
  const paged = (name: string, query: string, answer: ReturnType<typeof envelope>): Row[] =>
    ['/api/posts', '/api/posts/'].map((path) => ({
      name: `${name} (${path})`,
      call: `GET ${path}?${query}`,
      as: 'ann',
      status: 200,
      answer: JSON.parse(JSON.stringify(answer).replaceAll('{path}', path)),
      asItIs: true,
    }));
  contract('is an envelope when a limit is given', () => world, LIST, [
    ...paged('the first page', 'limit=2', envelope('limit=2&offset=2', null, 1, 2)),
    ...paged('the first page by its offset', 'limit=2&offset=0', envelope('limit=2&offset=2', null, 1, 2)),
    ...paged('the second page', 'limit=2&offset=2', envelope('limit=2&offset=4', 'limit=2', 3, 4)),
    ...paged('the last page', 'limit=2&offset=4', envelope(null, 'limit=2&offset=2', 5)),
    ...paged('a page that ends with the last post', 'limit=2&offset=3', envelope(null, 'limit=2&offset=1', 4, 5)),
    ...paged('a page after less than one page', 'limit=2&offset=1', envelope('limit=2&offset=3', 'limit=2', 2, 3)),
    ...paged('a page beyond the end', 'limit=2&offset=10', envelope(null, 'limit=2&offset=8')),
    ...paged('a page far beyond the end', 'limit=2&offset=99999999999', envelope(null, 'limit=2&offset=99999999997')),
    ...paged('a page of all', 'limit=5', envelope(null, null, 1, 2, 3, 4, 5)),
    ...paged('a limit above 1000', 'limit=5000&offset=4', envelope(null, 'limit=1000', 5)),
    ...paged('a limit far above 1000', 'limit=99999999999&offset=4', envelope(null, 'limit=1000', 5)),
    ...paged('an offset below zero', 'limit=2&offset=-2', envelope('limit=2&offset=2', null, 1, 2)),
    ...paged('an offset that is no number', 'limit=2&offset=x', envelope('limit=2&offset=2', null, 1, 2)),
    ...paged(
      'an order, kept on the next pages',
      'limit=2&ordering=-title,id',
      envelope('limit=2&offset=2&ordering=-title%2Cid', null, 4, 1),
    ),
    ...paged(
      'parameters of others, kept',
      'x=%C3%A9+%26&offset=1&limit=2',
      envelope('limit=2&offset=3&x=%C3%A9+%26', 'limit=2&x=%C3%A9+%26', 2, 3),
    ),
  ]);

  it('should name its pages as a caller behind a proxy knows them', async () => {
    const proxied = await startApp({ TRUST_PROXY: '1' });
    await addPosts(proxied);
    const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'tidings.example' };
    const { authorization, url } = await proxied.signUp('ann');
    const { text } = await perform({ call: 'GET /api/posts?limit=1', as: 'ann', headers }, { url, ann: authorization });
    expect(JSON.parse(text).next).toBe('https://tidings.example/api/posts?limit=1&offset=1');
    const named = { host: 'posts.example:81' };
    const other = await perform({ call: 'GET /api/posts?limit=1', as: 'ann', headers: named }, world);
    expect(JSON.parse(other.text).next).toBe('http://posts.example:81/api/posts?limit=1&offset=1');
    await proxied.close();
  });

  it('should be walked by its links without a gap', async () => {
    const seen: Shown[] = [];
    let call: string | null = 'GET /api/posts/?limit=2&ordering=-title';
    while (call) {
      const { text } = await perform({ call, as: 'ann' }, world);
      const { next, results } = JSON.parse(text);
      seen.push(...results);
      call = next && `GET ${next.replace(app.url, '')}`;
    }
    expect(seen).toEqual(posts(4, 1, 3, 2, 5));
  });

  it('should be answered however often a name stands in its ordering', async () => {
    const full = await startApp();
    await full.sql(`WITH RECURSIVE "n"("i") AS (SELECT 1 UNION ALL SELECT "i" + 1 FROM "n" WHERE "i" < 401)
      INSERT INTO "Post" ("title", "content") SELECT 'x', 'x' FROM "n"`);
    const me = { url: full.url, ann: (await full.signUp('ann')).authorization };
    for (const query of ['', '&limit=2', '&limit=2&offset=2']) {
      const call = `GET /api/posts?ordering=${'-title,'.repeat(2000)}id${query}`;
      const { status, text } = await perform({ call, as: 'ann' }, me);
      expect(status, text.slice(0, 200)).toBe(200);
      expect(text.match(/"id":\d+/g)).toHaveLength(query ? 2 : 401);
    }
    await full.close();
  });
});

describe('pages by key', () => {
  const bad = { detail: 'The cursor is malformed or belongs to another order.' };
  contract('answer', () => world, LIST, [
    get('the first with an empty cursor', '?limit=2&cursor=', posts(1, 2), {
      link: /^<http:\/\/[\d.:]+\/api\/posts\/?\?cursor=[\w-]+&limit=2>; rel="next"$/,
    }),
    get('all on one page without a link', '?limit=5&cursor=', posts(1, 2, 3, 4, 5), { link: null }),
    ...['garbage', '%00', 'MQ==', 'LTE', '%F0%9F%8D%8F', 'MDE', 'eA'].map(
      (cursor): Row => ({
        name: `a bad cursor: ${cursor}`,
        call: `GET /api/posts/?limit=2&cursor=${cursor}`,
        as: 'ann',
        status: 400,
        answer: bad,
      }),
    ),
  ]);

  /** The ids on all pages, from the first one on by the links. */
  async function walk(who: World, limit: number, between: (page: number) => Promise<unknown>): Promise<number[]> {
    const seen: number[] = [];
    let path = `/api/posts?limit=${limit}&cursor=`;
    for (let page = 0; path !== ''; page += 1) {
      const { status, text, headers } = await perform({ call: `GET ${path}`, as: 'ann' }, who);
      expect(status, text).toBe(200);
      seen.push(...JSON.parse(text).map(({ id }: Shown) => id));
      path = (/^<([^>]+)>; rel="next"$/.exec(String(headers['link'] ?? ''))?.[1] ?? '').replace(who['url'], '');
      await between(page);
    }
    return seen;
  }

  it('should lead through all posts, whatever comes and goes meanwhile', async () => {
    const other = await startApp();
    await addPosts(other);
    const who = { url: other.url, ann: (await other.signUp('ann')).authorization };
    const seen = await walk(who, 2, async (page) => {
      await other.sql('DELETE FROM "Post" WHERE "id" = ?', page === 0 ? 2 : 1);
      await other.sql('INSERT INTO "Post" ("id", "title", "content") VALUES (?, ?, ?)', 100 + page, 'late', 'x');
    });
    await other.close();
    expect(seen.slice(0, 5)).toEqual([1, 2, 3, 4, 5]);
    expect(new Set(seen).size).toBe(seen.length);
  });

  it('should lead on after the highest ids', async () => {
    const high = [999_999_999, 1_000_000_000, 2_147_483_645, 2_147_483_646];
    for (const id of high) {
      await app.sql('INSERT INTO "Post" ("id", "title", "content") VALUES (?, ?, ?)', id, 'high', 'x');
    }
    try {
      expect(await walk(world, 1, async () => undefined)).toEqual([1, 2, 3, 4, 5, ...high]);
    } finally {
      await app.sql('DELETE FROM "Post" WHERE "title" = ?', 'high');
    }
  });
});

describe('a post', () => {
  contract('answers', () => world, LIST, [
    ...POSTS.map(
      (post): Row => ({
        name: `number ${post.id}`,
        call: `GET /api/posts/${post.id}/`,
        as: 'ann',
        status: 200,
        answer: post,
      }),
    ),
    {
      name: 'with its headers only',
      call: 'HEAD /api/posts/1/',
      as: 'ann',
      status: 200,
      has: { 'content-type': 'application/json' },
    },
    ...UNKNOWN_IDS.map(
      (id): Row => ({
        name: `404 under ${id}`,
        call: `GET /api/posts/${id}/`,
        as: 'ann',
        status: 404,
        answer: NOT_FOUND,
      }),
    ),
  ]);

  contract('that may only be read', () => world, LIST, [
    ...['POST', 'PUT', 'PATCH', 'DELETE'].flatMap((method): Row[] => [
      {
        name: `refuses ${method} on the list`,
        call: `${method} /api/posts/`,
        as: 'ann',
        json: {},
        status: 405,
        answer: { detail: `Method "${method}" not allowed.` },
      },
      {
        name: `refuses ${method}`,
        call: `${method} /api/posts/1/`,
        as: 'ann',
        raw: '{',
        status: 405,
        answer: { detail: `Method "${method}" not allowed.` },
      },
      {
        name: `refuses ${method} of nobody`,
        call: `${method} /api/posts/1/`,
        raw: '{',
        status: 401,
        answer: /not provided/,
      },
    ]),
  ]);
});
