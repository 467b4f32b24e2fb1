import { encodeCursor, type Position } from './cursor.ts';
import type { Change } from './log.ts';
import { type ChangeAction, type LoggedModel, readImage } from './models.ts';

const CHANGE_OVERHEAD_BYTES = 200;

/** A row of the log as either database gives it. */
export interface LogRow {
  readonly seq: number | string;
  readonly model: string;
  readonly rowId: number;
  readonly action: ChangeAction;
  readonly before: string | null;
  readonly after: string | null;
  readonly at: string | Date;
}

export function positionOf({ seq, at }: Pick<LogRow, 'seq' | 'at'>): Position {
  return { seq: Number(seq), at: at instanceof Date ? at.getTime() : Date.parse(at) };
}

/** The change that a row of the log tells of; null when it is of a model that this program does not log. */
export function readChange(row: LogRow, models: ReadonlyMap<string, LoggedModel>, epoch: string): Change | null {
  const model = models.get(row.model);
  if (!model) {
    return null;
  }
  const position = positionOf(row);
  return {
    ...position,
    cursor: encodeCursor(epoch, position),
    model: row.model,
    rowId: row.rowId,
    action: row.action,
    before: row.before === null ? null : readImage(model, row.before),
    after: row.after === null ? null : readImage(model, row.after),
    size: CHANGE_OVERHEAD_BYTES + (row.before?.length ?? 0) + (row.after?.length ?? 0),
  };
}
