import fc from 'fast-check';
import { startApp, type TestApp } from '../kit/app.ts';
import { numberOf } from '../kit/ids.ts';
import type { Person } from '../kit/person.ts';

export const COUNT = 37;
const TITLES = ['a', 'a', 'a', 'Z', 'b', 'é', '～', '🍏', `it's "quoted"`, '100 %', '~', 'a b'];
const DAYS = ['2024-02-29', '2025-01-01', '2026-06-30'];
export const SHOWN =
  'edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount';
export const PAGE_ARGUMENTS = 'first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy';
export const PAGE_VARIABLES = '$first: Int, $after: String, $last: Int, $before: String';

export interface Page {
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

/** A list: where it lies in the schema, its rows, and what it can be ordered by. */
export interface List {
  readonly type: string;
  readonly open: string;
  readonly rows: string;
  readonly fields: readonly string[];
  /** Whether only staff may read it. */
  readonly isForStaff?: boolean;
}

export const LISTS: Readonly<Record<string, List>> = {
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

export const screaming = (field: string): string => field.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

export function documentOf({ type, open }: List): string {
  const [, parent = ''] = /^(parent: .*\{ )/.exec(open) ?? [];
  return `query (${PAGE_VARIABLES}, $orderBy: ${type}Order) { ${open}(${PAGE_ARGUMENTS}) { ${SHOWN} } ${parent && '}'} }`;
}

/** A value in the form in which both databases can be compared. */
const plain = (value: unknown): unknown => (value instanceof Date ? value.toISOString() : value);

export const idsOf = ({ edges }: Page): string[] => edges.map(({ node }) => String(numberOf(node.id)));

export const anyOrder = fc.constantFrom(...Object.keys(LISTS)).chain((name) => {
  const list = LISTS[name] as List;
  return fc.record({
    name: fc.constant(name),
    field: fc.constantFrom(...list.fields),
    direction: fc.constantFrom('ASC', 'DESC'),
  });
});

/** A server whose lists hold rows, many of which are equal in what they are ordered by. */
export interface FilledApp {
  readonly app: TestApp;
  readonly ann: Person;
  readonly root: Person;
  /** Who may read a list. */
  readonly readerOf: (list: List) => Person;
  readonly read: (list: List, page: PageArguments, orderBy?: object) => Promise<Page>;
  /** The ids of a list's rows as they stand in the database, sorted here and not there. */
  readonly sortedIds: (list: List, field: string, direction: string) => Promise<string[]>;
}

export async function startFilledApp(): Promise<FilledApp> {
  const app = await startApp();
  const ann = await app.signUp('ann');
  await app.signUp('bob');
  const root = await app.signUpStaff('root');
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

  const readerOf = ({ isForStaff }: List): Person => (isForStaff ? root : ann);
  return {
    app,
    ann,
    root,
    readerOf,
    read: async (list, page, orderBy) => {
      const data = await readerOf(list).gql(documentOf(list), { ...page, orderBy });
      return (data.parent ?? data).list;
    },
    sortedIds: ({ rows }, field, direction) => sortedIds(app, rows, field, direction),
  };
}

async function sortedIds(app: TestApp, rows: string, field: string, direction: string): Promise<string[]> {
  const sign = direction === 'ASC' ? 1 : -1;
  const compare = (a: string | number, b: string | number): number =>
    typeof a === 'number' ? a - Number(b) : Buffer.compare(Buffer.from(a), Buffer.from(String(b)));
  const found = (await app.sql(`SELECT * FROM ${rows}`)) as Row[];
  return found
    .map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)])) as Row)
    .toSorted((a, b) => sign * (compare(a[field] ?? '', b[field] ?? '') || a.id - b.id))
    .map(({ id }) => String(id));
}
