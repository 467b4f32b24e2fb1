import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { ON_POSTGRES } from '../kit/postgres.ts';
import {
  anyOrder,
  COUNT,
  documentOf,
  type FilledApp,
  idsOf,
  LISTS,
  type List,
  PAGE_ARGUMENTS,
  PAGE_VARIABLES,
  SHOWN,
  screaming,
  startFilledApp,
} from './lists.ts';

let app: TestApp;
let ann: Person;
let root: Person;
let read: FilledApp['read'];
let readerOf: FilledApp['readerOf'];
let sortedIds: FilledApp['sortedIds'];

beforeAll(async () => {
  ({ app, ann, root, read, readerOf, sortedIds } = await startFilledApp());
});
afterAll(() => app.close());

/** Reads a list from one end to the other and checks every page on the way. */
async function walk(list: List, orderBy: object, size: number, backward: boolean, total: number): Promise<string[]> {
  const seen: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await read(
      list,
      backward ? { last: size, ...(cursor && { before: cursor }) } : { first: size, ...(cursor && { after: cursor }) },
      orderBy,
    );
    const left = total - seen.length;
    const { hasNextPage, hasPreviousPage, startCursor, endCursor } = page.pageInfo;
    expect(page.edges).toHaveLength(Math.min(size, left));
    expect(page.totalCount).toBe(total);
    expect([startCursor, endCursor]).toEqual([page.edges[0]?.cursor, page.edges.at(-1)?.cursor]);
    expect(backward ? [hasPreviousPage, hasNextPage] : [hasNextPage, hasPreviousPage]).toEqual([
      left > size,
      cursor !== undefined,
    ]);
    seen[backward ? 'unshift' : 'push'](...idsOf(page));
    if (left <= size) {
      return seen;
    }
    cursor = backward ? startCursor : endCursor;
  }
}

interface PlanStep {
  readonly id: number;
  readonly parent: number;
  readonly detail: string;
}

describe.skipIf(ON_POSTGRES)('the plan of a page', () => {
  it('should begin where the page does and sort no more than the page, in any list and order, for anybody', async () => {
    const top = Object.values(LISTS).filter(({ open }) => open.startsWith('list:'));
    for (const list of top.filter(({ type }) => type !== 'ChatSession')) {
      for (const field of list.fields) {
        for (const direction of ['ASC', 'DESC']) {
          const orderBy = { field: screaming(field), direction };
          for (const viewer of list.isForStaff ? [root] : [ann, root]) {
            const query = documentOf(list).replace(SHOWN, 'edges { cursor }');
            const { list: first } = await viewer.gql(query, { first: 3, orderBy });
            const statements = await app.statementsOf(() =>
              viewer.gql(query, { first: 3, after: first.edges[1].cursor, orderBy }),
            );
            expect(statements).toHaveLength(1);
            const [statement = ''] = statements;
            const nulls = Array.from({ length: statement.split('?').length - 1 }, () => null);
            const plan = (await app.sql(`EXPLAIN QUERY PLAN ${statement}`, ...nulls)) as unknown as PlanStep[];
            const reads = plan.filter(({ detail }) => new RegExp(`^(SCAN|SEARCH) ${list.type}\\b`).test(detail));
            expect(reads.length).toBeGreaterThan(0);
            for (const { parent, detail } of reads) {
              expect(detail, statement).toMatch(/^SEARCH/);
              const besides = plan.filter((step) => step.parent === parent).map((step) => step.detail);
              expect(besides, statement).not.toContain('USE TEMP B-TREE FOR ORDER BY');
            }
          }
        }
      }
    }
  });
});

