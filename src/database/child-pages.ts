import type { Context } from '../context.ts';
import { Prisma } from '../generated/client/client.ts';
import { byId, loadBatched } from './batch.ts';
import { comparable } from './comparable.ts';
import type { Database } from './open.ts';
import {
  type Order,
  type OrderColumns,
  type Page,
  type PageArguments,
  type PagePlan,
  planPage,
  toPage,
} from './page.ts';

/** How many ids one statement names; SQLite and PostgreSQL both take far more, Prisma splits above this by itself. */
const IDS_PER_STATEMENT = 500;

/** The rows of a model that hang on rows of another by a column of theirs. */
export interface ChildRelation {
  readonly child: Prisma.ModelName;
  readonly parent: Prisma.ModelName;
  /** The child's column that holds the parent's id. */
  readonly column: string;
}

/** The reads that pages of children need; `Where` is the filter type of the child's model. */
export interface ChildListing<Row, Where> {
  readonly relation: ChildRelation;
  readonly where: Where;
  readonly columns: OrderColumns;
  readonly find: (ids: number[]) => PromiseLike<readonly Row[]>;
  /** How many children each of the parents has. */
  readonly count: (parentIds: number[], where: Where) => Promise<(readonly [number | null, number])[]>;
}

/** Reads one page of the children of `parentId`, together with those that the request asks for of other parents. */
export async function readChildPage<Row extends { readonly id: number }, Where extends object>(
  context: Context,
  { relation, where, columns, find, count }: ChildListing<Row, Where>,
  parentId: number,
  page: PageArguments,
  order: Order,
): Promise<Page<Row>> {
  const plan = planPage(page, order, columns);
  const scope = `${relation.child}.${relation.column} ${JSON.stringify(where)}`;
  const rows = await loadBatched(
    context,
    `page of ${scope} ${JSON.stringify([page, order])}`,
    parentId,
    async (ids) => {
      const childIds = await readChildIds(context.database, relation, ids, where, plan);
      const found = byId(await findInChunks([...childIds.values()].flat(), find));
      return new Map([...childIds].map(([id, children]) => [id, children.flatMap((child) => found.get(child) ?? [])]));
    },
  );
  return toPage(plan, rows ?? [], async () => {
    const total = await loadBatched(context, `count of ${scope}`, parentId, async (ids) => {
      const counts = await count([...ids], where);
      return new Map(counts.flatMap(([id, total]) => (id === null ? [] : [[id, total] as const])));
    });
    return total ?? 0;
  });
}

async function findInChunks<Row>(ids: number[], find: (ids: number[]) => PromiseLike<readonly Row[]>): Promise<Row[]> {
  const rows: Row[] = [];
  for (let start = 0; start < ids.length; start += IDS_PER_STATEMENT) {
    rows.push(...(await find(ids.slice(start, start + IDS_PER_STATEMENT))));
  }
  return rows;
}

/**
 * Reads one page of children for each of many parents in one statement, and gives the children's ids by parent, in order. Prisma would
 * read all children of all parents and cut the pages in memory; here the index is followed for as many rows as are asked for.
 */
async function readChildIds(
  database: Database,
  { child, parent, column }: ChildRelation,
  parentIds: readonly number[],
  where: object,
  plan: PagePlan,
): Promise<ReadonlyMap<number, number[]>> {
  const conditions = [Prisma.sql`${identifier('row', column)} = ${identifier('parent', 'id')}`, whereToSql(where)];
  const orderOf = (alias: string) =>
    Prisma.join(
      plan.orderBy.flatMap((term) =>
        Object.entries(term).map(
          ([name, direction]) => Prisma.sql`${identifier(alias, name)} ${Prisma.raw(direction.toUpperCase())}`,
        ),
      ),
    );
  const statement = Prisma.sql`
    SELECT ${identifier('parent', 'id')} AS "parentId", ${identifier('child', 'id')} AS "childId"
    FROM ${identifier(parent)} AS "parent"
    JOIN ${identifier(child)} AS "child" ON ${identifier('child', 'id')} IN (
      SELECT ${identifier('row', 'id')} FROM ${identifier(child)} AS "row"
      WHERE ${Prisma.join([...conditions, ...plan.bounds.map(whereToSql)], ' AND ')}
      ORDER BY ${orderOf('row')}
      LIMIT ${plan.take + 1}
    )
    WHERE ${identifier('parent', 'id')} IN (${Prisma.join([...parentIds])})
    ORDER BY ${orderOf('child')}`;
  const rows = await database.$queryRaw<{ parentId: number; childId: number }[]>(statement);
  const ids = new Map<number, number[]>(parentIds.map((id) => [id, []]));
  for (const { parentId, childId } of rows) {
    ids.get(Number(parentId))?.push(Number(childId));
  }
  return ids;
}

