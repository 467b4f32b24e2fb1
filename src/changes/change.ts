import { decodeValue } from '../database/columns.ts';
import { encodeLogCursor, type LogPosition } from './cursor.ts';
import type { ChangeAction, LoggedModel } from './logged-models.ts';

/** The memory that a change takes beside the images of its row, in bytes. */
const OVERHEAD_BYTES = 300;

/** The model of the sentinel row that PostgreSQL inserts into an empty log. It is not a change, and comes before all changes. */
export const SENTINEL_MODEL = 'Beginning';

/** A row of the log without its images, as the driver of either database returns it. */
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

/** A row as the log stores it, decoded by the column kinds of its model. */
export type RowImage = Readonly<Record<string, unknown>> & { readonly id: number };

/** A change in the log cannot be decoded. The subscriptions that it concerns end with `RESYNC_REQUIRED`. */
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

/** The part of a change that filters read. */
export interface RowChange {
  /** The position of the change in the log, as clients receive it. */
  readonly cursor: string;
  readonly model: string;
  readonly rowId: number;
  readonly before: RowImage | null;
  readonly after: RowImage | null;
}

/** A committed change of one row. Its images are decoded when they are first read. */
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

  /** Whether its images were read from the log; they are left out where nothing in this process needs them. */
  get hasImages(): boolean {
    return this.#images !== null;
  }

  /** Whether both images can be decoded. */
  get isReadable(): boolean {
    try {
      return [this.before, this.after].length > 0;
    } catch {
      return false;
    }
  }

  setImages(images: Images): void {
    this.#images = images;
  }

  /** The approximate memory that the change takes, in bytes. */
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
        throw new UnreadableChangeError(this, `the column ${column} holds a value of another type`);
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
