import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';

const FIELDS = 'id title description priority createdAt createdBy insertedAt updatedAt owner { username }';
const CREATE = `mutation ($input: CreateNoteInput!) {
  createNote(input: $input) { __typename ... on Note { ${FIELDS} } ... on ValidationError { fields { path message } } }
}`;
const UPDATE = `mutation ($id: ID!, $input: UpdateNoteInput!) {
  updateNote(id: $id, input: $input) {
    __typename
    ... on Note { ${FIELDS} }
    ... on Error { message }
    ... on ValidationError { fields { path message } }
  }
}`;
const DELETE = `mutation ($id: ID!) {
  deleteNote(id: $id) { __typename ... on Note { ${FIELDS} } ... on Error { message } }
}`;
const READ = `query ($id: ID!) { note(id: $id) { ${FIELDS} } }`;
const SEARCH = `query ($filter: NoteFilter, $orderBy: NoteOrder) {
  notes(filter: $filter, orderBy: $orderBy) { nodes { title } }
}`;

const NOTE = { title: 'Tea', description: 'Green', priority: 3 };
const NOT_FOUND = { __typename: 'NotFoundError', message: 'Not found.' };
const GARBAGE_IDS = ['', 'abc', '0', '-1', '1.5', '01', '2147483648', '99999999999999999999'];

let app: TestApp;
let ann: Person;
let ben: Person;

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  ben = await app.signUp('ben');
});
afterAll(() => app.close());

const make = async (person: Person, input: object = {}) =>
  (await person.gql(CREATE, { input: { ...NOTE, ...input } })).createNote;
const read = async (person: Person, id: string) => (await person.gql(READ, { id })).note;
const update = async (person: Person, id: string, input: object) =>
  (await person.gql(UPDATE, { id, input })).updateNote;
const titles = async (person: Person, filter: object, orderBy?: object): Promise<string[]> =>
  (await person.gql(SEARCH, { filter, orderBy })).notes.nodes.map(({ title }: { title: string }) => title);

const minuteInUtc = (): string => new Date().toISOString().slice(0, 16).replace('T', ' ');

describe('making notes', () => {
  it('should keep what was given', async () => {
    const note = await make(ann, { createdAt: '2017-08-23 00:00', createdBy: 'somebody else' });
    expect(note).toMatchObject({
      ...NOTE,
      createdAt: '2017-08-23 00:00',
      createdBy: 'somebody else',
      owner: { username: 'ann' },
    });
    expect(await read(ann, note.id)).toEqual({ ...note, __typename: undefined });
  });

  it('should take the present minute in UTC and the viewer’s name for what was left out', async () => {
    const before = minuteInUtc();
    const note = await make(ann);
    expect([before, minuteInUtc()]).toContain(note.createdAt);
    expect(note.createdBy).toBe('ann');
  });

  it('should belong to nobody and name nobody when made without credentials', async () => {
    const note = await make(app.anonymous);
    expect(note).toMatchObject({ createdBy: '', owner: null });
    expect(await read(ben, note.id)).toMatchObject({ id: note.id });
  });

  it('should keep empty texts where they were given', async () => {
    const note = await make(ann, { description: '', createdAt: '', createdBy: '' });
    expect(note).toMatchObject({ description: '', createdAt: '', createdBy: '' });
  });

  it('should cut a long username between characters', async () => {
    const username = `古${'𠮷'.repeat(60)}`;
    const { createdBy } = await make(await app.signUp(username));
    expect(createdBy).toBe([...username].slice(0, 50).join(''));
  });

  it('should name every field that breaks a limit', async () => {
    const long = 'x'.repeat(51);
    const refused = await make(ann, { title: long, description: long, createdAt: long, createdBy: long });
    const message = 'Ensure this field has no more than 50 characters.';
    expect(refused.fields).toEqual(
      ['title', 'description', 'createdAt', 'createdBy'].map((path) => ({ path, message })),
    );
    expect((await make(ann, { title: ' ' })).fields).toEqual([
      { path: 'title', message: 'This field may not be blank.' },
    ]);
    const full = '🍏'.repeat(50);
    expect(await make(ann, { title: full, description: full, createdAt: full, createdBy: full })).toMatchObject({
      title: full,
      createdBy: full,
    });
  });

  it('should keep priorities of 32 bits, and no others', async () => {
    for (const priority of [2_147_483_647, -2_147_483_648, 0]) {
      expect(await make(ann, { priority })).toMatchObject({ priority });
    }
    for (const priority of [2_147_483_648, 1.5, '3', null]) {
      const answer = await ann.ask(CREATE, { input: { ...NOTE, priority } });
      expect(answer.errors?.[0]?.message).toContain('input.priority');
    }
  });
});

