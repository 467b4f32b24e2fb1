import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import {
  contract,
  indented,
  JSON_TYPE,
  NO_NULS,
  NOT_BLANK,
  NOT_NULL,
  NOT_TEXT,
  perform,
  REQUIRED,
  type Row,
  tooLong,
  type World,
} from './wire.ts';

const NOTHING = { 'not found': 404 };
const LIST = { write: indented };
const INTEGER = 'A valid integer is required.';
const BAD_JSON = /^\{\n {4}"detail": "JSON parse error - [^\n]+"\n\}$/;
const NOTE = {
  title: 'Zürich 🍏',
  description: '"quoted" \\ /',
  created_at: '2017-08-23 00:00',
  created_by: 'me',
  priority: 4,
};
const notAnObject = (type: string) => ({ non_field_errors: [`Invalid data. Expected a dictionary, but got ${type}.`] });

let app: TestApp;
const world: World = {};

const send = (call: string, parts: Partial<Row> = {}) => perform({ call, ...parts }, world);
const listed = async (as?: string) => JSON.parse((await send('GET /notes', as ? { as } : {})).text).notes;

/** Makes a note and gives its id. */
async function make(as?: string, changes: Record<string, unknown> = {}): Promise<number> {
  const { headers } = await send('POST /notes', { json: { ...NOTE, ...changes }, ...(as && { as }) });
  return Number(/^\/notes\/(\d+)$/.exec(String(headers.location))?.[1]);
}

beforeAll(async () => {
  app = await startApp();
  world['url'] = app.url;
  for (const name of ['ann', 'ben']) {
    world[name] = (await app.signUp(name)).authorization;
  }
  world['root'] = (await app.signUpStaff('root')).authorization;
});
beforeEach(async () => {
  await app.sql('DELETE FROM "Note"');
  world['note'] = await make();
  world['anns'] = await make('ann');
});
afterAll(() => app.close());

/** As Python wrote it: indented by four, in the order of the original, everything beyond ASCII escaped. */
const WRITTEN = `"title": "Z\\u00fcrich \\ud83c\\udf4f",
IN"description": "\\"quoted\\" \\\\ /",
IN"created_at": "2017-08-23 00:00",
IN"created_by": "me",
IN"priority": 4`;

describe('the list', () => {
  contract('answers', () => world, LIST, [
    {
      name: 'as the original wrote it',
      call: 'GET /notes',
      status: 200,
      answer: `{\n    "notes": [\n        {\n            "id": {note},\n            ${WRITTEN.replaceAll('IN', ' '.repeat(12))}\n        }\n    ]\n}`,
    },
    {
      name: 'whatever is accepted',
      call: 'GET /notes',
      headers: { accept: 'text/html' },
      status: 200,
      answer: /"notes"/,
    },
    { name: 'with its headers only', call: 'HEAD /notes', status: 200, has: { 'content-type': JSON_TYPE } },
  ]);

  it('should be empty when there is nothing to see', async () => {
    await app.sql('DELETE FROM "Note"');
    expect((await send('GET /notes')).text).toBe('{\n    "notes": []\n}');
  });

  it('should be ordered by id, and contain what the caller may see', async () => {
    const { note, anns } = world;
    const ids = async (as?: string) => (await listed(as)).map(({ id }: { id: number }) => id);
    expect(await ids()).toEqual([note]);
    expect(await ids('ben')).toEqual([note]);
    expect(await ids('ann')).toEqual([note, anns]);
    expect(await ids('root')).toEqual([note, anns]);
  });
});

describe('a note', () => {
  contract('answers', () => world, LIST, [
    {
      name: 'as the original wrote it, without its id',
      call: 'GET /notes/{note}',
      status: 200,
      answer: `{\n    ${WRITTEN.replaceAll('IN', ' '.repeat(4))}\n}`,
    },
    { name: 'its owner', call: 'GET /notes/{anns}', as: 'ann', status: 200, answer: NOTE },
    { name: 'staff', call: 'GET /notes/{anns}', as: 'root', status: 200, answer: NOTE },
    { name: 'with its headers only', call: 'HEAD /notes/{note}', status: 200, has: { 'content-type': JSON_TYPE } },
  ]);

  const hidden = ['GET', 'PUT', 'DELETE'].flatMap((method) =>
    ['0', '-1', '99999999', '9223372036854775808', 'x', '1.5', '%00', '%ff', '1%2F2', '{anns}'].map(
      (id): Row => ({
        name: `${method} /notes/${id}`,
        call: `${method} /notes/${id}`,
        ...(method === 'PUT' && { json: NOTE }),
        status: 404,
        answer: NOTHING,
      }),
    ),
  );
  contract('is not found', () => world, LIST, [
    ...hidden,
    { name: 'by somebody else', call: 'GET /notes/{anns}', as: 'ben', status: 404, answer: NOTHING },
    { name: 'whatever is to be put there', call: 'PUT /notes/0', raw: '{', status: 404, answer: NOTHING },
  ]);
});

