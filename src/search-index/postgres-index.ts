import { createHash } from 'node:crypto';
import type pg from 'pg';
import { NO_SCOPE } from '../changes/scopes.ts';
import type { SchemaStatement } from '../database/migrations.ts';
import { wordFunctions } from './postgres-words.ts';
import { CODES, type SearchSource, scopeWord, WHOLE } from './source.ts';
import { indexedColumns } from './sqlite-index.ts';
import { cutWord, type SearchTerm } from './words.ts';

const PREFIX = 'tidings_search_';

/**
 * The number of consecutive ids of a block. A scope that grows with all users, like `posts`, is a scope of its own in each block, so that a search reads the newest
 * block first, and never more than the matches of one block beyond those that it returns.
 */
const BLOCK_BITS = 16;

/**
 * Returns the statements that make the functions and triggers of the search index match the sources; none when they match.
 *
 * Each word of a document begins with the scope of its row: the index then has a list of rows for each word of a scope, and a search reads the lists of the
 * viewer's scopes only, also for a word that is the beginning of other words. Words of the title occur a second time, with another mark.
 */
export async function planPostgresSearch(
  client: pg.Client,
  sources: readonly SearchSource[],
): Promise<SchemaStatement[]> {
  const { rows } = await client.query<{ schema: string; mark: string | null; triggers: string[] | null }>(
    `SELECT quote_ident(current_schema()) AS "schema",
       obj_description(to_regproc('tidings_search_words')::oid, 'pg_proc') AS "mark",
       (SELECT array_agg(c.relname || ' ' || t.tgname ORDER BY c.relname, t.tgname) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
        WHERE starts_with(t.tgname, '${PREFIX}') AND c.relnamespace = current_schema()::regnamespace AND t.tgenabled = 'A') AS "triggers"`,
  );
  const { schema = 'public', mark = null, triggers } = rows[0] ?? {};
  const present = triggers ?? [];
  const triggersOn = ({ model }: SearchSource): string[] => [
    `${model} ${PREFIX}${model}`,
    `${model} ${PREFIX}${model}_truncate`,
  ];
  const expected = sources.flatMap(triggersOn).sort();
  const functions = [wordFunctions(schema), ...sources.map((source) => rowFunction(schema, source))].join('\n');
  const wanted = `tidings ${createHash('sha256').update(functions).digest('hex')}`;
  if (mark === wanted && present.join() === expected.join()) {
    return [];
  }
  const superfluous = present.filter((name) => !expected.includes(name)).map((name) => name.split(' '));
  return [
    {
      name: 'search functions',
      sql: `${functions} COMMENT ON FUNCTION ${schema}.tidings_search_words(text) IS '${wanted}';`,
    },
    ...superfluous.map(([table, name]) => ({
      name: `no trigger ${name}`,
      sql: `DROP TRIGGER "${name}" ON ${schema}."${table}"`,
    })),
    ...sources
      .filter((source) => !triggersOn(source).every((name) => present.includes(name)))
      .map(({ model }) => ({ name: `trigger ${PREFIX}${model}`, sql: triggersOf(schema, model) })),
  ];
}

function triggersOf(schema: string, model: string): string {
  const trigger = (name: string, event: string, each: string): string =>
    `CREATE OR REPLACE TRIGGER "${name}" ${event} ON ${schema}."${model}" FOR EACH ${each} EXECUTE FUNCTION ${schema}."${PREFIX}${model}"();
     ALTER TABLE ${schema}."${model}" ENABLE ALWAYS TRIGGER "${name}";`;
  return [
    trigger(`${PREFIX}${model}`, 'AFTER INSERT OR UPDATE OR DELETE', 'ROW'),
    trigger(`${PREFIX}${model}_truncate`, 'AFTER TRUNCATE', 'STATEMENT'),
  ].join('\n');
}

