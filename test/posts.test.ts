import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';

const FIELDS = 'id title content createdAt updatedAt author { username }';
const CREATE = `mutation ($input: CreatePostInput!) {
  createPost(input: $input) { __typename ... on Post { ${FIELDS} } ... on ValidationError { fields { path message } } }
}`;
const UPDATE = `mutation ($id: ID!, $input: UpdatePostInput!) {
  updatePost(id: $id, input: $input) {
    __typename
    ... on Post { ${FIELDS} }
    ... on Error { message }
    ... on ValidationError { fields { path message } }
  }
}`;
const DELETE = `mutation ($id: ID!) {
  deletePost(id: $id) { __typename ... on Post { ${FIELDS} } ... on Error { message } }
}`;
const READ = `query ($id: ID!) { post(id: $id) { ${FIELDS} } }`;
const SEARCH = `query ($filter: PostFilter, $orderBy: PostOrder) {
  posts(filter: $filter, orderBy: $orderBy) { totalCount nodes { title } }
}`;

const NOT_FOUND = { __typename: 'NotFoundError', message: 'Not found.' };
const GARBAGE_IDS = ['', 'abc', '0', '-1', '1.5', '01', '2147483648', '99999999999999999999'];

let app: TestApp;
let ann: Person;
let ben: Person;
let staff: Person;

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  ben = await app.signUp('ben');
  staff = await app.signUpStaff('sue');
});
afterAll(() => app.close());

const make = async (person: Person, title = 'News', content = 'Much.') =>
  (await person.gql(CREATE, { input: { title, content } })).createPost;
const read = async (person: Person, id: string) => (await person.gql(READ, { id })).post;
const update = async (person: Person, id: string, input: object) =>
  (await person.gql(UPDATE, { id, input })).updatePost;
const titles = async (person: Person, filter: object, orderBy?: object): Promise<string[]> =>
  (await person.gql(SEARCH, { filter, orderBy })).posts.nodes.map(({ title }: { title: string }) => title);

describe('publishing posts', () => {
  it('should keep what was given and name the viewer as the author', async () => {
    const post = await make(ann, '  News  ', 'Line one\nline two');
    expect(post).toMatchObject({ title: 'News', content: 'Line one\nline two', author: { username: 'ann' } });
    expect(await read(ben, post.id)).toEqual({ ...post, __typename: undefined });
  });

  it('should keep titles of 50 and contents of 100,000 characters, and no more', async () => {
    const longest = await make(ann, '🍏'.repeat(50), '🍏'.repeat(100_000));
    expect(longest.__typename).toBe('Post');
    expect((await read(ben, longest.id)).content).toBe('🍏'.repeat(100_000));
    expect((await make(ann, 'x'.repeat(51), 'x'.repeat(100_001))).fields).toEqual([
      { path: 'title', message: 'Ensure this field has no more than 50 characters.' },
      { path: 'content', message: 'Ensure this field has no more than 100000 characters.' },
    ]);
    expect((await make(ann, ' ', '\n')).fields).toEqual([
      { path: 'title', message: 'This field may not be blank.' },
      { path: 'content', message: 'This field may not be blank.' },
    ]);
  });

  it('should refuse text that no database keeps', async () => {
    expect((await make(ann, 'a\0b')).fields).toEqual([{ path: 'title', message: 'Null characters are not allowed.' }]);
  });
});

