import { createHash } from 'node:crypto';
import type pg from 'pg';
import { ANNOUNCING_APPLICATION } from '../database/postgres.ts';
import { channelOf } from '../database/postgres-peers.ts';
import { accessModels, type ChangeAction, type LoggedModel, type LoggedModels } from './logged-models.ts';
import type { ScopeRule } from './scopes.ts';

/** The topic on which processes announce their commits to each other. */
export const CHANGES_TOPIC = 'changes';

/** The high half of the advisory locks that hold the floors of writing transactions; the low half, and its overflow, is the floor. */
const FLOOR_CLASS = 0x5449_4400;
const FLOOR_BASE = BigInt(FLOOR_CLASS) << 32n;
/** The range of the high half: floors of up to 2^40. */
const FLOOR_CLASSES = 0x100;

/** The condition on `pg_locks AS l` that selects the floors of this database. */
export const FLOORS = `l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid::bigint BETWEEN ${FLOOR_CLASS} AND ${FLOOR_CLASS + FLOOR_CLASSES - 1}`;

/**
 * Reading never skips a change although numbers are drawn before their transactions commit:
 *
 * - A writer first reads the last number drawn so far, its floor, then takes a shared lock that carries the floor and lasts until the
 *   transaction is over, and only then draws numbers: all of them lie above its floor.
 * - A reader first reads the last number drawn, then the floors that are held. A transaction that drew a number up to the reader's last number drew it
 *   before that was read, and so had its lock by then: the reader either sees the lock, and stays at or below the floor; or the transaction
 *   was over, and since PostgreSQL makes a transaction visible before it releases its locks, the query that follows sees what it wrote.
 *   A transaction that takes its lock later draws higher numbers only.
 *
 * So up to the smaller of the last number and the lowest floor (the horizon) no change can still appear. The horizon may also go back: a writer that
 * was held up between its first two steps brings an old floor. It draws higher numbers all the same, so a reader that is further already
 * stays where it is. Two changes of one row keep their order, too: the second writer waits for the first one's row lock before its
 * trigger draws a number.
 *
 * A notification within a writer's transaction makes all commits of the server wait for each other, their writes to the disk included. So
 * processes of ours announce their commits afterwards, many at once, and only for those of other programs the trigger notifies.
 */
function sharedFunctions(schema: string): string {
  return `
  CREATE OR REPLACE FUNCTION ${schema}.tidings_hold_floor() RETURNS void LANGUAGE plpgsql AS $body$
  DECLARE
    floor bigint;
  BEGIN
    IF coalesce(current_setting('tidings.floor', true), '') <> '' THEN
      RETURN;
    END IF;
    SELECT last_value INTO floor FROM ${schema}."Change_seq_seq";
    PERFORM pg_advisory_xact_lock_shared(${FLOOR_BASE} + floor);
    -- Lasts as long as the transaction, and is undone with the savepoint that undoes the lock.
    PERFORM set_config('tidings.floor', floor::text, true);
    IF current_setting('application_name') <> '${ANNOUNCING_APPLICATION}' THEN
      PERFORM pg_notify('${channelOf(CHANGES_TOPIC)}', '');
    END IF;
  END
  $body$;

  CREATE OR REPLACE FUNCTION ${schema}.tidings_horizon(OUT horizon bigint, OUT drawn bigint) LANGUAGE plpgsql VOLATILE AS $body$
  DECLARE
    lowest bigint;
  BEGIN
    SELECT last_value INTO drawn FROM ${schema}."Change_seq_seq";
    SELECT min(((l.classid::bigint << 32) | l.objid::bigint) - ${FLOOR_BASE}) INTO lowest
      FROM pg_locks AS l
      WHERE ${FLOORS};
    horizon := least(drawn, coalesce(lowest, drawn));
  END
  $body$;`;
}

/** The condition on changes that decide about access, which are few, word by word as their index has it. */
export function decidesAccess(models: LoggedModels): string {
  return `"model" IN (${accessModels(models)
    .map((name) => `'${name}'`)
    .join(', ')})`;
}

const PREFIX = 'tidings_log_';
const ACCESS_INDEX = 'tidings_access_';
/**
 * Makes the log's functions, triggers and index agree with the data model, within a transaction of the caller; when they do already, nothing is touched.
 * The triggers also fire for rows that logical replication writes.
 */
export async function installPostgresTriggers(client: pg.Client, models: LoggedModels): Promise<void> {
  const { rows: schemas } = await client.query<{ schema: string }>('SELECT quote_ident(current_schema()) AS "schema"');
  const schema = schemas[0]?.schema ?? 'public';
  const script = [
    sharedFunctions(schema),
    accessIndex(schema, models),
    ...[...models.values()].map((model) => modelScript(schema, model)),
  ].join('\n');
  const mark = `tidings ${digest(script)}`;
  const { rows: present } = await client.query<{ name: string; table: string; mark: string | null; enabled: boolean }>(
    `SELECT quote_ident(tgname) AS "name", tgrelid::regclass::text AS "table", tgenabled = 'A' AS "enabled",
       obj_description(to_regproc('tidings_hold_floor')::oid, 'pg_proc') AS "mark"
     FROM pg_trigger
     WHERE starts_with(tgname, '${PREFIX}') AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace)`,
  );
  const wanted = 2 * models.size;
  if (present.length === wanted && present.every((trigger) => trigger.enabled && trigger.mark === mark)) {
    return;
  }
  const drops = present.map(({ name, table }) => `DROP TRIGGER ${name} ON ${table};`);
  const comment = `COMMENT ON FUNCTION ${schema}.tidings_hold_floor() IS '${mark}';`;
  await client.query([...drops, script, comment].join('\n'));
}