describe('making a note', () => {
  it('should give the whole list, and where the note is', async () => {
    const { status, text, headers } = await send('POST /notes', { json: { ...NOTE, title: 'new' } });
    const [, made] = JSON.parse(text).notes;
    expect(status).toBe(201);
    expect(headers['content-type']).toBe(JSON_TYPE);
    expect(headers.location).toBe(`/notes/${made.id}`);
    expect(text).toBe(indented({ notes: await listed() }));
    expect(made).toEqual({ id: made.id, ...NOTE, title: 'new' });
  });

  it('should give nothing but its place when its sender prefers so', async () => {
    const { status, text, headers } = await send('POST /notes', { json: NOTE, headers: { prefer: 'return=minimal' } });
    expect({ status, text, applied: headers['preference-applied'] }).toEqual({
      status: 201,
      text: '',
      applied: 'return=minimal',
    });
    expect((await send(`GET ${headers.location}`)).text).toBe(indented(NOTE));
  });

  it('should put down the present minute and who it was when nobody says so', async () => {
    const { created_at: _at, created_by: _by, ...rest } = NOTE;
    const before = new Date().toISOString().slice(0, 16).replace('T', ' ');
    await send('POST /notes', { json: rest });
    await send('POST /notes', { json: rest, as: 'ann' });
    const after = new Date().toISOString().slice(0, 16).replace('T', ' ');
    const [anonymous, own] = (await listed('ann')).slice(-2);
    expect([before, after]).toContain(anonymous.created_at);
    expect(anonymous.created_by).toBe('');
    expect([before, after]).toContain(own.created_at);
    expect(own.created_by).toBe('ann');
  });

  const takes = (name: string, parts: Partial<Row>, found: Record<string, unknown> = {}): void => {
    it(`should take ${name}`, async () => {
      const { status, headers } = await send('POST /notes', { json: NOTE, ...parts });
      expect(status).toBe(201);
      expect(JSON.parse((await send(`GET ${headers.location}`)).text)).toEqual({ ...NOTE, ...found });
    });
  };
  const raw = JSON.stringify(NOTE);
  const bare = { json: undefined, raw };
  takes('JSON without a content type, as Python sends it', bare);
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'nonsense', '']) {
    takes(`JSON whatever the content type says: ${JSON.stringify(type)}`, {
      ...bare,
      headers: { 'content-type': type },
    });
  }
  takes('a priority as text', { json: { ...NOTE, priority: '4' } });
  takes('a priority as text with a sign', { json: { ...NOTE, priority: ' -4 ' } }, { priority: -4 });
  takes('a priority with a fraction of nothing', { json: undefined, raw: raw.replace('4}', '4.0}') });
  takes('the highest priority', { json: { ...NOTE, priority: 2_147_483_647 } }, { priority: 2_147_483_647 });
  takes('the lowest priority', { json: { ...NOTE, priority: -2_147_483_648 } }, { priority: -2_147_483_648 });
  takes('an empty description', { json: { ...NOTE, description: '' } }, { description: '' });
  takes('any text as a time', { json: { ...NOTE, created_at: 'long ago' } }, { created_at: 'long ago' });
  takes('a number as text', { json: { ...NOTE, title: 7 } }, { title: '7' });
  takes('50 characters', { json: { ...NOTE, title: '🍏'.repeat(50) } }, { title: '🍏'.repeat(50) });
  takes('spaces around a title', { json: { ...NOTE, title: '  x ' } }, { title: 'x' });
  takes('more fields than it knows', { json: { ...NOTE, id: 7, owner: 1, ownerId: 1, __proto__: null } });
});