/** PostgreSQL has an escape character unless it is given another one, and SQLite has none: this one hardly ever occurs. */
const ESCAPE = '\u0001';

/** As both databases fold letters in columns of ours: those of ASCII only. */
function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

const COMPARISONS: Readonly<Record<string, string>> = {
  equals: '=',
  not: '<>',
  gt: '>',
  gte: '>=',
  lt: '<',
  lte: '<=',
};

/** Says in SQL, of the alias `row`, what a Prisma filter says; knows the operators that policies, filters and keysets use. */
function whereToSql(where: object): Prisma.Sql {
  const terms = Object.entries(where)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => term(name, value));
  return terms.length === 0 ? Prisma.sql`1 = 1` : Prisma.sql`(${Prisma.join(terms, ' AND ')})`;
}

function term(name: string, value: unknown): Prisma.Sql {
  switch (name) {
    case 'AND':
      return combine(value, ' AND ', Prisma.sql`1 = 1`);
    case 'OR':
      return combine(value, ' OR ', Prisma.sql`1 = 0`);
    case 'NOT':
      return Prisma.sql`NOT ${combine(value, ' AND ', Prisma.sql`1 = 1`)}`;
    default:
      return comparison(identifier('row', name), value);
  }
}

function combine(value: unknown, word: string, none: Prisma.Sql): Prisma.Sql {
  const parts = (Array.isArray(value) ? value : [value]).map((part) => whereToSql(part as object));
  return parts.length === 0 ? none : Prisma.sql`(${Prisma.join(parts, word)})`;
}

function comparison(column: Prisma.Sql, value: unknown): Prisma.Sql {
  if (value === null) {
    return Prisma.sql`${column} IS NULL`;
  }
  if (typeof value !== 'object' || value instanceof Date) {
    return Prisma.sql`${column} = ${comparable(value)}`;
  }
  return Prisma.join(
    Object.entries(value)
      .filter(([, operand]) => operand !== undefined)
      .map(([operator, operand]) => operation(column, operator, operand)),
    ' AND ',
  );
}

function operation(column: Prisma.Sql, operator: string, operand: unknown): Prisma.Sql {
  if (operator === 'in' && Array.isArray(operand)) {
    return operand.length === 0
      ? Prisma.sql`1 = 0`
      : Prisma.sql`${column} IN (${Prisma.join(operand.map(comparable))})`;
  }
  if (operator === 'contains' && typeof operand === 'string') {
    const pattern = `%${asciiLowerCase(operand).replaceAll(ESCAPE, ESCAPE + ESCAPE)}%`;
    return Prisma.sql`lower(${column}) LIKE ${comparable(pattern)} ESCAPE ${ESCAPE}`;
  }
  if (operand === null && (operator === 'equals' || operator === 'not')) {
    return Prisma.sql`${column} IS ${Prisma.raw(operator === 'not' ? 'NOT NULL' : 'NULL')}`;
  }
  const symbol = COMPARISONS[operator];
  if (!symbol) {
    throw new Error(`No SQL is known for the filter operator ${operator}.`);
  }
  return Prisma.sql`${column} ${Prisma.raw(symbol)} ${comparable(operand)}`;
}

function identifier(...names: readonly string[]): Prisma.Sql {
  return Prisma.raw(names.map((name) => `"${name}"`).join('.'));
}