describe('pages', () => {
  it('should together be exactly the sorted rows, in any list, order, direction and size', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyOrder,
        fc.integer({ min: 1, max: COUNT + 1 }),
        fc.boolean(),
        async ({ name, field, direction }, size, backward) => {
          const list = LISTS[name] as List;
          const expected = await sortedIds(list, field, direction);
          const seen = await walk(list, { field: screaming(field), direction }, size, backward, expected.length);
          expect(seen).toEqual(expected);
        },
      ),
      { numRuns: 80 },
    );
  });

  it('should lie between two cursors, at either end', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyOrder,
        fc.nat(COUNT - 1),
        fc.nat(COUNT - 1),
        fc.integer({ min: 1, max: COUNT }),
        async ({ name, field, direction }, one, two, size) => {
          const list = LISTS[name] as List;
          const order = { field: screaming(field), direction };
          const [from, to] = [Math.min(one, two), Math.max(one, two)];
          const all = await sortedIds(list, field, direction);
          const { edges } = await read(list, { first: 100 }, order);
          const bounds = { after: edges[from]?.cursor ?? '', before: edges[to]?.cursor ?? '' };
          const between = all.slice(from + 1, to);
          const start = await read(list, { first: size, ...bounds }, order);
          expect(idsOf(start)).toEqual(between.slice(0, size));
          const end = await read(list, { last: size, ...bounds }, order);
          expect(idsOf(end)).toEqual(between.slice(-size));
        },
      ),
      { numRuns: 40 },
    );
  });

  it('should be the same in a list as at the top under the same filter and order', async () => {
    const filters = fc.record(
      {
        completed: fc.boolean(),
        titleContains: fc.constantFrom('a', 'A', ' ', '%', "'", '🍏', 'zzz'),
        createdFrom: fc.constantFrom('2025-01-01T00:00:00Z', '2025-01-01T00:00:00.001Z'),
        createdBefore: fc.constantFrom('2026-06-30T00:00:00Z', '2025-01-01T00:00:00+01:00'),
      },
      { requiredKeys: [] },
    );
    const query = `query (${PAGE_VARIABLES}, $orderBy: TodoOrder, $inList: TodoFilter, $atTop: TodoFilter) {
      nested: todoList(id: 2) { todos(filter: $inList, ${PAGE_ARGUMENTS}) { ${SHOWN} } }
      todos(filter: $atTop, ${PAGE_ARGUMENTS}) { ${SHOWN} }
    }`;
    await fc.assert(
      fc.asyncProperty(
        filters,
        fc.constantFrom(...(LISTS['TodoList.todos']?.fields ?? [])),
        fc.constantFrom('ASC', 'DESC'),
        fc.constantFrom('first', 'last'),
        fc.integer({ min: 0, max: 40 }),
        fc.option(fc.nat(10)),
        async (filter, field, direction, end, size, start) => {
          const orderBy = { field: screaming(field), direction };
          const variables = { inList: filter, atTop: { ...filter, listId: '2' }, orderBy, [end]: size };
          const whole = await ann.gql(query, { ...variables, first: 100, last: undefined });
          const cursor = start === null ? undefined : whole.todos.edges[start]?.cursor;
          const bound = end === 'first' ? { after: cursor } : { before: cursor };
          const { nested, todos } = await ann.gql(query, { ...variables, ...bound });
          expect(nested.todos).toEqual(todos);
          expect(whole.nested.todos).toEqual(whole.todos);
        },
      ),
      { numRuns: 60 },
    );
  });

  it.each(Object.entries(LISTS))('should hold 20 rows unless asked, and 0 to 100: %s', async (name, list) => {
    const total = (await sortedIds(list, 'id', 'ASC')).length;
    expect(total, name).toBeGreaterThan(20);
    expect((await read(list, {})).edges).toHaveLength(20);
    expect((await read(list, { first: 100 })).edges).toHaveLength(Math.min(total, 100));
    expect((await read(list, { last: 100 })).edges).toHaveLength(Math.min(total, 100));
    expect(await read(list, { first: 0 })).toMatchObject({ edges: [], totalCount: total });
    for (const [path, size] of [
      ['first', 101],
      ['last', 101],
      ['first', -1],
      ['last', -1],
    ] as const) {
      const answer = await readerOf(list).ask(documentOf(list), { [path]: size });
      expect(answer.errors?.[0]?.extensions).toEqual({
        code: 'VALIDATION',
        fields: [{ path, message: 'Ensure this value is between 0 and 100.' }],
      });
    }
    expect(await readerOf(list).codeOf(documentOf(list), { first: 1, last: 1 })).toBe('VALIDATION');
  });

  it('should be empty, with neither neighbours nor cursors, where nothing is found', async () => {
    const { todos } = await ann.gql(`{ todos(filter: { titleContains: "no such" }) { ${SHOWN} } }`);
    const pageInfo = { hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null };
    expect(todos).toEqual({ edges: [], pageInfo, totalCount: 0 });
  });
});
