import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { globalId } from './kit/ids.ts';
import type { Person } from './kit/person.ts';

let app: TestApp;
let ann: Person;

interface Todo {
  readonly id: number;
  readonly title: string;
  readonly completed: boolean;
  readonly createdAt: string;
  readonly updatedAt: string;
}

interface Filter {
  readonly titleContains?: string | null;
  readonly completed?: boolean | null;
  readonly createdFrom?: string | null;
  readonly updatedBefore?: string | null;
  readonly ids?: readonly string[] | null;
  readonly or?: readonly Filter[] | null;
}

const DAYS = ['2024-02-29', '2025-01-01', '2026-06-30'].map((day) => `${day}T00:00:00.000Z`);
const todos: Todo[] = [];

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  for (let index = 0; index < 24; index++) {
    const todo = {
      id: index + 1,
      title: `${'abc'[index % 3]}${index % 4}`,
      completed: index % 2 === 0,
      createdAt: DAYS[index % 3] ?? '',
      updatedAt: DAYS[(index * 5) % 3] ?? '',
    };
    const { id, title, completed, createdAt, updatedAt } = todo;
    await app.sql(
      'INSERT INTO "Todo" ("id", "title", "completed", "createdAt", "updatedAt") VALUES (?, ?, ?, ?, ?)',
      id,
      title,
      completed,
      createdAt.replace('Z', '+00:00'),
      updatedAt.replace('Z', '+00:00'),
    );
    todos.push(todo);
  }
});
afterAll(() => app.close());

const TODOS = 'query ($filter: TodoFilter) { todos(first: 100, filter: $filter) { totalCount nodes { databaseId } } }';

/** What a filter means, as its descriptions say it. */
function meets(todo: Todo, { titleContains, completed, createdFrom, updatedBefore, ids, or }: Filter): boolean {
  return (
    (titleContains == null || todo.title.includes(titleContains)) &&
    (completed == null || todo.completed === completed) &&
    (createdFrom == null || todo.createdAt >= createdFrom) &&
    (updatedBefore == null || todo.updatedAt < updatedBefore) &&
    (ids == null || ids.some((id) => id === String(todo.id) || id === globalId('Todo', todo.id))) &&
    (or == null || or.some((part) => meets(todo, part)))
  );
}

const optional = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { freq: 2 });
const anyId = fc.oneof(
  fc.integer({ min: 1, max: 30 }).map(String),
  fc.integer({ min: 1, max: 30 }).map((id) => globalId('Todo', id)),
  fc.constantFrom(globalId('Note', 1), 'junk', ''),
);
const { filter: anyFilter } = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.record(
    {
      titleContains: optional(fc.constantFrom('a', 'b', '1', 'c2', 'nothing')),
      completed: optional(fc.boolean()),
      createdFrom: optional(fc.constantFrom(...DAYS)),
      updatedBefore: optional(fc.constantFrom(...DAYS)),
      ids: fc.option(fc.array(anyId, { maxLength: 8 }), { freq: 1 }),
      or: fc.option(fc.array(tie('filter'), { maxLength: 2 }), { freq: 1, maxDepth: 2 }) as fc.Arbitrary<
        Filter[] | null
      >,
    },
    { requiredKeys: [] },
  ),
}));

describe('a filter of a list', () => {
  it('should select the rows that meet all of its conditions and one of its alternatives', async () => {
    await fc.assert(
      fc.asyncProperty(anyFilter, async (filter) => {
        const { data, errors } = await ann.ask(TODOS, { filter });
        if (errors) {
          expect(errors[0]?.extensions?.['code']).toBe('COMPLEXITY');
          return;
        }
        const expected = todos.filter((todo) => meets(todo, filter)).map(({ id }) => id);
        expect(data?.todos.nodes.map(({ databaseId }: { databaseId: number }) => databaseId)).toEqual(expected);
        expect(data?.todos.totalCount).toBe(expected.length);
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    ['21 alternatives', { or: Array.from({ length: 21 }, () => ({ completed: true })) }, 'or'],
    ['21 alternatives in each other', { or: [{ or: Array.from({ length: 20 }, () => ({})) }] }, 'or'],
    ['101 ids', { ids: Array.from({ length: 101 }, (_, index) => String(index + 1)) }, 'ids'],
  ])('should be refused with %s', async (_what, filter, field) => {
    const { errors } = await ann.ask('query ($filter: TodoFilter) { todos(filter: $filter) { nodes { id } } }', {
      filter,
    });
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'VALIDATION', fields: [{ path: `filter.${field}` }] });
  });

  it('should not be cheaper for the limit of searches as alternatives', async () => {
    const or = Array.from({ length: 9 }, (_, index) => ({ titleContains: String(index) }));
    expect(
      await ann.codeOf('query ($filter: TodoFilter) { todos(filter: $filter) { nodes { id } } }', { filter: { or } }),
    ).toBe('COMPLEXITY');
  });

  it.each([
    ['todoLists', 'updatedFrom: "2026-01-01T00:00:00Z", or: [{ nameContains: "x" }]'],
    ['posts', 'updatedBefore: "2026-01-01T00:00:00Z", or: [{ authorId: "1" }, { ids: ["1"] }]'],
    ['notes', 'createdAtFrom: "2017", createdAtBefore: "2018", or: [{ insertedFrom: "2026-01-01T00:00:00Z" }]'],
    ['chatSessions', 'createdFrom: "2026-01-01T00:00:00Z", or: [{ ownedByMe: true }, { ids: ["1"] }]'],
  ])('should have alternatives on %s, too', async (list, filter) => {
    expect(await ann.gql(`{ list: ${list}(filter: { ${filter} }) { totalCount nodes { id } } }`)).toEqual({
      list: { totalCount: 0, nodes: [] },
    });
  });

  it('should have alternatives on the lists of staff, too', async () => {
    const staff = await app.signUpStaff('sue');
    const { users, auditEntries } = await staff.gql(`{
      users(filter: { or: [{ usernameStartsWith: "an" }, { isStaff: true }] }) { nodes { username } }
      auditEntries(filter: { or: [{ action: DEMOTED }, { ids: ["x"] }] }) { nodes { id } }
    }`);
    expect(users.nodes.map(({ username }: Person) => username)).toEqual(['ann', 'sue']);
    expect(auditEntries.nodes).toEqual([]);
  });
});
