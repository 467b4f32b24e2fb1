import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { AppError } from '../../errors.ts';
import type { Terminal } from '../../slice.ts';

/** Asks questions on the terminal, or reads the answers from standard input, one per line. */
export class Prompt {
  readonly #terminal: Terminal;
  readonly #reader: ReturnType<typeof createInterface>;
  readonly #lines: AsyncIterator<string>;
  #isHidden = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    const echo = new Writable({
      write: (chunk, _encoding, done) => {
        if (!this.#isHidden) {
          terminal.stdout.write(chunk);
        }
        done();
      },
    });
    this.#reader = createInterface({ input: terminal.stdin, output: echo, terminal: isTerminal(terminal) });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /**
   * Asks for a line of text.
   *
   * @throws {AppError} `BAD_INPUT` when the input ends before it
   */
  async ask(question: string): Promise<string> {
    this.#terminal.stdout.write(question);
    const { value, done } = await this.#lines.next();
    if (done) {
      this.#terminal.stdout.write('\n');
      throw new AppError('BAD_INPUT', 'The input ended before all questions were answered; nothing was changed.');
    }
    return value;
  }

  /**
   * Asks for a password without showing it.
   *
   * @throws {AppError} `BAD_INPUT` when the input ends before it
   */
  async askPassword(question: string): Promise<string> {
    this.#isHidden = true;
    try {
      return await this.ask(`${question} (not shown): `);
    } finally {
      this.#isHidden = false;
      this.#terminal.stdout.write('\n');
    }
  }

  /**
   * Asks for a new password, and on a terminal for its repetition, since the password is not shown.
   *
   * @throws {AppError} `BAD_INPUT` when the input ends before it, or the two differ
   */
  async askNewPassword(question: string): Promise<string> {
    const password = await this.askPassword(question);
    if (isTerminal(this.#terminal) && (await this.askPassword('Repeat the password')) !== password) {
      throw new AppError('BAD_INPUT', 'The two passwords differ; nothing was changed.');
    }
    return password;
  }

  close(): void {
    this.#reader.close();
  }
}

function isTerminal({ stdin }: Terminal): boolean {
  return 'isTTY' in stdin && stdin.isTTY === true;
}
