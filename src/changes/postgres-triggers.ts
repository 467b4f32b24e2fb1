import { createHash } from 'node:crypto';
import type pg from 'pg';
import { ANNOUNCING_APPLICATION } from '../database/postgres.ts';
import { channelOf } from '../database/postgres-peers.ts';
import { type ChangeAction, type LoggedModel, loggedModels, RIGHTS_MODELS } from './models.ts';

/** What wakes the readers of the log. */
export const CHANGES_TOPIC = 'changes';

/**
 * The high half of the advisory locks by which writing transactions hold their floor; the low half, and what overflows from it, is the floor.
 */
const FLOOR_CLASS = 0x5449_4400;
export const FLOOR_BASE = BigInt(FLOOR_CLASS) << 32n;
/** How far the high half reaches: floors of up to 2^40. */
const FLOOR_CLASSES = 0x100;

/**
 * Reading never skips a change although numbers are drawn before their transactions commit:
 *
 * - A writer first reads the last number drawn so far, its floor, then takes a shared lock that carries the floor and lasts until the
 *   transaction is over, and only then draws numbers: all of them lie above its floor.
 * - A reader first reads the last number drawn, then the floors that are held. Whoever draws a number up to the reader's last number drew it before
 *   that was read, and so had its lock by then: the reader either sees the lock, and stays at or below the floor; or the transaction
 *   was over, and since PostgreSQL makes a transaction visible before it releases its locks, the query that follows sees what it wrote.
 *   Whoever takes a lock later draws higher numbers only.
 *
 * So up to the smaller of the last number and the lowest floor nothing can be added any more. That place may also go back: a writer that was held up
 * between its first two steps brings an old floor. It draws higher numbers all the same, so a reader that is further already
 * just stays where it is. Two changes of one row keep their order, too: the second writer waits for the first one's row lock before its
 * trigger draws a number.
 *
 * A notification within a writer's transaction makes all commits of the server wait for each other, their writes to the disk included. So
 * processes of ours tell of their commits afterwards, many at once, and only for those of other programs the trigger does it.
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
    SELECT min(((classid::bigint << 32) | objid::bigint) - ${FLOOR_BASE}) INTO lowest
      FROM pg_locks
      WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid::bigint BETWEEN ${FLOOR_CLASS} AND ${FLOOR_CLASS + FLOOR_CLASSES - 1};
    horizon := least(drawn, coalesce(lowest, drawn));
  END
  $body$;

  CREATE INDEX IF NOT EXISTS tidings_rights ON ${schema}."Change" ("seq") WHERE ${OF_RIGHTS};`;
}

/** The condition on changes of rights, which are few, word by word as their index has it. */
export const OF_RIGHTS = `"model" IN (${RIGHTS_MODELS.map((model) => `'${model}'`).join(', ')})`;

const PREFIX = 'tidings_log_';

/** Makes the log's functions and triggers agree with the data model; when they do already, nothing is touched. */
export async function installPostgresTriggers(client: pg.Client): Promise<void> {
  const { rows: schemas } = await client.query<{ schema: string }>('SELECT quote_ident(current_schema()) AS "schema"');
  const schema = schemas[0]?.schema ?? 'public';
  const models = [...loggedModels().values()];
  const script = [sharedFunctions(schema), ...models.map((model) => modelScript(schema, model))].join('\n');
  const mark = `tidings ${createHash('sha256').update(script).digest('hex')}`;
  const { rows: present } = await client.query<{ name: string; table: string; mark: string | null; enabled: boolean }>(
    `SELECT quote_ident(tgname) AS "name", tgrelid::regclass::text AS "table", tgenabled = 'O' AS "enabled",
       obj_description(to_regproc('tidings_hold_floor')::oid, 'pg_proc') AS "mark"
     FROM pg_trigger
     WHERE starts_with(tgname, '${PREFIX}') AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace)`,
  );
  const wanted = 2 * models.length;
  if (present.length === wanted && present.every((trigger) => trigger.enabled && trigger.mark === mark)) {
    return;
  }
  const drops = present.map(({ name, table }) => `DROP TRIGGER ${name} ON ${table};`);
  const comment = `COMMENT ON FUNCTION ${schema}.tidings_hold_floor() IS '${mark}';`;
  await client.query([...drops, script, comment].join('\n'));
}

function modelScript(schema: string, model: LoggedModel): string {
  const name = quote(`${PREFIX}${model.name}`);
  const table = `${schema}.${quote(model.name)}`;
  const write = (...entries: readonly string[]): string =>
    [`PERFORM ${schema}.tidings_hold_floor();`, ...entries].join('\n        ');
  const log = (action: ChangeAction, before: 'OLD' | null, after: 'NEW' | null): string =>
    entry(schema, model, action, before, after);
  const changed = [...model.columns.keys()].map(
    (column) => `OLD.${quote(column)} IS DISTINCT FROM NEW.${quote(column)}`,
  );
  const same = model.identity.map((column) => `OLD.${quote(column)} = NEW.${quote(column)}`).join(' AND ');
  const branches: Readonly<Record<ChangeAction, string>> = {
    INSERT: write(log('INSERT', null, 'NEW')),
    UPDATE: `${model.onlyLoggedColumns ? `IF NOT (${changed.join(' OR ')}) THEN RETURN NULL; END IF;` : ''}
        ${write(`IF ${same} THEN`, log('UPDATE', 'OLD', 'NEW'))}
        ELSE
          -- A row with another identity is, to everybody who knew it, gone, and another one is there.
          ${log('DELETE', 'OLD', null)}
          ${log('INSERT', null, 'NEW')}
        END IF;`,
    DELETE: write(log('DELETE', 'OLD', null)),
  };
  const truncated = write(
    `INSERT INTO ${schema}."Change" ("model", "rowId", "action", "before")
          SELECT '${model.name}', "id", 'DELETE', ${image(model, 'gone')} FROM ${table} AS gone ORDER BY "id";`,
  );
  // As the owner of the tables, and whatever names it takes for them: whoever may write a row need not be allowed to write the log.
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
      FOR EACH STATEMENT EXECUTE FUNCTION ${schema}.${name}();`;
}

function entry(
  schema: string,
  model: LoggedModel,
  action: ChangeAction,
  before: 'OLD' | null,
  after: 'NEW' | null,
): string {
  const images = [before, after].map((row) => (row === null ? 'NULL' : image(model, row)));
  const values = [`'${model.name}'`, `${after ?? before}."id"`, `'${action}'`, ...images];
  return `INSERT INTO ${schema}."Change" ("model", "rowId", "action", "before", "after") VALUES (${values.join(', ')});`;
}

/** A row as JSON, of the columns that are logged. */
export function image(model: LoggedModel, row: string): string {
  const members = [...model.columns.keys()].map((column) => `'${column}', ${row}.${quote(column)}`);
  return `json_build_object(${members.join(', ')})::text`;
}

function quote(name: string): string {
  return `"${name}"`;
}
