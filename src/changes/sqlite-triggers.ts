import type Sqlite from 'better-sqlite3';
import type { SchemaStatement } from '../database/migrations.ts';
import type { ChangeAction, LoggedModel, LoggedModels } from './logged-models.ts';
import { NO_SCOPE, type ScopeRule } from './scopes.ts';

interface Trigger {
  readonly name: string;
  readonly sql: string;
}

type Row = 'OLD' | 'NEW';

const PREFIX = 'tidings_log_';

/** Returns the statements that make the log's triggers match the data model; none when they match. */
export function planSqliteTriggers(database: Sqlite.Database, models: LoggedModels): SchemaStatement[] {
  const expected = new Map([...models.values()].flatMap(triggersOf).map((trigger) => [trigger.name, trigger.sql]));
  const present = new Map(
    database
      .prepare<[string], Trigger>(
        `SELECT "name", "sql" FROM "sqlite_master" WHERE "type" = 'trigger' AND "name" LIKE ?`,
      )
      .all(`${PREFIX}%`)
      .map(({ name, sql }) => [name, sql]),
  );
  const drop = (name: string): string => (present.has(name) ? `DROP TRIGGER ${quote(name)};` : '');
  const superfluous = [...present.keys()].filter((name) => !expected.has(name));
  const changed = [...expected].filter(([name, sql]) => present.get(name) !== sql);
  return [
    ...superfluous.map((name) => ({ name: `no trigger ${name}`, sql: drop(name) })),
    ...changed.map(([name, sql]) => ({ name: `trigger ${name}`, sql: `${drop(name)} ${sql}` })),
  ];
}

function triggersOf(model: LoggedModel): Trigger[] {
  const triggers: Trigger[] = [];
  const add = (suffix: string, event: string, when: string | null, ...entries: string[]): void => {
    const name = `${PREFIX}${model.name}_${suffix}`;
    const condition = when === null ? '' : ` WHEN ${when}`;
    triggers.push({
      name,
      sql: `CREATE TRIGGER ${quote(name)} AFTER ${event} ON ${quote(model.name)}${condition} BEGIN ${entries.join('; ')}; END`,
    });
  };
  if (model.actions.includes('INSERT')) {
    add('insert', 'INSERT', null, insertion(model));
  }
  if (model.actions.includes('UPDATE')) {
    const columns = model.updatedBy?.filter((column) => column !== 'id').map(quote);
    const event = columns ? `UPDATE OF ${columns.join(', ')}` : 'UPDATE';
    const same = model.identity.map((column) => `OLD.${quote(column)} IS NEW.${quote(column)}`).join(' AND ');
    add('update', event, same, update(model, model.otherScope ? scopeSql(model.otherScope, 'NEW') : leftScope(model)));
    // For subscribers, an update of the identity deletes the row and inserts another one.
    add('rekey', 'UPDATE', `NOT (${same})`, deletion(model), insertion(model));
    if (model.otherScope) {
      // The update is also logged in the second scope that the row leaves, for the subscribers of that scope.
      const left = scopeSql(model.otherScope, 'OLD');
      add('rescope', event, `${same} AND ${left} IS NOT ${scopeSql(model.otherScope, 'NEW')}`, update(model, left));
    }
  }
  if (model.actions.includes('DELETE')) {
    add('delete', 'DELETE', null, deletion(model));
  }
  return triggers;
}

function insertion(model: LoggedModel): string {
  return entry(
    model,
    'INSERT',
    'NEW',
    otherScopeSql(model, 'NEW'),
    null,
    image(model, 'NEW', [...model.columns.keys()]),
  );
}

function update(model: LoggedModel, otherScope: string): string {
  const after = image(model, 'NEW', [...model.columns.keys()]);
  return entry(model, 'UPDATE', 'NEW', otherScope, image(model, 'OLD', model.columnsBefore), after);
}

function deletion(model: LoggedModel): string {
  return entry(model, 'DELETE', 'OLD', otherScopeSql(model, 'OLD'), image(model, 'OLD', model.columnsBefore), null);
}

function entry(
  model: LoggedModel,
  action: ChangeAction,
  row: Row,
  otherScope: string,
  before: string | null,
  after: string | null,
): string {
  const values = [
    `'${model.name}'`,
    `${row}."id"`,
    `'${action}'`,
    scopeSql(model.scope, row),
    otherScope,
    before ?? 'NULL',
    after ?? 'NULL',
  ];
  return `INSERT INTO "Change" ("model", "rowId", "action", "scope", "otherScope", "before", "after") VALUES (${values.join(', ')})`;
}

function otherScopeSql({ otherScope }: LoggedModel, row: Row): string {
  return otherScope ? scopeSql(otherScope, row) : 'NULL';
}

/** Returns the SQL of the scope that an updated row has left; its value is null when the scope is the same. */
function leftScope({ scope }: LoggedModel): string {
  if ('name' in scope) {
    return 'NULL';
  }
  const column = quote(scope.column);
  return `CASE WHEN OLD.${column} IS NOT NEW.${column} THEN ${scopeSql(scope, 'OLD')} END`;
}

function scopeSql(rule: ScopeRule, row: Row): string {
  if ('name' in rule) {
    return `'${rule.name}'`;
  }
  const column = `${row}.${quote(rule.column)}`;
  const whenNull = rule.whenNull === undefined ? '' : ` WHEN 'null' THEN '${rule.whenNull}'`;
  return `CASE typeof(${column}) WHEN 'integer' THEN '${rule.prefix}:' || ${column}${whenNull} ELSE '${NO_SCOPE}' END`;
}

/**
 * Returns the SQL of a row image: these columns as JSON. SQLite stores values of any type in any column, and `json_object` fails on some of them and returns
 * invalid JSON for others. The image then has a value of a type that the column cannot have, so that the change is recognised as unreadable: a number in
 * place of a text, a text in place of other types.
 */
function image(model: LoggedModel, row: Row, columns: readonly string[]): string {
  const members = columns.map((name) => {
    const column = `${row}.${quote(name)}`;
    const [types, otherwise] =
      model.columns.get(name) === 'String'
        ? ["'text', 'null'", '0']
        : ["'integer', 'text', 'null'", `typeof(${column})`];
    return `'${name}', CASE WHEN typeof(${column}) IN (${types}) THEN ${column} ELSE ${otherwise} END`;
  });
  return `json_object(${members.join(', ')})`;
}

function quote(name: string): string {
  return `"${name}"`;
}
