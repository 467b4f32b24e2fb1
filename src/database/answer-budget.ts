import { AppError } from '../errors.ts';

/** Shorter texts are counted by their UTF-16 units, which is cheaper. */
const MIN_MEASURED_LENGTH = 256;

/**
 * Bounds how many bytes of texts one operation reads from the database, and how many its answer has. Each is counted as it comes, against the same limit, so
 * that an operation fails before it holds much more than that.
 */
export class AnswerBudget {
  readonly #maxBytes: number;
  readonly #waiting: (() => void)[] = [];
  #isReading = false;
  #readBytes = 0;
  #answeredBytes = 0;
  #failure: AppError | null = null;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Returns an unused one, for an answer that consists of so many answers. */
  renew(answers = 1): AnswerBudget {
    return new AnswerBudget(this.#maxBytes * answers);
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

  #expectWithin(bytes: number): void {
    if (bytes > this.#maxBytes) {
      // One for all fields that fail: an answer has thousands of them, and only their first errors are shown.
      this.#failure ??= new AppError(
        'COMPLEXITY',
        `The answer takes more than ${this.#maxBytes} bytes of text. Ask for fewer objects at once.`,
      );
      throw this.#failure;
    }
  }
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
