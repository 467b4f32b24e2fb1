import { createHash } from 'node:crypto';
import type pg from 'pg';
import { ANNOUNCING_APPLICATION } from '../database/postgres.ts';
import { channelOf } from '../database/postgres-peers.ts';
import { accessModels, type ChangeAction, type LoggedModel, type LoggedModels } from './logged-models.ts';
import type { ScopeRule } from './scopes.ts';

/** The topic on which processes announce their commits to each other. */
export const CHANGES_TOPIC = 'changes';

/** The high half of the keys of the advisory locks by which writing transactions publish their floors; the low half, with its overflow, is the floor. */
const FLOOR_CLASS = 0x5449_4400;
const FLOOR_BASE = BigInt(FLOOR_CLASS) << 32n;
/** The number of values of the high half, for floors of up to 2^40. */
const FLOOR_CLASSES = 0x100;

/** The condition on `pg_locks AS l` that selects the floors of this database. */
export const FLOORS = `l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid::bigint BETWEEN ${FLOOR_CLASS} AND ${FLOOR_CLASS + FLOOR_CLASSES - 1}`;

/**
 * Returns the SQL functions of the horizon, by which a reader never skips a change although sequence numbers are drawn before their transactions commit:
 *
 * - A writer first reads the last number drawn so far, its floor. It then takes a shared advisory lock whose key contains the floor and which lasts until the
 *   end of the transaction. Only then does it draw numbers, all of which lie above its floor.
 * - A reader first reads the last number drawn, then the floors of all locks. A transaction that drew a number up to the reader's last number drew it
 *   before that was read, and so had its lock by then. Either the reader sees the lock, and stays at or below the floor; or the transaction
 *   has ended, and since PostgreSQL makes a transaction visible before it releases its locks, the reader's next query sees its rows.
 *   A transaction that takes its lock later draws higher numbers only.
 *
 * So no change can still appear up to the horizon, which is the smaller of the last number and the lowest floor. The horizon may also move back: a writer that
 * is delayed between its first two steps publishes an old floor. It still draws higher numbers, so a reader that has passed the floor keeps its position.
 * Two changes of one row keep their order: the second writer waits for the row lock of the first one before its trigger draws a number.
 *
 * A notification in a writer's transaction serialises all commits of the server, including their writes to the disk. Tidings therefore announces its commits
 * after they have ended, many at once, and the trigger notifies only for commits of other programs.
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

/** Returns the condition that selects the access changes, which are few, in the exact words of their partial index. */
export function decidesAccess(models: LoggedModels): string {
  return `"model" IN (${accessModels(models)
    .map((name) => `'${name}'`)
    .join(', ')})`;
}

const PREFIX = 'tidings_log_';
const ACCESS_INDEX = 'tidings_access_';
/**
 * Creates or replaces the log's functions, triggers and index, in a transaction of the caller, unless they already match the data model.
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
  const expected = 2 * models.size;
  if (present.length === expected && present.every((trigger) => trigger.enabled && trigger.mark === mark)) {
    return;
  }
  const drops = present.map(({ name, table }) => `DROP TRIGGER ${name} ON ${table};`);
  const comment = `COMMENT ON FUNCTION ${schema}.tidings_hold_floor() IS '${mark}';`;
  await client.query([...drops, script, comment].join('\n'));
}

/** Returns the script of the partial index. Its name contains a digest of its condition, so that an index with another condition is found and dropped. */
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
  const branches = actionBranches(schema, model);
  // It runs as the owner of the tables, since a writer of a row needs no privilege on the log, and with a fixed search path.
  return `
    CREATE OR REPLACE FUNCTION ${schema}.${name}() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    BEGIN
      CASE TG_OP
      ${model.actions.map((action) => `WHEN '${action}' THEN\n        ${branches[action]}`).join('\n      ')}
      WHEN 'TRUNCATE' THEN
        ${truncateBranch(schema, model)}
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

/** Returns the statements of the trigger function for each action. */
function actionBranches(schema: string, model: LoggedModel): Readonly<Record<ChangeAction, string>> {
  const log = (action: ChangeAction, row: 'OLD' | 'NEW', other: string): string => {
    const before = action === 'INSERT' ? 'NULL' : image('OLD', model.columnsBefore);
    const after = action === 'DELETE' ? 'NULL' : image('NEW', [...model.columns.keys()]);
    const values = [`'${model.name}'`, `${row}."id"`, `'${action}'`, scopeSql(model.scope, row), other, before, after];
    return `INSERT INTO ${schema}."Change" ("model", "rowId", "action", "scope", "otherScope", "before", "after")
          VALUES (${values.join(', ')});`;
  };
  const insertion = log('INSERT', 'NEW', otherScopeSql(model, 'NEW'));
  const deletion = log('DELETE', 'OLD', otherScopeSql(model, 'OLD'));
  const update = log('UPDATE', 'NEW', model.otherScope ? otherScopeSql(model, 'NEW') : leftScope(model.scope));
  // The update is also logged in the second scope that the row leaves, for the subscribers of that scope.
  const rescoped = model.otherScope
    ? `IF ${otherScopeSql(model, 'OLD')} IS DISTINCT FROM ${otherScopeSql(model, 'NEW')} THEN ${log('UPDATE', 'NEW', otherScopeSql(model, 'OLD'))} END IF;`
    : '';
  const changed = model.updatedBy?.map((column) => `OLD.${quote(column)} IS DISTINCT FROM NEW.${quote(column)}`);
  const same = model.identity.map((column) => `OLD.${quote(column)} = NEW.${quote(column)}`).join(' AND ');
  return {
    INSERT: withFloor(schema, insertion),
    UPDATE: `${changed ? `IF NOT (${changed.join(' OR ')}) THEN RETURN NULL; END IF;` : ''}
        ${withFloor(schema, `IF ${same} THEN`, update, rescoped)}
        ELSE
          -- A row with another identity is, to everybody who knew it, deleted, and another one is inserted.
          ${deletion}
          ${insertion}
        END IF;`,
    DELETE: withFloor(schema, deletion),
  };
}

/** Returns the statements of the trigger function that log the deletion of all rows. */
function truncateBranch(schema: string, model: LoggedModel): string {
  return withFloor(
    schema,
    `INSERT INTO ${schema}."Change" ("model", "rowId", "action", "scope", "otherScope", "before")
          SELECT '${model.name}', "id", 'DELETE', ${scopeSql(model.scope, 'gone')}, ${otherScopeSql(model, 'gone')}, ${image('gone', model.columnsBefore)}
          FROM ${schema}.${quote(model.name)} AS gone ORDER BY "id";`,
  );
}

/** Returns statements that write the log, behind the call that publishes the floor of their transaction. */
function withFloor(schema: string, ...statements: readonly string[]): string {
  return [`PERFORM ${schema}.tidings_hold_floor();`, ...statements].join('\n        ');
}

function otherScopeSql({ otherScope }: LoggedModel, row: string): string {
  return otherScope ? scopeSql(otherScope, row) : 'NULL';
}

/** Returns the SQL of the scope that an updated row has left; its value is null when the scope is the same. */
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

/** Returns the SQL of a row image: these columns as JSON. */
function image(row: string, columns: readonly string[]): string {
  const members = columns.map((column) => `'${column}', ${row}.${quote(column)}`);
  return `json_build_object(${members.join(', ')})::text`;
}

function quote(name: string): string {
  return `"${name}"`;
}
