import { AppError } from '../errors.ts';

/** Shorter texts are counted by their UTF-16 units, which is cheaper. */
const MIN_MEASURED_LENGTH = 256;

/** What looking through a list costs: to count its rows, to compare them, and to search their texts, which takes about twice as long. */
const COUNT_COST = 1;
const FILTER_COST = 1;
const TEXT_SEARCH_COST = 2;

export interface AnswerLimits {
  /** How many bytes of texts may be read, and the answer may have. */
  readonly maxBytes: number;
  /** How many lists may be looked through: 1 for a filter or a count, 2 for the search for a text. */
  readonly maxSearches: number;
}

/**
 * Bounds how many bytes of texts one operation reads from the database, how many its answer has, and how many lists it looks through. Each is counted as it comes,
 * so that an operation fails before it takes much more than that.
 */
export class AnswerBudget {
  readonly #limits: AnswerLimits;
  readonly #waiting: (() => void)[] = [];
  #isReading = false;
  #readBytes = 0;
  #answeredBytes = 0;
  #searches = 0;
  #failure: AppError | null = null;

  constructor(limits: AnswerLimits) {
    this.#limits = limits;
  }

  /** Returns an unused one, for an answer that consists of so many answers. */
  renew(answers = 1): AnswerBudget {
    const { maxBytes, maxSearches } = this.#limits;
    return new AnswerBudget({ maxBytes: maxBytes * answers, maxSearches: maxSearches * answers });
  }

  /**
   * Reads rows when the reads before have ended: those of one operation run one after the other, since only then the limit holds for all of them.
   *
   * @throws {AppError} `COMPLEXITY` when the rows that were read exceed the limit
   */
  async read<Row extends object>(find: () => Promise<Row[]>): Promise<Row[]> {
    if (this.#isReading) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#isReading = true;
    try {
      this.#expectWithin(this.#readBytes);
      const rows = await find();
      this.#readBytes += bytesOfRows(rows);
      this.#expectWithin(this.#readBytes);
      return rows;
    } finally {
      const next = this.#waiting.shift();
      if (next) {
        next();
      } else {
        this.#isReading = false;
      }
    }
  }

  /**
   * Counts a text that the answer has.
   *
   * @throws {AppError} `COMPLEXITY` when the answer exceeds the limit
   */
  addText(text: string): void {
    this.#answeredBytes += bytesOf(text);
    this.#expectWithin(this.#answeredBytes);
  }

  /** The same for the texts of rows, of which the answer may have all. */
  addRows(rows: readonly object[]): void {
    this.#answeredBytes += bytesOfRows(rows);
    this.#expectWithin(this.#answeredBytes);
  }

  /**
   * Counts a statement that looks for the rows of a filter, unless it is empty.
   *
   * @throws {AppError} `COMPLEXITY` when the operation looks through more lists than it may
   */
  addSearch(filter: object = {}): void {
    const conditions = Object.values(filter);
    if (conditions.length > 0) {
      this.#addSearches(conditions.some(isTextSearch) ? TEXT_SEARCH_COST : FILTER_COST);
    }
  }

  /**
   * Counts a statement that counts the rows of a list.
   *
   * @throws {AppError} `COMPLEXITY` when the operation looks through more lists than it may
   */
  addCount(): void {
    this.#addSearches(COUNT_COST);
  }

  #addSearches(cost: number): void {
    this.#searches += cost;
    const { maxSearches } = this.#limits;
    if (this.#searches > maxSearches) {
      this.#failure ??= new AppError(
        'COMPLEXITY',
        `The operation looks through too many lists: a filter and a totalCount cost 1, a filter by a part of a text 2, together at most ${maxSearches}.`,
      );
      throw this.#failure;
    }
  }

  #expectWithin(bytes: number): void {
    const { maxBytes } = this.#limits;
    if (bytes > maxBytes) {
      // One for all fields that fail: an answer has thousands of them, and only their first errors are shown.
      this.#failure ??= new AppError(
        'COMPLEXITY',
        `The answer takes more than ${maxBytes} bytes of text. Ask for fewer objects at once.`,
      );
      throw this.#failure;
    }
  }
}

function isTextSearch(condition: unknown): boolean {
  return typeof condition === 'object' && condition !== null && 'contains' in condition;
}

function bytesOf(text: string): number {
  return text.length < MIN_MEASURED_LENGTH ? text.length : Buffer.byteLength(text);
}

function bytesOfRows(rows: readonly object[]): number {
  let bytes = 0;
  for (const row of rows) {
    for (const value of Object.values(row)) {
      bytes += typeof value === 'string' ? bytesOf(value) : 0;
    }
  }
  return bytes;
}
