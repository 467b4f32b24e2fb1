import type { AnswerLimits } from '../config/answer-limits.ts';
import { AppError } from '../errors.ts';

/** Shorter texts are counted in UTF-16 code units, which is cheaper. */
const MIN_MEASURED_LENGTH = 256;

/** The cost of scanning a list: to count its rows, to compare a column, and to search a text, which takes about twice as long. */
const COUNT_COST = 1;
const FILTER_COST = 1;
const TEXT_SEARCH_COST = 2;

/**
 * The limits of one operation: the bytes of texts that it reads from the database, the bytes of texts in its answer, and the number of lists that it scans.
 * Each is counted while the operation runs, so that it fails soon after it exceeds a limit.
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

  /** Returns an unused budget for so many answers together, as in a batch. */
  renew(answers = 1): AnswerBudget {
    const { maxBytes, maxSearches, maxExamined } = this.#limits;
    return new AnswerBudget({ maxBytes: maxBytes * answers, maxSearches: maxSearches * answers, maxExamined });
  }

  /** The largest number of rows that a filter by a part of a text examines for one page. */
  get maxExamined(): number {
    return this.#limits.maxExamined;
  }

  /** Returns the error of a filter that would have to examine more rows. */
  tooLongScan(): AppError {
    return new AppError(
      'COMPLEXITY',
      `A filter by a part of a text examines at most ${this.maxExamined} objects of a list, and this list has more. Use \`search\` instead.`,
    );
  }

  /**
   * Reads rows after the earlier reads have ended. The reads of one operation run one after the other, since the limit applies to all of them together.
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
   * Counts a text of the answer.
   *
   * @throws {AppError} `COMPLEXITY` when the answer exceeds the limit
   */
  addText(text: string): void {
    this.#answeredBytes += bytesOf(text);
    this.#expectWithin(this.#answeredBytes);
  }

  /** Counts the texts of rows of which the answer may contain all columns; throws as {@link addText} does. */
  addRows(rows: readonly object[]): void {
    this.#answeredBytes += bytesOfRows(rows);
    this.#expectWithin(this.#answeredBytes);
  }

  /**
   * Counts a statement that scans a list for the rows of a filter, unless the filter is empty. Each alternative of the filter counts as a filter.
   *
   * @throws {AppError} `COMPLEXITY` when the operation scans more lists than the limit
   */
  addSearch(filter: object = {}): void {
    this.#addSearches(costOf(filter));
  }

  /**
   * Counts a search of the texts of several lists.
   *
   * @throws {AppError} `COMPLEXITY` when the operation scans more lists than the limit
   */
  addTextSearches(lists: number): void {
    this.#addSearches(lists * TEXT_SEARCH_COST);
  }

  /**
   * Counts a statement that counts the rows of a list.
   *
   * @throws {AppError} `COMPLEXITY` when the operation scans more lists than the limit
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
        `The operation searches too many lists: a filter or a totalCount costs 1, a filter by a part of a text 2, each type of \`search\` 2, and the limit is ${maxSearches}.`,
      );
      throw this.#failure;
    }
  }

  #expectWithin(bytes: number): void {
    const { maxBytes } = this.#limits;
    if (bytes > maxBytes) {
      // One error object for all fields: thousands may fail, and only the first errors are shown.
      this.#failure ??= new AppError(
        'COMPLEXITY',
        `The answer would have more than ${maxBytes} bytes of text. Ask for fewer objects at once.`,
      );
      throw this.#failure;
    }
  }
}

function costOf(filter: object): number {
  const { OR: alternatives = [], ...conditions } = filter as { OR?: readonly object[] };
  const own = Object.values(conditions);
  const cost = own.some(isTextSearch) ? TEXT_SEARCH_COST : FILTER_COST;
  return alternatives.reduce((sum, alternative) => sum + costOf(alternative), own.length > 0 ? cost : 0);
}

/** Returns whether a filter searches for a part of a text. */
export function searchesText(filter: object = {}): boolean {
  const { OR: alternatives = [], ...conditions } = filter as { OR?: readonly object[] };
  return Object.values(conditions).some(isTextSearch) || alternatives.some(searchesText);
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
