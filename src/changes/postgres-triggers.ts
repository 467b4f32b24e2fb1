import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { SchemaStatement } from '../database/migrations.ts';
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
/** The bits of `pg_trigger.tgtype`. */
const EVENT_BITS: Readonly<Record<ChangeAction, number>> = { INSERT: 4, DELETE: 8, UPDATE: 16 };
const FOR_EACH_ROW = 1;
const BEFORE_TRUNCATE = 2 + 32;

/** The name of a trigger with its table, and its kind: two triggers with the same text work alike. */
interface PresentTrigger {
  readonly table: string;
  readonly name: string;
  readonly kind: string;
}

/** A trigger of the log, and the statements that create or replace it. */
interface Trigger extends PresentTrigger {
  readonly sql: string;
}

/**
 * Returns the statements that make the log's functions, triggers and index match the data model; none when they match. Only what differs is replaced: functions
 * without a lock on a table, so that no writer waits, and a trigger under a lock that lets readers continue. The triggers also fire for rows that logical
 * replication writes.
 */
export async function planPostgresTriggers(client: pg.Client, models: LoggedModels): Promise<SchemaStatement[]> {
  const { rows: schemas } = await client.query<{ schema: string; mark: string | null }>(
    `SELECT quote_ident(current_schema()) AS "schema",
       obj_description(to_regproc('tidings_hold_floor')::oid, 'pg_proc') AS "mark"`,
  );
  const schema = schemas[0]?.schema ?? 'public';
  const logged = [...models.values()];
  const functions = [sharedFunctions(schema), ...logged.map((model) => modelFunction(schema, model))].join('\n');
  const mark = `tidings ${digest(functions)}`;
  const expected = logged.flatMap((model) => triggersOf(schema, model));
  const triggers = await planTriggers(client, schema, expected);
  const comment = `COMMENT ON FUNCTION ${schema}.tidings_hold_floor() IS '${mark}';`;
  const isCurrent = schemas[0]?.mark === mark && triggers.length === 0;
  return [
    ...(isCurrent ? [] : [{ name: 'functions', sql: functions + comment }]),
    ...triggers,
    ...(await planAccessIndex(client, schema, models)),
  ];
}

async function planTriggers(
  client: pg.Client,
  schema: string,
  expected: readonly Trigger[],
): Promise<SchemaStatement[]> {
  const { rows: present } = await client.query<PresentTrigger>(
    `SELECT c.relname AS "table", t.tgname AS "name",
       concat_ws(' ', t.tgtype, t.tgenabled, p.proname, t.tgattr::text, pg_get_expr(t.tgqual, t.tgrelid)) AS "kind"
     FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_proc AS p ON p.oid = t.tgfoid
     WHERE starts_with(t.tgname, '${PREFIX}') AND c.relnamespace = current_schema()::regnamespace
     ORDER BY c.relname, t.tgname`,
  );
  const keyOf = ({ table, name }: PresentTrigger): string => `${table} ${name}`;
  const kinds = new Map(present.map((trigger) => [keyOf(trigger), trigger.kind.trim()]));
  const names = new Set(expected.map(keyOf));
  return [
    ...present
      .filter((trigger) => !names.has(keyOf(trigger)))
      .map(({ table, name }) => ({
        name: `no trigger ${name}`,
        sql: `DROP TRIGGER ${quote(name)} ON ${schema}.${quote(table)}`,
      })),
    ...expected
      .filter((trigger) => kinds.get(keyOf(trigger)) !== trigger.kind)
      .map(({ name, sql }) => ({ name: `trigger ${name}`, sql })),
  ];
}

/** Returns the statement that creates the partial index. Its name contains a digest of its condition, so that an index with another condition is found and dropped. */
async function planAccessIndex(client: pg.Client, schema: string, models: LoggedModels): Promise<SchemaStatement[]> {
  const condition = decidesAccess(models);
  const name = `${ACCESS_INDEX}${digest(condition).slice(0, 8)}`;
  const { rows } = await client.query<{ name: string }>(
    `SELECT indexname AS "name" FROM pg_indexes WHERE schemaname = current_schema()
       AND (starts_with(indexname, '${ACCESS_INDEX}') OR indexname = 'tidings_rights')`,
  );
  const old = rows.filter((index) => index.name !== name);
  return rows.length === 1 && old.length === 0
    ? []
    : [
        {
          name: `index ${name}`,
          sql: `${old.map((index) => `DROP INDEX ${schema}.${quote(index.name)};`).join(' ')}
            CREATE INDEX IF NOT EXISTS ${name} ON ${schema}."Change" ("seq") WHERE ${condition};`,
        },
      ];
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function modelFunction(schema: string, model: LoggedModel): string {
  const branches = actionBranches(schema, model);
  // It runs as the owner of the tables, since a writer of a row needs no privilege on the log, and with a fixed search path.
  return `
    CREATE OR REPLACE FUNCTION ${schema}.${quote(PREFIX + model.name)}() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    BEGIN
      CASE TG_OP
      ${model.actions.map((action) => `WHEN '${action}' THEN\n        ${branches[action]}`).join('\n      ')}
      WHEN 'TRUNCATE' THEN
        ${truncateBranch(schema, model)}
      END CASE;
      RETURN NULL;
    END
    $body$;`;
}

/** Returns the triggers of a model: for its rows, and for the removal of all of them. */
function triggersOf(schema: string, model: LoggedModel): Trigger[] {
  const called = PREFIX + model.name;
  const table = `${schema}.${quote(model.name)}`;
  const trigger = (name: string, type: number, event: string, each: 'ROW' | 'STATEMENT'): Trigger => ({
    table: model.name,
    name,
    kind: `${type} A ${called}`,
    sql: `CREATE OR REPLACE TRIGGER ${quote(name)} ${event} ON ${table}
        FOR EACH ${each} EXECUTE FUNCTION ${schema}.${quote(called)}();
      ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${quote(name)};`,
  });
  const rowType = model.actions.reduce((bits, action) => bits + EVENT_BITS[action], FOR_EACH_ROW);
  return [
    trigger(called, rowType, `AFTER ${model.actions.join(' OR ')}`, 'ROW'),
    trigger(`${called}_truncate`, BEFORE_TRUNCATE, 'BEFORE TRUNCATE', 'STATEMENT'),
  ];
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
