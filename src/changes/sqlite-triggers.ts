import type Sqlite from 'better-sqlite3';
import { type ChangeAction, type LoggedModel, loggedModels } from './models.ts';

interface Trigger {
  readonly name: string;
  readonly sql: string;
}

const PREFIX = 'tidings_log_';

/** Makes the log's triggers agree with the data model: those that differ are made anew, those of models that are gone are dropped. */
export function installSqliteTriggers(database: Sqlite.Database): void {
  const wanted = new Map(
    [...loggedModels().values()].flatMap(sqliteTriggers).map((trigger) => [trigger.name, trigger.sql]),
  );
  const installed = () =>
    new Map(
      database
        .prepare<[string], Trigger>(
          `SELECT "name", "sql" FROM "sqlite_master" WHERE "type" = 'trigger' AND "name" LIKE ?`,
        )
        .all(`${PREFIX}%`)
        .map(({ name, sql }) => [name, sql]),
    );
  const differ = (present: ReadonlyMap<string, string>): boolean =>
    present.size !== wanted.size || [...wanted].some(([name, sql]) => present.get(name) !== sql);

  if (!differ(installed())) {
    return;
  }
  database
    .transaction(() => {
      const present = installed();
      if (!differ(present)) {
        return;
      }
      for (const name of present.keys()) {
        database.exec(`DROP TRIGGER ${quote(name)}`);
      }
      for (const sql of wanted.values()) {
        database.exec(sql);
      }
    })
    .immediate();
}

function sqliteTriggers(model: LoggedModel): Trigger[] {
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
    add('insert', 'INSERT', null, entry(model, 'INSERT', null, 'NEW'));
  }
  if (model.actions.includes('UPDATE')) {
    const columns = [...model.columns.keys()].filter((column) => column !== 'id').map(quote);
    const event = model.onlyLoggedColumns ? `UPDATE OF ${columns.join(', ')}` : 'UPDATE';
    const same = model.identity.map((column) => `OLD.${quote(column)} = NEW.${quote(column)}`).join(' AND ');
    add('update', event, same, entry(model, 'UPDATE', 'OLD', 'NEW'));
    // A row with another identity is, to everybody who knew it, gone, and another one is there.
    add('rekey', 'UPDATE', `NOT (${same})`, entry(model, 'DELETE', 'OLD', null), entry(model, 'INSERT', null, 'NEW'));
  }
  if (model.actions.includes('DELETE')) {
    add('delete', 'DELETE', null, entry(model, 'DELETE', 'OLD', null));
  }
  return triggers;
}

function entry(model: LoggedModel, action: ChangeAction, before: 'OLD' | null, after: 'NEW' | null): string {
  const values = [
    `'${model.name}'`,
    `${after ?? before}."id"`,
    `'${action}'`,
    image(model, before),
    image(model, after),
  ];
  return `INSERT INTO "Change" ("model", "rowId", "action", "before", "after") VALUES (${values.join(', ')})`;
}

function image(model: LoggedModel, row: 'OLD' | 'NEW' | null): string {
  if (row === null) {
    return 'NULL';
  }
  const members = [...model.columns.keys()].map((column) => `'${column}', ${row}.${quote(column)}`);
  return `json_object(${members.join(', ')})`;
}

function quote(name: string): string {
  return `"${name}"`;
}
