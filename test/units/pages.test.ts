import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matches, type RowCondition } from '../../src/database/condition.ts';
import {
  DEFAULT_PAGE_SIZE,
  fullCondition,
  MAX_PAGE_SIZE,
  type Order,
  type OrderColumns,
  type Page,
  type PageArguments,
  planPage,
  toPage,
  withBounds,
} from '../../src/database/page.ts';

interface Row {
  readonly id: number;
  readonly title: string;
  readonly createdAt: Date;
  readonly priority: number;
}

const COLUMNS: OrderColumns = { id: 'number', title: 'text', createdAt: 'date', priority: 'number' };

const compare = <Value>(one: Value, other: Value): number => (one < other ? -1 : Number(one > other));

function sorted(rows: readonly Row[], orderBy: readonly Readonly<Record<string, 'asc' | 'desc'>>[]): Row[] {
  return rows.toSorted((one, other) => {
    for (const [column, direction] of orderBy.flatMap((each) => Object.entries(each))) {
      const difference = compare(one[column as keyof Row], other[column as keyof Row]);
      if (difference !== 0) {
        return direction === 'asc' ? difference : -difference;
      }
    }
    return 0;
  });
}

/** Reads a page of rows in memory, as a database does. */
function readPage(rows: readonly Row[], page: PageArguments, order: Order): Page<Row> {
  const plan = planPage(page, order, COLUMNS);
  const condition = withBounds<'Note'>({}, plan) as RowCondition<'Note'>;
  const found = rows.filter((row) => matches(condition, row as never));
  return toPage(plan, sorted(found, plan.orderBy).slice(0, plan.take + 1), async () => rows.length);
}

/** Few values, so that many rows are equal in the column of the order. */
const tables = fc
  .array(
    fc.record({
      title: fc.constantFrom('', 'a', 'b', 'ä"\\'),
      createdAt: fc.constantFrom(1, 2, 3).map((second) => new Date(second * 1000)),
      priority: fc.integer({ min: -1, max: 1 }),
    }),
    { maxLength: 12 },
  )
  .map((rows) => rows.map((row, index): Row => ({ id: index + 1, ...row })));
const orders: fc.Arbitrary<Order> = fc.record({
  column: fc.constantFrom(...Object.keys(COLUMNS)),
  direction: fc.constantFrom('asc', 'desc'),
});
const sizes = fc.integer({ min: 1, max: 5 });

const inOrder = (rows: readonly Row[], { column, direction }: Order): Row[] =>
  sorted(rows, [{ [column]: direction }, { id: direction }]);
const idsOf = (rows: readonly Row[]): number[] => rows.map(({ id }) => id);

