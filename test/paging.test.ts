import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';
import { ON_POSTGRES } from './kit/postgres.ts';

const COUNT = 37;
const TITLES = ['a', 'a', 'a', 'Z', 'b', 'é', '～', '🍏', `it's "quoted"`, '100 %', '~', 'a b'];
const DAYS = ['2024-02-29', '2025-01-01', '2026-06-30'];
const SHOWN = 'edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount';
const PAGE_ARGUMENTS = 'first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy';
const DELETE_MANY = 'mutation ($ids: [ID!]!) { deleteTodos(ids: $ids) { ... on DeletedTodos { ids } } }';
const PAGE_VARIABLES = '$first: Int, $after: String, $last: Int, $before: String';

interface Page {
  readonly edges: readonly { cursor: string; node: { id: string } }[];
  readonly pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string; endCursor: string };
  readonly totalCount: number;
}
interface PageArguments {
  readonly first?: number;
  readonly after?: string;
  readonly last?: number;
  readonly before?: string;
}
type Row = Readonly<Record<string, string | number>> & { readonly id: number };

/** A list: where it lies in the schema, the rows it holds, and what it can be ordered by. */
interface List {
  readonly type: string;
  readonly open: string;
  readonly rows: string;
  readonly fields: readonly string[];
  /** Whether only staff may read it. */
  readonly isForStaff?: boolean;
}

const LISTS: Readonly<Record<string, List>> = {
  todos: {
    type: 'Todo',
    open: 'list: todos',
    rows: '"Todo" WHERE "ownerId" = 1 OR "ownerId" IS NULL',
    fields: ['id', 'title', 'createdAt', 'updatedAt'],
  },
  todoLists: {
    type: 'TodoList',
    open: 'list: todoLists',
    rows: '"TodoList"',
    fields: ['id', 'name', 'createdAt', 'updatedAt'],
  },
  posts: { type: 'Post', open: 'list: posts', rows: '"Post"', fields: ['id', 'title', 'createdAt', 'updatedAt'] },
  notes: {
    type: 'Note',
    open: 'list: notes',
    rows: '"Note"',
    fields: ['id', 'title', 'priority', 'createdAt', 'insertedAt', 'updatedAt'],
  },
  chatSessions: {
    type: 'ChatSession',
    open: 'list: chatSessions',
    rows: '"ChatSession"',
    fields: ['id', 'createdAt', 'updatedAt'],
  },
  users: {
    type: 'User',
    open: 'list: users',
    rows: '"User"',
    fields: ['id', 'username', 'createdAt'],
    isForStaff: true,
  },
  auditEntries: {
    type: 'AuditEntry',
    open: 'list: auditEntries',
    rows: '"AuditEntry"',
    fields: ['id', 'at'],
    isForStaff: true,
  },
  'TodoList.todos': {
    type: 'Todo',
    open: 'parent: todoList(id: 1) { list: todos',
    rows: '"Todo" WHERE "listId" = 1',
    fields: ['id', 'title', 'createdAt', 'updatedAt'],
  },
  'ChatSession.messages': {
    type: 'ChatMessage',
    open: 'parent: chatSession(uri: "000000000000001") { list: messages',
    rows: '"ChatMessage" WHERE "chatSessionId" = 1',
    fields: ['id'],
  },
};