describe('changing a note', () => {
  const changed = { ...NOTE, title: 'x', priority: -1 };
  contract('answers', () => world, LIST, [
    { name: 'the note', call: 'PUT /notes/{note}', json: changed, status: 201, answer: indented(changed) },
    { name: 'its owner', call: 'PUT /notes/{anns}', json: changed, as: 'ann', status: 201, answer: indented(changed) },
    { name: 'staff', call: 'PUT /notes/{anns}', json: changed, as: 'root', status: 201, answer: indented(changed) },
    {
      name: 'JSON without a content type',
      call: 'PUT /notes/{note}',
      raw: JSON.stringify(changed),
      status: 201,
      answer: indented(changed),
    },
  ]);

  contract(
    'wants all fields',
    () => world,
    LIST,
    Object.keys(NOTE).map(
      (field): Row => ({
        name: field,
        call: 'PUT /notes/{note}',
        json: { ...NOTE, [field]: undefined },
        status: 400,
        answer: { [field]: [REQUIRED] },
      }),
    ),
  );

  it('should delete it, with no body to answer, and not twice', async () => {
    expect(await send('DELETE /notes/{note}')).toMatchObject({ status: 204, text: '' });
    expect(await send('DELETE /notes/{note}')).toMatchObject({ status: 404, text: indented(NOTHING) });
    expect(await listed()).toEqual([]);
  });
});

describe.each(['POST /notes', 'PUT /notes/{note}'])('%s', (call) => {
  const refused = (name: string, changes: Record<string, unknown>, answer: unknown): Row => ({
    name,
    call,
    json: { ...NOTE, ...changes },
    status: 400,
    answer,
  });
  const broken = (name: string, parts: Partial<Row>, answer: unknown = BAD_JSON): Row => ({
    name,
    call,
    status: 400,
    answer,
    ...parts,
  });
  const texts = ['title', 'description', 'created_at', 'created_by'];
  const priorities = [true, '', 'four', '4.5', 4.5, [], {}, '0x10', '1e3', 'Infinity'];

  contract('refuses', () => world, LIST, [
    ...texts.flatMap((field) => [
      refused(`a ${field} that is too long`, { [field]: 'x'.repeat(51) }, { [field]: [tooLong(50)] }),
      refused(`a ${field} that is a list`, { [field]: [] }, { [field]: [NOT_TEXT] }),
      refused(`a ${field} that is null`, { [field]: null }, { [field]: [NOT_NULL] }),
      refused(`a ${field} with a NUL`, { [field]: 'a\0b' }, { [field]: [NO_NULS] }),
    ]),
    refused('an empty title', { title: '' }, { title: [NOT_BLANK] }),
    refused('a title of spaces', { title: '  ' }, { title: [NOT_BLANK] }),
    ...priorities.map((priority) =>
      refused(`the priority ${JSON.stringify(priority)}`, { priority }, { priority: [INTEGER] }),
    ),
    refused('a priority that is null', { priority: null }, { priority: [NOT_NULL] }),
    refused('too high a priority', { priority: 2_147_483_648 }, /^\{\n {4}"priority": \[\n {8}"[^"]+"\n {4}\]\n\}$/),
    refused('too low a priority', { priority: -2_147_483_649 }, /^\{\n {4}"priority": \[\n {8}"[^"]+"\n {4}\]\n\}$/),
    refused('several fields at once', { title: '', priority: 'x' }, { title: [NOT_BLANK], priority: [INTEGER] }),
    broken('no body', {}),
    broken('an empty body', { raw: '' }),
    broken('broken JSON', { raw: '{"title":' }),
    broken('a form', { form: 'title=x' }),
    broken('what is not UTF-8', { raw: Buffer.from('{"title":"\xff"}', 'latin1') }),
    broken('a list', { json: [NOTE] }, notAnObject('list')),
    broken('a text', { json: 'x' }, notAnObject('str')),
    broken('nothing as JSON', { raw: 'null' }, { non_field_errors: ['No data provided'] }),
  ]);

  it('should change nothing when it fails, and harm no later request', async () => {
    const before = await listed();
    for (const raw of ['{', JSON.stringify({ ...NOTE, priority: 'x' }), JSON.stringify({ title: 'only' })]) {
      expect((await send(call, { raw })).status).toBe(400);
    }
    expect(await listed()).toEqual(before);
    expect((await send(call, { json: NOTE })).status).toBe(201);
  });
});

describe('other methods', () => {
  const refused = (call: string, allow: string): Row => ({
    name: call,
    call,
    raw: '{',
    status: 405,
    has: { allow },
    ...(!call.startsWith('HEAD') && { answer: expect.anything() }),
  });
  it.each([
    ...['PUT', 'PATCH', 'DELETE', 'OPTIONS'].map((method) => refused(`${method} /notes`, 'GET, POST, HEAD')),
    ...['POST', 'PATCH', 'OPTIONS'].map((method) => refused(`${method} /notes/{note}`, 'GET, PUT, DELETE, HEAD')),
  ])('should be refused with what is allowed: $name', async ({ call, has }) => {
    const { status, headers } = await send(call);
    expect({ status, allow: headers.allow }).toEqual({ status: 405, allow: has?.['allow'] });
  });
});
