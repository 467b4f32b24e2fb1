import type Sqlite from 'better-sqlite3';
import { NO_SCOPE, type ScopeRule } from '../changes/scopes.ts';
import type { SchemaStatement } from '../database/migrations.ts';
import { CODES, MAX_INDEXED_TEXT, MAX_INDEXED_TITLE, type SearchSource, scopeWord, WHOLE } from './source.ts';
import type { SearchTerm } from './words.ts';

const PREFIX = 'tidings_search_';

/** Returns the statements that make the triggers of the search index match the sources; none when they match. */
export function planSqliteSearch(database: Sqlite.Database, sources: readonly SearchSource[]): SchemaStatement[] {
  const expected = new Map(sources.flatMap(triggersOf));
  const present = new Map(
    database
      .prepare<[string], { name: string; sql: string }>(
        `SELECT "name", "sql" FROM "sqlite_master" WHERE "type" = 'trigger' AND "name" LIKE ?`,
      )
      .all(`${PREFIX}%`)
      .map(({ name, sql }) => [name, sql]),
  );
  const drop = (name: string): string => (present.has(name) ? `DROP TRIGGER "${name}";` : '');
  return [
    ...[...present.keys()]
      .filter((name) => !expected.has(name))
      .map((name) => ({ name: `no trigger ${name}`, sql: drop(name) })),
    ...[...expected]
      .filter(([name, sql]) => present.get(name) !== sql)
      .map(([name, sql]) => ({ name: `trigger ${name}`, sql: `${drop(name)} ${sql}` })),
  ];
}

function triggersOf(source: SearchSource): [name: string, sql: string][] {
  const columns = indexedColumns(source);
  const trigger = (event: string, on: string, ...statements: readonly string[]): [string, string] => {
    const name = `${PREFIX}${source.model}_${event}`;
    return [name, `CREATE TRIGGER "${name}" AFTER ${on} ON "${source.model}" BEGIN ${statements.join('; ')}; END`];
  };
  const changed = columns.map((column) => `OLD."${column}" IS NOT NEW."${column}"`).join(' OR ');
  const remove = (row: string): string => `DELETE FROM "SearchEntry" WHERE "rowid" = ${entryId(source, row)}`;
  const add = `INSERT INTO "SearchEntry" ("rowid", "scope", "title", "text") VALUES (${entryValues(source, 'NEW')})`;
  const [update, sql] = trigger(
    'update',
    `UPDATE OF ${columns.map((column) => `"${column}"`).join(', ')}`,
    remove('OLD'),
    remove('NEW'),
    add,
  );
  return [
    // An entry of the same id is there when the statement replaced a row, for which no trigger of a deletion runs.
    trigger('insert', 'INSERT', remove('NEW'), add),
    [update, sql.replace(' BEGIN ', ` WHEN ${changed} BEGIN `)],
    trigger('delete', 'DELETE', remove('OLD')),
  ];
}

/** Returns the columns on which the entry of a row depends. */
export function indexedColumns({ scope, title, text }: SearchSource): string[] {
  return ['id', ...('column' in scope && scope.column !== 'id' ? [scope.column] : []), ...(title ? [title] : []), text];
}

function entryId({ code }: SearchSource, row: string): string {
  return `${row}."id" * ${CODES} + ${code}`;
}

/** Returns the SQL of the values of an entry. SQLite stores values of any type in any column; only texts are indexed. */
function entryValues(source: SearchSource, row: string): string {
  const text = (column: string | null, max: number): string =>
    column === null
      ? `''`
      : `CASE typeof(${row}."${column}") WHEN 'text' THEN substr(${row}."${column}", 1, ${max}) ELSE '' END`;
  const whole = source.isSeenWhole ? `'${scopeWord(source, WHOLE)} ' || ` : '';
  return [
    entryId(source, row),
    `${whole}${scopeSql(source, source.scope, row)}`,
    text(source.title, MAX_INDEXED_TITLE),
    text(source.text, MAX_INDEXED_TEXT),
  ].join(', ');
}

function scopeSql(source: SearchSource, rule: ScopeRule, row: string): string {
  if ('name' in rule) {
    return `'${scopeWord(source, rule.name)}'`;
  }
  const column = `${row}."${rule.column}"`;
  const whenNull = rule.whenNull === undefined ? '' : ` WHEN 'null' THEN '${scopeWord(source, rule.whenNull)}'`;
  return `CASE typeof(${column}) WHEN 'integer' THEN '${scopeWord(source, rule.prefix)}' || ${column}${whenNull} ELSE '${scopeWord(source, NO_SCOPE)}' END`;
}

/** Returns the statement that indexes those rows of a source with ids from `?` to `?` that have no entry. */
export function sqliteBackfill(source: SearchSource): string {
  return `INSERT INTO "SearchEntry" ("rowid", "scope", "title", "text")
    SELECT ${entryValues(source, 'r')} FROM "${source.model}" AS r
    WHERE r."id" BETWEEN ? AND ?
      AND NOT EXISTS (SELECT 1 FROM "SearchEntry" AS e WHERE e."rowid" = ${entryId(source, 'r')})`;
}

/** Returns the full-text query for the entries of scopes that match all terms, in the title or anywhere. Each word is quoted, so no word is syntax. */
export function sqliteMatch(scopes: readonly string[], terms: readonly SearchTerm[], inTitle: boolean): string {
  const wanted = terms.map(({ words, isPrefix }) => `"${words.join(' ')}"${isPrefix ? ' *' : ''}`).join(' AND ');
  const inScopes = scopes.map((scope) => `"${scope}"`).join(' OR ');
  return `scope : (${inScopes}) AND {${inTitle ? 'title' : 'title text'}} : (${wanted})`;
}

/** Selects the newest entries that match a full-text query. FTS5 reads the lists of its words from their ends, and so only as far as it has to. */
export const SQLITE_NEWEST = `SELECT "rowid" AS "id" FROM "SearchEntry" WHERE "SearchEntry" MATCH ? ORDER BY "rowid" DESC LIMIT ?`;
