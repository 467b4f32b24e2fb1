import { readFileSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import pg from 'pg';

/** What each table consists of, one sorted line for each column, index and reference: the same text for the models and for both databases. */
export type Tables = Readonly<Record<string, readonly string[]>>;

interface Column {
  readonly name: string;
  /** A scalar type of Prisma. */
  readonly type: string;
  readonly isRequired: boolean;
  readonly isKey: boolean;
  /** `now`, `autoincrement`, a literal of JSON, or null for none. */
  readonly initial: string | null;
}

interface Index {
  readonly isUnique: boolean;
  readonly columns: string;
  readonly condition?: string | undefined;
}

interface Reference {
  readonly column: string;
  readonly table: string;
  readonly target: string;
  readonly onDelete: string;
  readonly onUpdate: string;
}

const columnLine = ({ name, type, isRequired, isKey, initial }: Column): string =>
  `${name} ${type}${isRequired ? '' : '?'}${isKey ? ' primary key' : ''}${initial === null ? '' : ` = ${initial}`}`;

const indexLine = ({ isUnique, columns, condition }: Index): string =>
  `${isUnique ? 'unique' : 'index'} (${columns})${condition ? ` where ${condition}` : ''}`;

const referenceLine = ({ column, table, target, onDelete, onUpdate }: Reference): string =>
  `${column} references ${table} (${target}), on delete ${onDelete}, on update ${onUpdate}`.toLowerCase();

const withoutQuotes = (text: string): string => text.replaceAll('"', '');

/** Every model of prisma/schema.prisma. */
export function modelTables(): Record<string, string[]> {
  const text = readFileSync(new URL('../../prisma/schema.prisma', import.meta.url), 'utf8');
  const models = [...text.matchAll(/^model (\w+) \{(.*?)^\}/gms)];
  const names = new Set(models.map(([, name = '']) => name));
  return Object.fromEntries(
    models.map(([, name = '', body = '']) => {
      const lines = body.split('\n').map((line) => line.trim());
      return [name, lines.filter((line) => line && !line.startsWith('//')).flatMap((line) => linesOf(line, names))];
    }),
  );
}

function linesOf(line: string, models: ReadonlySet<string>): string[] {
  const [, kind, columns = ''] = /^@@(unique|index)\(\[([\w, ]+)\]\)$/.exec(line) ?? [];
  if (kind) {
    return [indexLine({ isUnique: kind === 'unique', columns })];
  }
  const [, name = '', type = '', list, optional, attributes = ''] = /^(\w+)\s+(\w+)(\[\])?(\?)?(.*)$/.exec(line) ?? [];
  if (models.has(type)) {
    return list ? [] : [relationLine(type, attributes)];
  }
  const [, initial = null] = /@default\((.*?)\)(\s|$)/.exec(attributes) ?? [];
  const rest = attributes.replace(/@id|@unique|@updatedAt|@default\(.*?\)(?=\s|$)/g, '').trim();
  if (!type || rest) {
    throw new Error(`This comparison does not know what "${line}" means.`);
  }
  const column = columnLine({
    name,
    type,
    isRequired: !optional,
    isKey: /@id\b/.test(attributes),
    // Prisma itself sets this time; the tables set it for the rows that a database shell makes.
    initial: attributes.includes('@updatedAt') ? 'now' : (initial?.replace('()', '') ?? null),
  });
  return attributes.includes('@unique') ? [column, indexLine({ isUnique: true, columns: name })] : [column];
}

function relationLine(table: string, attributes: string): string {
  const found = /^\s*@relation\((?:"\w+", )?fields: \[(\w+)\], references: \[(\w+)\], onDelete: (\w+)\)$/.exec(
    attributes,
  );
  const [, column = '', target = '', action = ''] = found ?? [];
  if (!found) {
    throw new Error(`This comparison does not know what "${table}${attributes}" means.`);
  }
  // Prisma's default for onUpdate is Cascade.
  const onDelete = action.replace(/([a-z])([A-Z])/g, '$1 $2');
  return referenceLine({ column, table, target, onDelete, onUpdate: 'cascade' });
}

/** The columns and the condition of `CREATE INDEX … ON … (…) WHERE …`. */
function indexOf(sql: string, isUnique: boolean): Index {
  const [, columns = sql, condition] = /^[^(]*\((.*?)\)(?: WHERE (.*))?$/.exec(sql) ?? [];
  return { isUnique, columns: withoutQuotes(columns), condition: condition && withoutQuotes(condition) };
}

const SQLITE_TYPES: Readonly<Record<string, string>> = {
  TEXT: 'String',
  BOOLEAN: 'Boolean',
  DATETIME: 'DateTime',
  BLOB: 'Bytes',
};
const SQLITE_NOW = `strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')`;

/** SQLite has one type for both sorts of integers; `BigInt` is looked up in the models. */
export function sqliteTables(path: string, bigIntegers: ReadonlySet<string>): Record<string, string[]> {
  const file = new Sqlite(path);
  try {
    const tables = file
      .prepare<[], { name: string; sql: string }>(
        `SELECT "name", "sql" FROM "sqlite_master" WHERE "type" = 'table' AND "name" NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND "name" <> '_prisma_migrations'`,
      )
      .all();
    return Object.fromEntries(
      tables.map(({ name, sql }) => [
        name,
        [
          ...sqliteColumns(file, name, { sql, bigIntegers }),
          ...sqliteIndexes(file, name),
          ...sqliteReferences(file, name),
        ],
      ]),
    );
  } finally {
    file.close();
  }
}

function sqliteColumns(
  file: Sqlite.Database,
  table: string,
  { sql, bigIntegers }: { sql: string; bigIntegers: ReadonlySet<string> },
): string[] {
  const columns = file.pragma(`table_xinfo("${table}")`) as {
    name: string;
    type: string;
    notnull: number;
    pk: number;
    dflt_value: string | null;
  }[];
  return columns.map(({ name, type, notnull, pk, dflt_value: value }) => {
    const integer = bigIntegers.has(`${table}.${name}`) ? 'BigInt' : 'Int';
    const literal = value === SQLITE_NOW ? 'now' : (value?.replaceAll(`'`, '"') ?? null);
    return columnLine({
      name,
      type: type === 'INTEGER' ? integer : (SQLITE_TYPES[type] ?? type),
      isRequired: notnull === 1,
      isKey: pk > 0,
      initial: pk > 0 && /\bAUTOINCREMENT\b/.test(sql) ? 'autoincrement' : literal,
    });
  });
}

function sqliteIndexes(file: Sqlite.Database, table: string): string[] {
  const indexes = file.pragma(`index_list("${table}")`) as { name: string; unique: number; origin: string }[];
  const sqlOf = file.prepare<[string], { sql: string | null }>('SELECT "sql" FROM "sqlite_master" WHERE "name" = ?');
  return indexes
    .filter(({ origin }) => origin !== 'pk')
    .map(({ name, unique }) => {
      const columns = (file.pragma(`index_info("${name}")`) as { name: string }[]).map((column) => column.name);
      // The index of a constraint has no statement of its own.
      return indexLine(indexOf(sqlOf.get(name)?.sql ?? `(${columns.join(', ')})`, unique === 1));
    });
}

function sqliteReferences(file: Sqlite.Database, table: string): string[] {
  const references = file.pragma(`foreign_key_list("${table}")`) as {
    from: string;
    table: string;
    to: string;
    on_delete: string;
    on_update: string;
  }[];
  return references.map(({ from, table, to, on_delete, on_update }) =>
    referenceLine({ column: from, table, target: to, onDelete: on_delete, onUpdate: on_update }),
  );
}

const POSTGRES_TYPES: Readonly<Record<string, string>> = {
  integer: 'Int',
  bigint: 'BigInt',
  'text C': 'String',
  boolean: 'Boolean',
  'timestamp(3) with time zone': 'DateTime',
  bytea: 'Bytes',
};
const OF_THE_SCHEMA = `"relnamespace" = 'public'::regnamespace AND "relname" <> '_prisma_migrations'`;
const POSTGRES_COLUMNS = `
  SELECT "relname" AS "table", "attname" AS "name", concat_ws(' ', format_type("atttypid", "atttypmod"), "collname") AS "type",
    "attnotnull" AS "isRequired", pg_get_expr("adbin", "adrelid") AS "initial",
    EXISTS (SELECT 1 FROM "pg_index" WHERE "indrelid" = "attrelid" AND "indisprimary" AND "attnum" = ANY ("indkey")) AS "isKey"
  FROM "pg_attribute" AS "a" JOIN "pg_class" AS "c" ON "c"."oid" = "attrelid"
  LEFT JOIN "pg_attrdef" ON "adrelid" = "attrelid" AND "adnum" = "attnum"
  LEFT JOIN "pg_collation" AS "l" ON "l"."oid" = "attcollation"
  WHERE "relkind" = 'r' AND "attnum" > 0 AND NOT "attisdropped" AND ${OF_THE_SCHEMA}`;
const POSTGRES_INDEXES = `
  SELECT "relname" AS "table", "indisunique" AS "isUnique", pg_get_indexdef("indexrelid") AS "sql"
  FROM "pg_index" JOIN "pg_class" AS "c" ON "c"."oid" = "indrelid"
  WHERE NOT "indisprimary" AND "indisvalid" AND ${OF_THE_SCHEMA}`;
const POSTGRES_REFERENCES = `
  SELECT "relname" AS "table", pg_get_constraintdef("f"."oid") AS "sql"
  FROM "pg_constraint" AS "f" JOIN "pg_class" AS "c" ON "c"."oid" = "conrelid"
  WHERE "contype" = 'f' AND ${OF_THE_SCHEMA}`;

export async function postgresTables(url: string): Promise<Record<string, string[]>> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const tables: Record<string, string[]> = {};
    const put = (table: string, line: string) => {
      tables[table] = [...(tables[table] ?? []), line];
    };
    for (const { table, ...column } of (await client.query<Column & { table: string }>(POSTGRES_COLUMNS)).rows) {
      const type = POSTGRES_TYPES[column.type] ?? column.type;
      put(table, columnLine({ ...column, type, initial: postgresInitial(table, column) }));
    }
    const indexes = await client.query<{ table: string; isUnique: boolean; sql: string }>(POSTGRES_INDEXES);
    for (const { table, isUnique, sql } of indexes.rows) {
      put(table, indexLine(indexOf(sql, isUnique)));
    }
    for (const { table, sql } of (await client.query<{ table: string; sql: string }>(POSTGRES_REFERENCES)).rows) {
      put(table, postgresReference(sql));
    }
    return tables;
  } finally {
    await client.end();
  }
}