describe('the pages of a list', () => {
  it('should hold every row once, in order, from the first page to the last', () => {
    fc.assert(
      fc.property(tables, orders, sizes, (rows, order, first) => {
        const found: Row[] = [];
        let page = readPage(rows, { first }, order);
        expect(page.hasPreviousPage).toBe(false);
        found.push(...page.rows);
        while (page.hasNextPage) {
          expect(page.rows).toHaveLength(first);
          page = readPage(rows, { first, after: page.encodeCursor(page.rows.at(-1) as Row) }, order);
          expect(page.hasPreviousPage).toBe(true);
          found.push(...page.rows);
          expect(found.length).toBeLessThanOrEqual(rows.length);
        }
        expect(idsOf(found)).toEqual(idsOf(inOrder(rows, order)));
      }),
    );
  });

  it('should hold every row once, in order, from the last page to the first', () => {
    fc.assert(
      fc.property(tables, orders, sizes, (rows, order, last) => {
        const found: Row[] = [];
        let page = readPage(rows, { last }, order);
        expect(page.hasNextPage).toBe(false);
        found.unshift(...page.rows);
        while (page.hasPreviousPage) {
          expect(page.rows).toHaveLength(last);
          page = readPage(rows, { last, before: page.encodeCursor(page.rows[0] as Row) }, order);
          expect(page.hasNextPage).toBe(true);
          found.unshift(...page.rows);
          expect(found.length).toBeLessThanOrEqual(rows.length);
        }
        expect(idsOf(found)).toEqual(idsOf(inOrder(rows, order)));
      }),
    );
  });

  it('should hold the rows between two cursors, both excluded', () => {
    fc.assert(
      fc.property(tables, orders, fc.nat({ max: 11 }), fc.nat({ max: 11 }), (rows, order, from, to) => {
        const all = inOrder(rows, order);
        const [start, end] = [all[from], all[to]];
        fc.pre(start !== undefined && end !== undefined);
        const { encodeCursor } = readPage(rows, {}, order);
        const page = readPage(rows, { after: encodeCursor(start), before: encodeCursor(end) }, order);
        expect(idsOf(page.rows)).toEqual(idsOf(all.slice(from + 1, Math.max(to, from + 1))));
      }),
    );
  });

  it('should not lose or repeat a row when the row of the cursor is deleted, or rows before it are added', () => {
    fc.assert(
      fc.property(tables, orders, sizes, (rows, order, first) => {
        const page = readPage(rows, { first }, order);
        const last = page.rows.at(-1);
        fc.pre(last !== undefined);
        const left = rows.filter(({ id }) => id !== last.id);
        const next = readPage(left, { after: page.encodeCursor(last) }, order);
        expect(idsOf(next.rows)).toEqual(idsOf(inOrder(rows, order).slice(page.rows.length)));
      }),
    );
  });

  it('should end exactly where the rows end', () => {
    const rows = [1, 2, 3].map((id): Row => ({ id, title: 'a', createdAt: new Date(0), priority: 0 }));
    const order: Order = { column: 'title', direction: 'asc' };
    const more = (page: PageArguments): boolean[] => {
      const { hasNextPage, hasPreviousPage } = readPage(rows, page, order);
      return [hasNextPage, hasPreviousPage];
    };
    expect([more({ first: 2 }), more({ first: 3 }), more({ first: 4 })]).toEqual([
      [true, false],
      [false, false],
      [false, false],
    ]);
    expect([more({ last: 2 }), more({ last: 3 }), more({ last: 4 })]).toEqual([
      [false, true],
      [false, false],
      [false, false],
    ]);
  });

  it('should be read in the opposite order from the end', () => {
    const orderOf = (page: PageArguments, direction: 'asc' | 'desc') =>
      planPage(page, { column: 'title', direction }, COLUMNS).orderBy;
    expect(orderOf({ first: 1 }, 'asc')).toEqual([{ title: 'asc' }, { id: 'asc' }]);
    expect(orderOf({ last: 1 }, 'asc')).toEqual([{ title: 'desc' }, { id: 'desc' }]);
    expect(orderOf({ last: 1 }, 'desc')).toEqual([{ title: 'asc' }, { id: 'asc' }]);
  });

  it('should be able to hold nothing, and still have hasNextPage say whether rows follow', () => {
    const rows: Row[] = [{ id: 1, title: 'a', createdAt: new Date(0), priority: 0 }];
    const order: Order = { column: 'id', direction: 'asc' };
    expect(readPage(rows, { first: 0 }, order)).toMatchObject({ rows: [], hasNextPage: true, hasPreviousPage: false });
    expect(readPage(rows, { last: 0 }, order)).toMatchObject({ rows: [], hasNextPage: false, hasPreviousPage: true });
    expect(readPage([], {}, order)).toMatchObject({ rows: [], hasNextPage: false, hasPreviousPage: false });
  });

  it('should count the rows of the whole list', async () => {
    const plan = planPage({}, { column: 'id', direction: 'asc' }, COLUMNS);
    expect(await toPage(plan, [], async () => 7).totalCount()).toBe(7);
  });
});

describe('the size of a page', () => {
  const order: Order = { column: 'title', direction: 'asc' };
  const take = (page: PageArguments): number => planPage(page, order, COLUMNS).take;

  it('should be bounded, with a default', () => {
    expect([take({}), take({ first: null, last: null })]).toEqual([DEFAULT_PAGE_SIZE, DEFAULT_PAGE_SIZE]);
    expect([take({ first: 0 }), take({ last: 0 }), take({ first: 7 }), take({ last: 7 })]).toEqual([0, 0, 7, 7]);
    expect([take({ first: MAX_PAGE_SIZE }), take({ last: MAX_PAGE_SIZE })]).toEqual([MAX_PAGE_SIZE, MAX_PAGE_SIZE]);
  });

  it.each([
    ['first', -1],
    ['first', MAX_PAGE_SIZE + 1],
    ['last', -1],
    ['last', MAX_PAGE_SIZE + 1],
  ])('should be refused for %s = %i', (path, size) => {
    expect(() => take({ [path]: size })).toThrow(
      expect.objectContaining({ fields: [{ path, message: 'Ensure this value is between 0 and 100.' }] }),
    );
  });

  it('should be given once', () => {
    expect(() => take({ first: 1, last: 1 })).toThrow(
      expect.objectContaining({ fields: [{ path: 'last', message: 'Give either first or last, not both.' }] }),
    );
  });
});