function rowFunction(schema: string, source: SearchSource): string {
  const changed = indexedColumns(source).map((column) => `OLD."${column}" IS DISTINCT FROM NEW."${column}"`);
  // It runs as the owner of the tables, since a writer of a row needs no privilege on the index, and with a fixed search path.
  return `
  CREATE OR REPLACE FUNCTION ${schema}."${PREFIX}${source.model}"() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
  BEGIN
    CASE TG_OP
    WHEN 'TRUNCATE' THEN
      DELETE FROM ${schema}."SearchEntry" WHERE "id" % ${CODES} = ${source.code};
      RETURN NULL;
    WHEN 'DELETE' THEN
      DELETE FROM ${schema}."SearchEntry" WHERE "id" = ${entryId(source, 'OLD')};
      RETURN NULL;
    WHEN 'UPDATE' THEN
      IF NOT (${changed.join(' OR ')}) THEN
        RETURN NULL;
      END IF;
      IF OLD."id" <> NEW."id" THEN
        DELETE FROM ${schema}."SearchEntry" WHERE "id" = ${entryId(source, 'OLD')};
      END IF;
    ELSE
    END CASE;
    INSERT INTO ${schema}."SearchEntry" ("id", "document") VALUES (${entryId(source, 'NEW')}, ${documentSql(schema, source, 'NEW')})
    ON CONFLICT ("id") DO UPDATE SET "document" = EXCLUDED."document";
    RETURN NULL;
  END
  $body$;`;
}

function entryId({ code }: SearchSource, row: string): string {
  return `${row}."id"::bigint * ${CODES} + ${code}`;
}

function documentSql(schema: string, source: SearchSource, row: string): string {
  const { scope, title, text } = source;
  const shared = (name: string): string => `'${scopeWord(source, name)}_' || (${row}."id" >> ${BLOCK_BITS})`;
  const whole = source.isSeenWhole ? [shared(WHOLE)] : [];
  const own =
    'name' in scope
      ? shared(scope.name)
      : `coalesce('${scopeWord(source, scope.prefix)}' || ${row}."${scope.column}", ${shared(scope.whenNull ?? NO_SCOPE)})`;
  return `${schema}.tidings_search_document(ARRAY[${[own, ...whole].join(', ')}], ${title ? `${row}."${title}"` : `''`}, ${row}."${text}")`;
}

/**
 * Returns the statement that indexes those rows of a source with ids from `$1` to `$2` that have no entry. It locks the rows until its commit, so that none of them
 * is changed or deleted in between.
 */
export function postgresBackfill(source: SearchSource): string {
  return `INSERT INTO "SearchEntry" ("id", "document")
    SELECT ${entryId(source, 'r')}, ${documentSql('public', source, 'r').replace('public.', '')}
    FROM (SELECT * FROM "${source.model}" WHERE "id" BETWEEN $1 AND $2 ORDER BY "id" FOR SHARE) AS r
    WHERE NOT EXISTS (SELECT 1 FROM "SearchEntry" AS e WHERE e."id" = ${entryId(source, 'r')})
    ON CONFLICT ("id") DO NOTHING`;
}

/** The place of the number of a block in a query. */
const BLOCK = '#';

/** Returns whether a scope grows with all users, and is divided into blocks: all scopes but those with the id of a user or a group. */
export function isShared(scope: string): boolean {
  return !scope.includes(':');
}

/** Returns the query for the documents of a scope that match all terms, in the title or anywhere. Words contain letters and digits only, so no word is syntax. */
export function postgresQuery(
  source: SearchSource,
  scope: string,
  terms: readonly SearchTerm[],
  inTitle: boolean,
): string {
  const prefix = `${scopeWord(source, scope)}${isShared(scope) ? `_${BLOCK}` : ''}${inTitle ? '^' : '/'}`;
  const term = ({ words, isPrefix }: SearchTerm): string =>
    words
      .map((word, index) => `'${prefix}${cutWord(word)}'${isPrefix && index === words.length - 1 ? ':*' : ''}`)
      .join(' <-> ');
  return terms.map((each) => `(${term(each)})`).join(' & ');
}

// The order is by an expression, so that no scan of the primary key in that order, which would read all documents, is considered.
const NEWEST = `SELECT e."id" FROM "SearchEntry" AS e WHERE e."document" @@ wanted."query"::tsquery ORDER BY e."id" + 0 DESC LIMIT $2`;

/** Selects the newest entries of the results of several queries. */
export const POSTGRES_NEWEST = `SELECT found."id" FROM unnest($1::text[]) AS wanted("query") CROSS JOIN LATERAL (${NEWEST}) AS found
  ORDER BY found."id" DESC LIMIT $2`;

/** Returns the statement that selects the newest entries that match a query, block by block until there are enough. */
export function postgresNewestOfBlocks({ model }: SearchSource): string {
  return `SELECT found."id"
    FROM (SELECT replace($1::text, '${BLOCK}', block::text) AS "query"
          FROM generate_series((SELECT max("id") >> ${BLOCK_BITS} FROM "${model}"), 0, -1) AS block) AS wanted
    CROSS JOIN LATERAL (${NEWEST}) AS found LIMIT $2`;
}
