import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { globalId } from '../kit/ids.ts';
import {
  anyOrder,
  documentOf,
  type FilledApp,
  idsOf,
  LISTS,
  type List,
  type Page,
  screaming,
  startFilledApp,
} from './lists.ts';

const DELETE_MANY = 'mutation ($ids: [ID!]!) { deleteTodos(ids: $ids) { ... on DeletedTodos { ids } } }';

let app: TestApp;
let read: FilledApp['read'];
let readerOf: FilledApp['readerOf'];

beforeAll(async () => {
  ({ app, read, readerOf } = await startFilledApp());
});
afterAll(() => app.close());

describe('cursors', () => {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

  it.each(Object.entries(LISTS))(
    'should be refused when malformed or made for another order: %s',
    async (_name, list) => {
      const forged = ['', 'x', '{}', encode({}), encode([]), encode(null), encode(['id']), encode(['id', '1', null])];
      forged.push(
        encode(['id', 1.5, null]),
        encode(['id', 1e20, null]),
        encode(['id', 1, null, 1]),
        encode(['ownerId', 1, 1]),
      );
      for (const field of list.fields) {
        const others = list.fields.filter((other) => other !== field);
        const otherPages = others.map(
          async (other) => (await read(list, { first: 1 }, { field: screaming(other) })).pageInfo,
        );
        const wrongKind =
          field === 'id'
            ? []
            : [{}, true, [1], null, field === 'priority' ? '5' : 5].map((value) => encode([field, 1, value]));
        const cursors = [...forged, ...wrongKind, ...(await Promise.all(otherPages)).map(({ endCursor }) => endCursor)];
        for (const cursor of cursors) {
          const orderBy = { field: screaming(field) };
          expect(await readerOf(list).codeOf(documentOf(list), { first: 1, after: cursor, orderBy }), cursor).toBe(
            'BAD_CURSOR',
          );
          expect(await readerOf(list).codeOf(documentOf(list), { last: 1, before: cursor, orderBy }), cursor).toBe(
            'BAD_CURSOR',
          );
        }
      }
    },
  );

  it('should never be more than refused, whatever they hold', async () => {
    const dates = [
      '+275760-09-13T00:00:00.000Z',
      '-271821-04-20T00:00:00.000Z',
      '0000-01-01',
      '9999-12-31T23:59:59Z',
      '1',
    ];
    const values = fc.oneof(
      fc.constantFrom(...dates, '\0', '\ud800', '', null, 0, -2_147_483_648, 2_147_483_647, 1.5),
      fc.string({ unit: 'binary' }),
      fc.jsonValue(),
    );
    await fc.assert(
      fc.asyncProperty(anyOrder, fc.integer(), values, async ({ name, field, direction }, id, value) => {
        const variables = {
          first: 1,
          after: encode([field, id, value]),
          orderBy: { field: screaming(field), direction },
        };
        const list = LISTS[name] as List;
        const { errors } = await readerOf(list).ask(documentOf(list), variables);
        expect(errors?.map(({ extensions }) => extensions?.['code']) ?? []).toEqual(errors ? ['BAD_CURSOR'] : []);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a list that changes while it is read', () => {
  // Everybody's rows would be in the way.
  let own: TestApp;
  beforeAll(async () => {
    own = await startApp({ ALLOW_ANONYMOUS: 'false' });
  });
  afterAll(async () => {
    await own.close();
  });

  it.each([
    { field: 'ID', direction: 'ASC', backward: false },
    { field: 'ID', direction: 'DESC', backward: true },
    { field: 'TITLE', direction: 'ASC', backward: false },
    { field: 'TITLE', direction: 'DESC', backward: false },
    { field: 'TITLE', direction: 'ASC', backward: true },
  ])('should give every row that stays once and in order: $field $direction, backward $backward', async (walked) => {
    const { backward, ...orderBy } = walked;
    const person = await own.signUp(`walker-${walked.field}-${walked.direction}-${backward}`);
    const make = async (title: string): Promise<string> =>
      (
        await person.gql('mutation ($t: String!) { made: createTodo(input: { title: $t }) { ... on Todo { id } } }', {
          t: title,
        })
      ).made.id;
    const alphabet = 'abcdefghij';
    for (let index = 0; index < 60; index++) {
      await make(`${alphabet[(index * 7) % 10]}`);
    }
    const query = documentOf(LISTS['todos'] as List);
    const read = async (page: object): Promise<Page> => (await person.gql(query, { ...page, orderBy })).list;
    const before = idsOf(await read({ first: 100 }));
    expect(before).toHaveLength(60);

    const gone = new Set<string>();
    const seen: string[] = [];
    for (let cursor: string | undefined, more = true; more; ) {
      const page = await read(backward ? { last: 7, before: cursor } : { first: 7, after: cursor });
      const { startCursor, endCursor, hasNextPage, hasPreviousPage } = page.pageInfo;
      seen[backward ? 'unshift' : 'push'](...idsOf(page));
      cursor = backward ? startCursor : endCursor;
      more = backward ? hasPreviousPage : hasNextPage;
      const onPage = idsOf(page);
      const unread = before.filter((id) => !seen.includes(id) && !gone.has(id)).at(backward ? -2 : 1);
      const doomed = [onPage.at(backward ? 0 : -1), onPage.at(backward ? -1 : 0), unread];
      const ids = [...new Set(doomed.filter((id) => id !== undefined))];
      expect((await person.gql(DELETE_MANY, { ids })).deleteTodos).toEqual({
        ids: ids.map((id) => globalId('Todo', id)),
      });
      for (const id of ids) {
        gone.add(id);
      }
      await Promise.all(['0', 'e', 'z'].map(make));
    }
    expect(new Set(seen).size).toBe(seen.length);
    const stayed = before.filter((id) => !gone.has(id));
    expect(stayed.length).toBeGreaterThan(20);
    expect(seen.filter((id) => stayed.includes(id))).toEqual(stayed);
  });
});