describe('the cursor of a page', () => {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const plan = (after: string, column: string) => planPage({ after }, { column, direction: 'asc' }, COLUMNS);
  const badCursor = expect.objectContaining({ code: 'BAD_CURSOR', status: 400 });

  it('should keep the form that clients have stored', () => {
    const row: Row = { id: 3, title: 'a', createdAt: new Date(0), priority: -5 };
    const cursorIn = (column: string): string => readPage([row], {}, { column, direction: 'asc' }).encodeCursor(row);
    expect(cursorIn('id')).toBe(encode(['id', 3, null]));
    expect(cursorIn('title')).toBe(encode(['title', 3, 'a']));
    expect(cursorIn('priority')).toBe(encode(['priority', 3, -5]));
    expect(cursorIn('createdAt')).toBe(encode(['createdAt', 3, '1970-01-01T00:00:00.000Z']));
  });

  it('should start the scan of an index at its value', () => {
    expect(plan(encode(['priority', 3, 7]), 'priority').bounds).toEqual([
      { priority: { gte: 7 }, OR: [{ priority: { gt: 7 } }, { id: { gt: 3 } }] },
    ]);
    expect(plan(encode(['id', 3, null]), 'id')).toMatchObject({
      bounds: [{ id: { gt: 3 } }],
      orderBy: [{ id: 'asc' }],
    });
  });

  it.each<[string, string, unknown]>([
    ['is of another order', 'title', ['priority', 3, 7]],
    ['is of another order with values of the same kind', 'title', ['description', 3, 'a']],
    ['has a number for a text', 'title', ['title', 3, 7]],
    ['has a text for a number', 'priority', ['priority', 3, '7']],
    ['has null for a number', 'priority', ['priority', 3, null]],
    ['has null for a text', 'title', ['title', 3, null]],
    ['has null for a date', 'createdAt', ['createdAt', 3, null]],
    ['has a number for a date', 'createdAt', ['createdAt', 3, 7]],
    ['has no date', 'createdAt', ['createdAt', 3, 'yesterday']],
    ['has a date before the year 1', 'createdAt', ['createdAt', 3, '0000-12-31T23:59:59.999Z']],
    ['has a date after the year 9999', 'createdAt', ['createdAt', 3, '+010000-01-01T00:00:00.000Z']],
    ['is of a column by which the list has no order', 'secret', ['secret', 3, '2026-01-01T00:00:00.000Z']],
    ['has an id that is a text', 'id', ['id', '3', null]],
    ['has an id that no row can have', 'id', ['id', 2 ** 31, null]],
    ['has a number that no row can have', 'priority', ['priority', 3, 2 ** 31]],
    ['has too few values', 'id', ['id', 3]],
    ['has too many values', 'id', ['id', 3, null, null]],
    ['is no list', 'id', { id: 3 }],
  ])('should be refused when it %s', (_, column, value) => {
    expect(() => plan(encode(value), column)).toThrow(badCursor);
  });

  it.each(['', 'nonsense', '!', Buffer.from('[').toString('base64url')])('should be refused for %j', (cursor) => {
    expect(() => plan(cursor, 'id')).toThrow(badCursor);
    expect(() => planPage({ before: cursor }, { column: 'id', direction: 'asc' }, COLUMNS)).toThrow(badCursor);
  });

  it.each(['0001-01-01T00:00:00.000Z', '9999-12-31T23:59:59.999Z'])('should be taken with the date %s', (date) => {
    expect(plan(encode(['createdAt', 3, date]), 'createdAt').bounds).toMatchObject([
      { createdAt: { gte: new Date(date) } },
    ]);
  });
});

describe('the condition of a list', () => {
  it('should include the filter of the caller, if there is one', () => {
    expect(fullCondition<'Note'>({ where: { ownerId: 1 } })).toEqual({ ownerId: 1 });
    const both = fullCondition<'Note'>({ where: { ownerId: 1 }, filter: { priority: 2 } }) as RowCondition<'Note'>;
    const holds = (ownerId: number, priority: number): boolean => matches(both, { ownerId, priority });
    expect([holds(1, 2), holds(1, 3), holds(2, 2)]).toEqual([true, false, false]);
  });

  it('should remain part of the condition of a page', () => {
    const plan = planPage({}, { column: 'id', direction: 'asc' }, COLUMNS);
    const condition = withBounds<'Note'>({ ownerId: 1 }, plan) as RowCondition<'Note'>;
    expect([matches(condition, { ownerId: 1 }), matches(condition, { ownerId: 2 })]).toEqual([true, false]);
  });
});