let app: TestApp;
let ann: Person;
let root: Person;

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  await app.signUp('bob');
  root = await app.signUpStaff('root');
  const prepare = (sql: string) => ({ run: (...values: unknown[]) => app.sql(sql, ...values) });
  const insert = {
    list: prepare(`INSERT INTO "TodoList" ("name", "createdAt", "updatedAt", "ownerId") VALUES (?, ?, ?, ?)`),
    todo: prepare(
      `INSERT INTO "Todo" ("title", "createdAt", "updatedAt", "listId", "completed", "ownerId") VALUES (?, ?, ?, ?, ?, ?)`,
    ),
    post: prepare(
      `INSERT INTO "Post" ("title", "createdAt", "updatedAt", "content", "authorId") VALUES (?, ?, ?, '-', 1)`,
    ),
    note: prepare(
      `INSERT INTO "Note" ("title", "insertedAt", "updatedAt", "createdAt", "priority", "description", "createdBy", "ownerId")
       VALUES (?, ?, ?, ?, ?, '', '', ?)`,
    ),
    chat: prepare(`INSERT INTO "ChatSession" ("createdAt", "updatedAt", "uri", "ownerId") VALUES (?, ?, ?, ?)`),
    member: prepare(`INSERT INTO "ChatMember" ("chatSessionId", "userId", "updatedAt") VALUES (?, 1, ?)`),
    message: prepare(`INSERT INTO "ChatMessage" ("chatSessionId", "userId", "message") VALUES (?, 1, '-')`),
    user: prepare(`INSERT INTO "User" ("username", "usernameKey", "passwordHash", "createdAt") VALUES (?, ?, '!', ?)`),
    entry: prepare(
      `INSERT INTO "AuditEntry" ("at", "actorName", "source", "action", "subjectId", "subjectName")
       VALUES (?, '', 'COMMAND', 'PROMOTED', 1, 'ann')`,
    ),
  };
  for (let index = 0; index < COUNT; index++) {
    const title = TITLES[(index * 7) % TITLES.length];
    const made = `${DAYS[(index * 5) % DAYS.length]}T00:00:00.00${index % 2}+00:00`;
    const changed = `${DAYS[index % DAYS.length]}T12:00:00.000+00:00`;
    // Of her own, and everybody's.
    const owner = index % 2 === 0 ? 1 : null;
    await insert.list.run(title, made, changed, owner);
    await insert.todo.run(title, made, changed, null, index % 3 === 0, owner);
    await insert.todo.run(title, made, changed, null, false, 2);
    await insert.post.run(title, made, changed);
    await insert.note.run(title, made, changed, `day ${index % 4}`, (index % 5) - 2, owner);
    await insert.user.run(`${title}${index}`, `${title}${index}`, made);
    await insert.entry.run(made);
    await insert.chat.run(made, changed, String(index + 1).padStart(15, '0'), owner ?? 2);
    if (owner === null) {
      await insert.member.run(index + 1, changed);
    }
  }
  for (let index = 0; index < 3 * COUNT; index++) {
    const title = TITLES[(index * 11) % TITLES.length];
    const made = `${DAYS[(index * 2) % DAYS.length]}T00:00:00.000+00:00`;
    await insert.todo.run(title, made, made, (index % 3) + 1, index % 2 === 1, index % 4 === 0 ? 1 : null);
    await insert.message.run((index % 3) + 1);
  }
});
afterAll(async () => {
  await app.close();
});

const screaming = (field: string): string => field.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

function documentOf({ type, open }: List): string {
  const [, parent = ''] = /^(parent: .*\{ )/.exec(open) ?? [];
  return `query (${PAGE_VARIABLES}, $orderBy: ${type}Order) { ${open}(${PAGE_ARGUMENTS}) { ${SHOWN} } ${parent && '}'} }`;
}

const readerOf = ({ isForStaff }: List): Person => (isForStaff ? root : ann);

async function read(list: List, page: PageArguments, orderBy?: object): Promise<Page> {
  const data = await readerOf(list).gql(documentOf(list), { ...page, orderBy });
  return (data.parent ?? data).list;
}

/** A value in the form in which both databases can be compared. */
const plain = (value: unknown): unknown => (value instanceof Date ? value.toISOString() : value);

/** The ids of a list's rows as they stand in the database, sorted here and not there. */
async function sortedIds({ rows }: List, field: string, direction: string): Promise<string[]> {
  const sign = direction === 'ASC' ? 1 : -1;
  const compare = (a: string | number, b: string | number): number =>
    typeof a === 'number' ? a - Number(b) : Buffer.compare(Buffer.from(a), Buffer.from(String(b)));
  const found = (await app.sql(`SELECT * FROM ${rows}`)) as Row[];
  return found
    .map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)])) as Row)
    .toSorted((a, b) => sign * (compare(a[field] ?? '', b[field] ?? '') || a.id - b.id))
    .map(({ id }) => String(id));
}

const idsOf = ({ edges }: Page): string[] => edges.map(({ node }) => node.id);

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

const anyOrder = fc.constantFrom(...Object.keys(LISTS)).chain((name) => {
  const list = LISTS[name] as List;
  return fc.record({
    name: fc.constant(name),
    field: fc.constantFrom(...list.fields),
    direction: fc.constantFrom('ASC', 'DESC'),
  });
});

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
        const foreign = others.map(
          async (other) => (await read(list, { first: 1 }, { field: screaming(other) })).pageInfo,
        );
        const wrongKind =
          field === 'id'
            ? []
            : [{}, true, [1], null, field === 'priority' ? '5' : 5].map((value) => encode([field, 1, value]));
        const cursors = [...forged, ...wrongKind, ...(await Promise.all(foreign)).map(({ endCursor }) => endCursor)];
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
      const edge = backward ? page.edges[0] : page.edges.at(-1);
      const unread = before.filter((id) => !seen.includes(id) && !gone.has(id)).at(backward ? -2 : 1);
      const doomed = [edge?.node.id, backward ? page.edges.at(-1)?.node.id : page.edges[0]?.node.id, unread];
      const ids = [...new Set(doomed.filter((id) => id !== undefined))];
      expect((await person.gql(DELETE_MANY, { ids })).deleteTodos).toEqual({ ids: expect.arrayContaining(ids) });
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