describe('changing notes', () => {
  it('should change what is given and leave the rest', async () => {
    const note = await make(ann, { createdAt: 'once' });
    expect(await update(ann, note.id, { priority: -1, createdBy: '' })).toEqual({
      ...note,
      priority: -1,
      createdBy: '',
      updatedAt: expect.any(String),
    });
    expect(await update(ann, note.id, { title: ' Coffee ', description: '', createdAt: 'never' })).toMatchObject({
      title: 'Coffee',
      description: '',
      createdAt: 'never',
      priority: -1,
      insertedAt: note.insertedAt,
    });
    expect(await read(ann, note.id)).toMatchObject({ title: 'Coffee', createdAt: 'never', priority: -1 });
  });

  it('should refuse null everywhere, and change nothing', async () => {
    const note = await make(ann);
    const nothing = { title: null, description: null, priority: null, createdAt: null, createdBy: null };
    const refused = await update(ann, note.id, nothing);
    expect(refused.fields).toEqual(
      Object.keys(nothing).map((path) => ({ path, message: 'This field may not be null.' })),
    );
    expect(await read(ann, note.id)).toEqual({ ...note, __typename: undefined });
  });

  it('should give what a deleted note was', async () => {
    const note = await make(ann);
    expect((await ann.gql(DELETE, { id: note.id })).deleteNote).toEqual(note);
    expect(await read(ann, note.id)).toBeNull();
  });

  it('should find nothing under an id that is garbage, gone or somebody else’s', async () => {
    const gone = await make(ann);
    await ann.gql(DELETE, { id: gone.id });
    const bens = await make(ben);
    for (const id of [gone.id, bens.id, ...GARBAGE_IDS]) {
      expect(await read(ann, id)).toBeNull();
      expect(await update(ann, id, { title: 'x' })).toEqual(NOT_FOUND);
      expect((await ann.gql(DELETE, { id })).deleteNote).toEqual(NOT_FOUND);
    }
    expect(await read(ben, bens.id)).toMatchObject({ title: 'Tea' });
  });
});

describe('finding notes', () => {
  it('should narrow by title, writer and priority, and order by each', async () => {
    const createdBy = 'the finder';
    await make(ann, { title: 'low', priority: -5, createdBy, createdAt: '3' });
    await make(ann, { title: 'Mid', priority: 0, createdBy, createdAt: '2' });
    await make(ann, { title: 'high', priority: 7, createdBy, createdAt: '10' });
    await make(ann, { title: 'low', priority: 7, createdBy: 'another' });
    expect(await titles(ann, { createdBy })).toEqual(['low', 'Mid', 'high']);
    expect(await titles(ann, { createdBy: 'THE FINDER' })).toEqual([]);
    expect(await titles(ann, { createdBy, titleContains: 'I' })).toEqual(['Mid', 'high']);
    expect(await titles(ann, { createdBy, minPriority: 0 })).toEqual(['Mid', 'high']);
    expect(await titles(ann, { createdBy, maxPriority: 0 })).toEqual(['low', 'Mid']);
    expect(await titles(ann, { createdBy, minPriority: -4, maxPriority: 6 })).toEqual(['Mid']);
    expect(await titles(ann, { createdBy }, { field: 'PRIORITY', direction: 'DESC' })).toEqual(['high', 'Mid', 'low']);
    expect(await titles(ann, { createdBy }, { field: 'TITLE' })).toEqual(['Mid', 'high', 'low']);
    expect(await titles(ann, { createdBy }, { field: 'CREATED_AT' })).toEqual(['high', 'Mid', 'low']);
    expect(await titles(ann, { createdBy }, { field: 'INSERTED_AT', direction: 'DESC' })).toHaveLength(3);
  });
});