function postgresInitial(table: string, { name, initial }: Pick<Column, 'name' | 'initial'>): string | null {
  if (initial === `nextval('"${table}_${name}_seq"'::regclass)`) {
    return 'autoincrement';
  }
  // The log wants the time of each change, not that of its transaction.
  const now = table === 'Change' ? 'clock_timestamp()' : 'CURRENT_TIMESTAMP';
  return initial === now ? 'now' : (initial?.replace(/^'(.*)'::text$/, '"$1"') ?? null);
}

function postgresReference(sql: string): string {
  const found =
    /^FOREIGN KEY \((\w+)\) REFERENCES (\w+)\((\w+)\)(?: ON UPDATE ([A-Z ]+?))?(?: ON DELETE ([A-Z ]+?))?(?: DEFERRABLE)?$/.exec(
      withoutQuotes(sql),
    );
  if (!found) {
    return sql;
  }
  const [, column = '', table = '', target = '', onUpdate = 'no action', onDelete = 'no action'] = found;
  return referenceLine({ column, table, target, onDelete, onUpdate });
}

/** What one side has and the other has not. */
export function differences(wanted: Tables, found: Tables): string[] {
  const linesOf = (tables: Tables): Set<string> =>
    new Set(Object.entries(tables).flatMap(([table, lines]) => lines.map((line) => `${table}: ${line}`)));
  const [inModels, inDatabase] = [linesOf(wanted), linesOf(found)];
  return [
    ...[...inModels].filter((line) => !inDatabase.has(line)).map((line) => `missing ${line}`),
    ...[...inDatabase].filter((line) => !inModels.has(line)).map((line) => `unknown ${line}`),
  ].sort();
}
