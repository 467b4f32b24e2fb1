import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { numberOf } from '../kit/ids.ts';
import type { Person } from '../kit/person.ts';
import { contract, NOT_FOUND, NOT_NULL, perform, REQUIRED, type Row, type World } from './wire.ts';

const CHALLENGE = { challenge: 'JWT realm="api"' };
const NOT_TRUTH = { completed: ['Must be a valid boolean.'] };
const BAD_JSON = /^\{"detail":"JSON parse error - [^"\\]*(\\.[^"\\]*)*"\}$/;
const notAnObject = (type: string) => ({ non_field_errors: [`Invalid data. Expected a dictionary, but got ${type}.`] });

let app: TestApp;
let ann: Person;
const world: World = {};

async function makeTodo(person: Person, title = 'Milk'): Promise<number> {
  const { createTodo } = await person.gql(
    'mutation ($title: String!) { createTodo(input: { title: $title, description: "d" }) { ... on Todo { id } } }',
    { title },
  );
  return numberOf(createTodo.id);
}

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  const [ben, sue] = [await app.signUp('ben'), await app.signUpStaff('sue')];
  const gone = await makeTodo(ann);
  await ann.gql('mutation ($id: ID!) { deleteTodo(id: $id) { __typename } }', { id: gone });
  Object.assign(world, { url: app.url, ann: ann.authorization, ben: ben.authorization, sue: sue.authorization, gone });
  Object.assign(world, { todo: await makeTodo(app.anonymous), anns: await makeTodo(ann) });
});
afterAll(() => app.close());

const call = 'PATCH /api/todos/{todo}';
const takes = (name: string, parts: Partial<Row>): Row => ({ name, call, status: 200, answer: {}, ...parts });
const refuses = (name: string, parts: Partial<Row>): Row => ({ name, call, status: 400, ...parts });

