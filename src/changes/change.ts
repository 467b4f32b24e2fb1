import { decodeValue } from '../database/columns.ts';
import { encodeLogCursor, type LogPosition } from './cursor.ts';
import type { ChangeAction, LoggedModel } from './logged-models.ts';

/** What a change takes in memory beside the images of its row, in bytes. */
const OVERHEAD_BYTES = 300;

/** The model of the row that stands for the beginning of the log on PostgreSQL. It is no change, and older than any. */
export const LOG_BEGINNING = 'Beginning';

/** A row of the log without its images, as either database returns it. */
export interface LogHeader {
  readonly seq: number | string;
  readonly at: string | Date;
  readonly model: string;
  readonly rowId: number | string;
  readonly action: ChangeAction;
  readonly scope: string | null;
  readonly otherScope: string | null;
}

/** The images of a row before and after a change, as JSON. */
export interface Images {
  readonly before: string | null;
  readonly after: string | null;
}

/** A row as the log keeps it, with the values that its model gives them. */
export type RowImage = Readonly<Record<string, unknown>> & { readonly id: number };

/** The log holds a change that cannot be read: its subscribers have to start over. */
export class UnreadableChangeError extends Error {
  readonly change: Change;

  constructor(change: Change, reason: string) {
    super(`Change ${change.seq} of a ${change.model} cannot be read: ${reason}`);
    this.name = 'UnreadableChangeError';
    this.change = change;
  }
}

/** The position of a row of the log. */
export function positionOf({ seq, at }: Pick<LogHeader, 'seq' | 'at'>): LogPosition {
  return { seq: Number(seq), at: at instanceof Date ? at.getTime() : Date.parse(at) };
}

/** What a filter may know of a change. */
export interface RowChange {
  /** The position of the change in the log, as clients receive it. */
  readonly cursor: string;
  readonly model: string;
  readonly rowId: number;
  readonly before: RowImage | null;
  readonly after: RowImage | null;
}

/** One committed change of one row. Its images are decoded when they are first read. */
export class Change implements LogPosition, RowChange {
  readonly seq: number;
  readonly at: number;
  readonly model: string;
  readonly rowId: number;
  readonly action: ChangeAction;
  readonly scope: string | null;
  readonly otherScope: string | null;
  readonly #epoch: string;
  readonly #model: LoggedModel;
  #images: Images | null = null;
  #before: RowImage | null | undefined;
  #after: RowImage | null | undefined;
  #cursor: string | null = null;

  constructor(header: LogHeader, model: LoggedModel, epoch: string) {
    const { seq, at } = positionOf(header);
    this.seq = seq;
    this.at = at;
    this.model = header.model;
    this.rowId = Number(header.rowId);
    this.action = header.action;
    this.scope = header.scope;
    this.otherScope = header.otherScope;
    this.#epoch = epoch;
    this.#model = model;
  }

  get cursor(): string {
    this.#cursor ??= encodeLogCursor(this.#epoch, this);
    return this.#cursor;
  }

  get decidesAccess(): boolean {
    return this.#model.decidesAccess;
  }

  /** Whether its images were read; nobody asked for them otherwise. */
  get hasImages(): boolean {
    return this.#images !== null;
  }

  setImages(images: Images): void {
    this.#images = images;
  }

  /** About how much memory the change takes, in bytes. */
  get size(): number {
    return OVERHEAD_BYTES + (this.#images?.before?.length ?? 0) + (this.#images?.after?.length ?? 0);
  }

  /**
   * The row before the change, without the columns that no filter reads; null for an insertion.
   *
   * @throws {UnreadableChangeError}
   */
  get before(): RowImage | null {
    if (this.#before === undefined) {
      this.#before = this.#decode('before');
    }
    return this.#before;
  }

  /**
   * The row after the change; null for a deletion.
   *
   * @throws {UnreadableChangeError}
   */
  get after(): RowImage | null {
    if (this.#after === undefined) {
      this.#after = this.#decode('after');
    }
    return this.#after;
  }

  #decode(image: keyof Images): RowImage | null {
    if (this.#images === null) {
      throw new UnreadableChangeError(this, 'it was removed from the log');
    }
    const json = this.#images[image];
    const isMissing = image === 'before' ? this.action === 'INSERT' : this.action === 'DELETE';
    if (json === null && isMissing) {
      return null;
    }
    const row = json === null ? null : parseRow(json);
    if (!row) {
      throw new UnreadableChangeError(this, `the row ${image} it is not a JSON object`);
    }
    const columns = image === 'before' ? this.#model.columnsBefore : this.#model.columns.keys();
    const decoded: Record<string, unknown> = {};
    for (const column of columns) {
      const value = decodeValue(row[column] ?? null, this.#model.columns.get(column));
      if (value === undefined) {
        throw new UnreadableChangeError(this, `the column ${column} holds a value of another kind`);
      }
      decoded[column] = value;
    }
    return decoded as RowImage;
  }
}

function parseRow(json: string): Record<string, unknown> | null {
  try {
    const row: unknown = JSON.parse(json);
    return typeof row === 'object' && row !== null ? (row as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