describe('changing posts', () => {
  it('should change what is given and leave the rest', async () => {
    const post = await make(ann);
    expect(await update(ann, post.id, { title: 'Old news' })).toEqual({
      ...post,
      title: 'Old news',
      updatedAt: expect.any(String),
    });
    expect(await update(ann, post.id, { content: 'More.' })).toMatchObject({ title: 'Old news', content: 'More.' });
    expect(await read(ben, post.id)).toMatchObject({ title: 'Old news', content: 'More.' });
  });

  it('should refuse null, blanks and what is too long, and change nothing', async () => {
    const post = await make(ann);
    expect((await update(ann, post.id, { title: null, content: ' ' })).fields).toEqual([
      { path: 'title', message: 'This field may not be null.' },
      { path: 'content', message: 'This field may not be blank.' },
    ]);
    expect(await update(ann, post.id, { title: 'x'.repeat(51) })).toMatchObject({ __typename: 'ValidationError' });
    expect(await read(ann, post.id)).toMatchObject({ title: 'News', content: 'Much.' });
  });

  it('should be for the author and staff only', async () => {
    const post = await make(ann);
    expect(await ben.codeOf(UPDATE, { id: post.id, input: { title: 'Mine' } })).toBe('FORBIDDEN');
    expect(await ben.codeOf(DELETE, { id: post.id })).toBe('FORBIDDEN');
    expect(await read(ben, post.id)).toMatchObject({ title: 'News' });
    expect(await update(staff, post.id, { title: 'Moderated' })).toMatchObject({
      title: 'Moderated',
      author: { username: 'ann' },
    });
    expect((await staff.gql(DELETE, { id: post.id })).deletePost).toMatchObject({ id: post.id });
    expect(await read(ann, post.id)).toBeNull();
  });

  it('should find nothing under an id that is garbage or gone', async () => {
    const { id } = await make(ann);
    await ann.gql(DELETE, { id });
    for (const missing of [id, ...GARBAGE_IDS]) {
      expect(await read(ann, missing)).toBeNull();
      expect(await update(ann, missing, { title: 'x' })).toEqual(NOT_FOUND);
      expect((await ann.gql(DELETE, { id: missing })).deletePost).toEqual(NOT_FOUND);
    }
  });

  it('should give what a deleted post was', async () => {
    const post = await make(ann);
    expect((await ann.gql(DELETE, { id: post.id })).deletePost).toEqual(post);
  });

  it('should outlive the account of the author, for staff to change', async () => {
    const cat = await app.signUp('cat');
    const { id } = await make(cat);
    await app.sql(`DELETE FROM "User" WHERE "username" = 'cat'`);
    expect(await read(ann, id)).toMatchObject({ title: 'News', author: null });
    expect(await ann.codeOf(UPDATE, { id, input: { title: 'Mine' } })).toBe('FORBIDDEN');
    expect(await update(staff, id, { title: 'Orphan' })).toMatchObject({ title: 'Orphan', author: null });
  });
});

describe('posts without credentials', () => {
  it('should be closed on every transport', async () => {
    const { id } = await make(ann);
    const input = { title: 'x', content: 'x' };
    expect(await app.anonymous.codeOf(READ, { id })).toBe('UNAUTHENTICATED');
    expect(await app.anonymous.codeOf(SEARCH)).toBe('UNAUTHENTICATED');
    expect(await app.anonymous.codeOf(CREATE, { input })).toBe('UNAUTHENTICATED');
    expect(await app.anonymous.codeOf(UPDATE, { id, input })).toBe('UNAUTHENTICATED');
    expect(await app.anonymous.codeOf(DELETE, { id })).toBe('UNAUTHENTICATED');
    expect(await read(ann, id)).toMatchObject({ title: 'News' });
  });
});

describe('finding posts', () => {
  it('should narrow by author, title and time, and order by title', async () => {
    const dan = await app.signUp('dan');
    const authorId = (await dan.gql('{ viewer { id } }')).viewer.id;
    for (const title of ['Beta', 'alpha', 'Gamma ray']) {
      await make(dan, title);
    }
    await make(ann, 'Beta');
    expect(await titles(ann, { authorId })).toEqual(['Beta', 'alpha', 'Gamma ray']);
    expect(await titles(ann, { authorId }, { field: 'TITLE' })).toEqual(['Beta', 'Gamma ray', 'alpha']);
    expect(await titles(ann, { authorId, titleContains: 'A R' })).toEqual(['Gamma ray']);
    expect(await titles(ann, { authorId, createdBefore: '2001-01-01T00:00:00Z' })).toEqual([]);
    expect(await titles(ann, { authorId, createdFrom: '2001-01-01T00:00:00Z' })).toHaveLength(3);
    expect(await titles(ann, { authorId: 'abc' })).toEqual([]);
  });
});