describe('the checkbox of a todo', () => {
  contract('takes', () => world, CHALLENGE, [
    ...[true, false, 1, 0, 't', 'f', 'T', 'F', 'True', 'False', 'true', 'false', 'TRUE', 'FALSE', '1', '0'].map(
      (completed) => takes(JSON.stringify(completed), { json: { completed } }),
    ),
    takes('1.0', { raw: '{"completed":1.0}' }),
    takes('0.0', { raw: '{"completed": 0.0}' }),
    takes('JSON without a content type', { raw: '{"completed":true}' }),
    ...[
      'text/plain',
      'application/x-www-form-urlencoded',
      'text/html; charset=latin1',
      'multipart/form-data',
      'x/y',
      'nonsense',
      '',
    ].map((type) =>
      takes(`JSON whatever the content type says: ${JSON.stringify(type)}`, {
        raw: '{"completed":true}',
        headers: { 'content-type': type },
      }),
    ),
    takes('JSON in pieces', { raw: '{"completed":true}', headers: { 'transfer-encoding': 'chunked' } }),
    takes('what axios sends', {
      raw: '{"completed":true}',
      headers: { accept: 'application/json, text/plain, */*', 'content-type': 'application/json;charset=UTF-8' },
    }),
    takes('more fields than it knows', { json: { completed: true, title: 7, id: 'x', ownerId: [], __proto__: null } }),
    takes('spaces around the JSON', { raw: ' \n{"completed":true}\n ' }),
    takes('a todo without an owner, from anybody signed in', { json: { completed: true }, as: 'ben' }),
    takes('one’s own', { call: 'PATCH /api/todos/{anns}', json: { completed: true }, as: 'ann' }),
    takes('anybody’s, from staff', { call: 'PATCH /api/todos/{anns}', json: { completed: true }, as: 'sue' }),
  ]);

  contract('refuses', () => world, CHALLENGE, [
    ...['yes', 'on', 'tRUE', '', ' true', '1.0', 2, -1, 0.5, [], [true], {}, { completed: true }].map((completed) =>
      refuses(JSON.stringify(completed), { json: { completed }, answer: NOT_TRUTH }),
    ),
    refuses('null', { json: { completed: null }, answer: { completed: [NOT_NULL] } }),
    refuses('none', { json: {}, answer: { completed: [REQUIRED] } }),
    refuses('another name', { json: { Completed: true }, answer: { completed: [REQUIRED] } }),
    refuses('no body', { answer: BAD_JSON }),
    refuses('an empty body', { raw: '', answer: BAD_JSON }),
    refuses('spaces', { raw: '  ', answer: BAD_JSON }),
    refuses('a form', { form: 'completed=true', answer: BAD_JSON }),
    refuses('broken JSON', { raw: '{"completed":true', answer: BAD_JSON }),
    refuses('two values', { raw: '{"completed":true}{}', answer: BAD_JSON }),
    refuses('no number', { raw: '{"completed":NaN}', answer: BAD_JSON }),
    refuses('what is not UTF-8', { raw: Buffer.from('{"completed":true,"x":"\xff"}', 'latin1'), answer: BAD_JSON }),
    refuses('UTF-16', { raw: Buffer.from('{"completed":true}', 'utf16le'), answer: BAD_JSON }),
    refuses('a list', { json: [{ completed: true }], answer: notAnObject('list') }),
    refuses('a text', { json: 'completed', answer: notAnObject('str') }),
    refuses('a number', { json: 1, answer: notAnObject('int') }),
    refuses('a fraction', { json: 1.5, answer: notAnObject('float') }),
    refuses('true', { json: true, answer: notAnObject('bool') }),
    refuses('nothing as JSON', { raw: 'null', answer: { non_field_errors: ['No data provided'] } }),
  ]);

  const missing = [
    '{gone}',
    '0',
    '-1',
    'abc',
    '1.5',
    '2147483648',
    '9223372036854775807',
    '9223372036854775808',
    '%00',
    '%ff',
    '%',
    '1%2F2',
    ' 1'.replace(' ', '%20'),
  ];
  contract('finds nothing', () => world, CHALLENGE, [
    ...missing.map(
      (id): Row => ({
        name: `under ${id}`,
        call: `PATCH /api/todos/${id}`,
        json: { completed: true },
        status: 404,
        answer: NOT_FOUND,
      }),
    ),
    {
      name: 'of somebody else',
      call: 'PATCH /api/todos/{anns}',
      as: 'ben',
      json: { completed: true },
      status: 404,
      answer: NOT_FOUND,
    },
    {
      name: 'with an owner, for nobody',
      call: 'PATCH /api/todos/{anns}',
      json: { completed: true },
      status: 404,
      answer: NOT_FOUND,
    },
    { name: 'before it looks at a body', call: 'PATCH /api/todos/{anns}', raw: '{', status: 404, answer: NOT_FOUND },
  ]);

  contract('refuses other methods without a word', () => world, {}, [
    ...['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'].flatMap((method) =>
      ['{todo}', '{gone}', 'abc'].map(
        (id): Row => ({
          name: `${method} ${id}`,
          call: `${method} /api/todos/${id}`,
          status: 405,
          has: { allow: 'PATCH' },
        }),
      ),
    ),
  ]);

  it('should change whether it is done, and nothing else', async () => {
    const id = await makeTodo(ann, 'Bread');
    const read = () =>
      ann.gql('query ($id: ID!) { todo(id: $id) { title description completed list { id } owner { username } } }', {
        id,
      });
    const before = (await read()).todo;
    for (const completed of [true, true, false]) {
      const json = { completed, title: 'Changed', description: null, ownerId: null };
      expect(await perform({ call: `PATCH /api/todos/${id}`, as: 'ann', json }, world)).toMatchObject({ status: 200 });
      expect((await read()).todo).toEqual({ ...before, completed });
    }
    await perform({ call: `PATCH /api/todos/${id}`, as: 'ann', json: { completed: 'maybe' } }, world);
    expect((await read()).todo).toEqual(before);
  });
});

describe('where nothing is everybody’s', () => {
  it('should find no todo for a caller without credentials', async () => {
    const closed = await startApp({ ALLOW_ANONYMOUS: 'false' });
    const sue = await closed.signUpStaff('sue');
    const id = await makeTodo(sue);
    await closed.sql('UPDATE "Todo" SET "ownerId" = NULL');
    const answer = await perform({ call: `PATCH /api/todos/${id}`, json: { completed: true } }, { url: closed.url });
    await closed.close();
    expect([answer.status, answer.text]).toEqual([404, JSON.stringify(NOT_FOUND)]);
  });
});