/** Its name carries its condition: one with another condition is dropped. */
function accessIndex(schema: string, models: LoggedModels): string {
  const condition = decidesAccess(models);
  const name = `${ACCESS_INDEX}${digest(condition).slice(0, 8)}`;
  return `
  DO $do$ DECLARE old text; BEGIN
    FOR old IN SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()
      AND (starts_with(indexname, '${ACCESS_INDEX}') OR indexname = 'tidings_rights') AND indexname <> '${name}'
    LOOP EXECUTE 'DROP INDEX ' || quote_ident(old); END LOOP;
  END $do$;
  CREATE INDEX IF NOT EXISTS ${name} ON ${schema}."Change" ("seq") WHERE ${condition};`;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function modelScript(schema: string, model: LoggedModel): string {
  const name = quote(`${PREFIX}${model.name}`);
  const table = `${schema}.${quote(model.name)}`;
  const columns = [...model.columns.keys()];
  const write = (...entries: readonly string[]): string =>
    [`PERFORM ${schema}.tidings_hold_floor();`, ...entries].join('\n        ');
  const log = (action: ChangeAction, row: 'OLD' | 'NEW', other: string): string => {
    const before = action === 'INSERT' ? 'NULL' : image('OLD', model.columnsBefore);
    const after = action === 'DELETE' ? 'NULL' : image('NEW', columns);
    const values = [`'${model.name}'`, `${row}."id"`, `'${action}'`, scopeSql(model.scope, row), other, before, after];
    return `INSERT INTO ${schema}."Change" ("model", "rowId", "action", "scope", "otherScope", "before", "after")
          VALUES (${values.join(', ')});`;
  };
  const other = (row: string): string => (model.otherScope ? scopeSql(model.otherScope, row) : 'NULL');
  const insertion = log('INSERT', 'NEW', other('NEW'));
  const deletion = log('DELETE', 'OLD', other('OLD'));
  const update = log('UPDATE', 'NEW', model.otherScope ? other('NEW') : leftScope(model.scope));
  // The subscribers of the second scope that a row leaves find the update there, too.
  const rescoped = model.otherScope
    ? `IF ${other('OLD')} IS DISTINCT FROM ${other('NEW')} THEN ${log('UPDATE', 'NEW', other('OLD'))} END IF;`
    : '';
  const changed = model.updatedBy?.map((column) => `OLD.${quote(column)} IS DISTINCT FROM NEW.${quote(column)}`);
  const same = model.identity.map((column) => `OLD.${quote(column)} = NEW.${quote(column)}`).join(' AND ');
  const branches: Readonly<Record<ChangeAction, string>> = {
    INSERT: write(insertion),
    UPDATE: `${changed ? `IF NOT (${changed.join(' OR ')}) THEN RETURN NULL; END IF;` : ''}
        ${write(`IF ${same} THEN`, update, rescoped)}
        ELSE
          -- A row with another identity is, to everybody who knew it, deleted, and another one is inserted.
          ${deletion}
          ${insertion}
        END IF;`,
    DELETE: write(deletion),
  };
  const truncated = write(
    `INSERT INTO ${schema}."Change" ("model", "rowId", "action", "scope", "otherScope", "before")
          SELECT '${model.name}', "id", 'DELETE', ${scopeSql(model.scope, 'gone')}, ${other('gone')}, ${image('gone', model.columnsBefore)}
          FROM ${table} AS gone ORDER BY "id";`,
  );
  // As the owner of the tables, whatever names the caller's search path would find: a writer of a row needs no right to write the log.
  return `
    CREATE OR REPLACE FUNCTION ${schema}.${name}() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    BEGIN
      CASE TG_OP
      ${model.actions.map((action) => `WHEN '${action}' THEN\n        ${branches[action]}`).join('\n      ')}
      WHEN 'TRUNCATE' THEN
        ${truncated}
      END CASE;
      RETURN NULL;
    END
    $body$;
    CREATE TRIGGER ${name} AFTER ${model.actions.join(' OR ')} ON ${table}
      FOR EACH ROW EXECUTE FUNCTION ${schema}.${name}();
    CREATE TRIGGER ${quote(`${PREFIX}${model.name}_truncate`)} BEFORE TRUNCATE ON ${table}
      FOR EACH STATEMENT EXECUTE FUNCTION ${schema}.${name}();
    ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${name};
    ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${quote(`${PREFIX}${model.name}_truncate`)};`;
}

/** The scope that an updated row has left, or null when it stays where it was. */
function leftScope(rule: ScopeRule): string {
  if ('name' in rule) {
    return 'NULL';
  }
  const column = quote(rule.column);
  return `CASE WHEN OLD.${column} IS DISTINCT FROM NEW.${column} THEN ${scopeSql(rule, 'OLD')} END`;
}

function scopeSql(rule: ScopeRule, row: string): string {
  if ('name' in rule) {
    return `'${rule.name}'`;
  }
  const named = `'${rule.prefix}:' || ${row}.${quote(rule.column)}`;
  return rule.whenNull === undefined ? named : `coalesce(${named}, '${rule.whenNull}')`;
}

/** A row as JSON, of these columns. */
function image(row: string, columns: readonly string[]): string {
  const members = columns.map((column) => `'${column}', ${row}.${quote(column)}`);
  return `json_build_object(${members.join(', ')})::text`;
}

function quote(name: string): string {
  return `"${name}"`;
}
