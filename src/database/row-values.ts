import { columnsOf, decodeValue, timesOf } from './columns.ts';
import type { SqlDialect } from './condition-sql.ts';
import type { RawRow } from './select-sql.ts';

/** Returns the values that a write sets, in the form that the driver accepts, without undefined values. */
export function encodeValues({ encode }: SqlDialect, values: object): RawRow {
  return Object.fromEntries(
    Object.entries(values)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, encode(value)]),
  );
}

/** Returns the values of a new row, with the current time in the columns that record its creation and its last change. */
export function encodeNewRow(dialect: SqlDialect, model: string, data: object): RawRow {
  return encodeValues(dialect, { ...data, ...currentTimes(model, 'created'), ...currentTimes(model, 'updated') });
}

/** Returns the columns of a model that record the creation or the last change of a row, with the current time. */
export function currentTimes(model: string, event: 'created' | 'updated'): RawRow {
  const columns = timesOf(model)[event];
  const now = new Date();
  return Object.fromEntries(columns.map((column) => [column, now]));
}

/** Returns the numbers of a list that a database collected: an array, or its JSON. */
export function parseNumbers(collected: unknown): number[] {
  return (typeof collected === 'string' ? JSON.parse(collected) : (collected ?? [])) as number[];
}

/** Returns a function that decodes the values of a row in place, by the column kinds of its model. */
export function decoderOf(model: string): (row: RawRow) => RawRow {
  const columns = [...columnsOf(model)];
  return (row) => {
    for (const [name, kind] of columns) {
      const value = row[name];
      if (kind === 'String' ? typeof value === 'string' || value === null : value === null) {
        continue;
      }
      const decoded = decodeValue(value, kind);
      if (decoded === undefined) {
        throw new Error(
          `The column ${name} of ${model} has a value of another type than ${kind}, which the schema declares.`,
        );
      }
      row[name] = decoded;
    }
    return row;
  };
}
