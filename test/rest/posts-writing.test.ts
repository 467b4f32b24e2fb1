import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { contract, fresh, NOT_FOUND, perform, type Row, tooLong, type World } from './wire.ts';

const CHALLENGE = 'JWT realm="api"';

describe('posts that may be written', () => {
  let writable: TestApp;
  const own: World = {};
  const FORBIDDEN = { detail: 'You do not have permission to perform this action.' };
  const list = { allow: 'GET, POST, HEAD, OPTIONS', challenge: CHALLENGE };
  const item = { allow: 'GET, PUT, PATCH, DELETE, HEAD, OPTIONS', challenge: CHALLENGE };
  const made = (title: string, content: string): RegExp =>
    new RegExp(
      `^\\{"id":\\d+,"title":"${title}","content":"${content}","created_at":"[\\d:T-]+(\\.\\d{6})?Z","updated_at":"[\\d:T-]+(\\.\\d{6})?Z"\\}$`,
    );

  beforeAll(async () => {
    writable = await startApp({ POSTS_WRITABLE: 'true' });
    Object.assign(own, {
      url: writable.url,
      ann: (await writable.signUp('ann')).authorization,
      ben: (await writable.signUp('ben')).authorization,
      sue: (await writable.signUpStaff('sue')).authorization,
    });
    own['id'] = await create('ann');
  });
  afterAll(() => writable.close());

  async function create(as: string): Promise<number> {
    const { text } = await perform({ call: 'POST /api/posts/', as, json: { title: 't', content: 'c' } }, own);
    return JSON.parse(text).id;
  }

  contract('take', () => own, list, [
    {
      name: 'JSON',
      call: 'POST /api/posts/',
      as: 'ann',
      json: { title: ' Title ', content: ' Text ', id: 1 },
      status: 201,
      answer: made('Title', 'Text'),
    },
    {
      name: 'a form',
      call: 'POST /api/posts/',
      as: 'ben',
      form: 'title=a+b&content=%C3%A9',
      status: 201,
      answer: made('a b', 'é'),
    },
    {
      name: 'multipart',
      call: 'POST /api/posts/',
      as: 'ann',
      parts: [
        ['title', 'ü'],
        ['content', 'x'],
      ],
      status: 201,
      answer: made('ü', 'x'),
    },
    {
      name: 'numbers',
      call: 'POST /api/posts/',
      as: 'ann',
      json: { title: 1, content: 2.5 },
      status: 201,
      answer: made('1', '2.5'),
    },
    {
      name: 'what is as long as it may be',
      call: 'POST /api/posts/',
      as: 'ann',
      json: { title: '🍏'.repeat(50), content: 'x'.repeat(100_000) },
      status: 201,
      answer: made('(🍏){50}', 'x+'),
    },
    {
      name: 'no title that is too long',
      call: 'POST /api/posts/',
      as: 'ann',
      json: { title: 'x'.repeat(51), content: 'x'.repeat(100_001) },
      status: 400,
      answer: { title: [tooLong(50)], content: [tooLong(100_000)] },
    },
    {
      name: 'nothing from nobody',
      call: 'POST /api/posts/',
      json: { title: 'x', content: 'x' },
      status: 401,
      answer: /not provided/,
    },
    { name: 'readers', call: 'GET /api/posts/?limit=1', as: 'ben', status: 200, answer: /^\{"count":\d+,"next":/ },
  ]);

  contract('are changed', () => own, item, [
    {
      name: 'by their author',
      call: 'PATCH /api/posts/{id}/',
      as: 'ann',
      json: { title: 'New' },
      status: 200,
      answer: /"title":"New"/,
    },
    {
      name: 'by staff',
      call: 'PATCH /api/posts/{id}/',
      as: 'sue',
      json: { content: 'By staff' },
      status: 200,
      answer: /"content":"By staff"/,
    },
    {
      name: 'as a whole',
      call: 'PUT /api/posts/{id}/',
      as: 'ann',
      json: { title: 'w', content: 'h' },
      status: 200,
      answer: made('w', 'h'),
    },
    {
      name: 'in nothing',
      call: 'PATCH /api/posts/{id}/',
      as: 'ann',
      json: {},
      status: 200,
      answer: made('[^"]+', '[^"]+'),
    },
    {
      name: 'not as a whole without all of it',
      call: 'PUT /api/posts/{id}/',
      as: 'ann',
      json: { title: 'w' },
      status: 400,
      answer: { content: ['This field is required.'] },
    },
    {
      name: 'not to nothing',
      call: 'PATCH /api/posts/{id}/',
      as: 'ann',
      json: { title: null },
      status: 400,
      answer: { title: ['This field may not be null.'] },
    },
    {
      name: 'by nobody else, whatever the body',
      call: 'PATCH /api/posts/{id}/',
      as: 'ben',
      raw: '{',
      status: 403,
      answer: FORBIDDEN,
    },
    {
      name: 'by nobody else as a whole',
      call: 'PUT /api/posts/{id}/',
      as: 'ben',
      json: {},
      status: 403,
      answer: FORBIDDEN,
    },
    { name: 'not away by somebody else', call: 'DELETE /api/posts/{id}/', as: 'ben', status: 403, answer: FORBIDDEN },
    ...['PUT', 'PATCH', 'DELETE'].flatMap((method) =>
      ['999999', 'abc', '0'].map(
        (id): Row => ({
          name: `not where there is none (${method} ${id})`,
          call: `${method} /api/posts/${id}/`,
          as: 'sue',
          raw: '[',
          status: 404,
          answer: NOT_FOUND,
        }),
      ),
    ),
  ]);

  it('should be gone once deleted, by the author or staff', async () => {
    for (const as of ['ann', 'sue']) {
      const call = `/api/posts/${await create('ann')}/`;
      expect(await perform({ call: `DELETE ${call}`, as, raw: 'ignored' }, own)).toMatchObject({
        status: 204,
        text: '',
      });
      expect(await perform({ call: `GET ${call}`, as }, own)).toMatchObject({ status: 404 });
    }
  });

  it('should change nothing when a change is refused', async () => {
    const call = `/api/posts/${await create('ann')}/`;
    const before = (await perform({ call: `GET ${call}`, as: 'ann' }, own)).text;
    await perform({ call: `PATCH ${call}`, as: 'ben', json: { title: fresh() } }, own);
    await perform({ call: `PATCH ${call}`, as: 'ann', json: { title: fresh(), content: '' } }, own);
    expect((await perform({ call: `GET ${call}`, as: 'ann' }, own)).text).toBe(before);
  });
});
