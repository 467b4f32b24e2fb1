import { write, writeSync } from 'node:fs';

/** The largest write to a pipe that other processes cannot cut into (`PIPE_BUF` on Linux), in bytes: workers share standard output. */
const MAX_CHUNK_BYTES = 4096;
/** How long a line waits for others, in milliseconds: a write costs more than the line. */
const MAX_WAIT_MS = 100;
/** The bytes that may wait for a slow reader. Further lines are dropped and counted, so that no client fills the memory. */
const MAX_WAITING_BYTES = 16 * 1_048_576;
/** How long a full pipe is left alone, in milliseconds, and how often at most {@link LineWriter.flushSync} tries again. */
const RETRY_MS = 20;
const MAX_FINAL_RETRIES = 25;

/**
 * Writes lines to a file descriptor, several at once. Each write consists of whole lines. A reader that is slow, gone or full never blocks the process, throws, or
 * keeps it from ending.
 */
export class LineWriter {
  readonly #fd: number;
  #chunks: Buffer[] = [];
  #lines: string[] = [];
  #lineBytes = 0;
  #waitingBytes = 0;
  #timer: NodeJS.Timeout | null = null;
  #isWriting = false;
  #isClosed = false;
  /** The lines that were dropped since the last one that was written. */
  #dropped = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Adds a line, which ends with a line break. */
  write(line: string): void {
    const bytes = Buffer.byteLength(line);
    if (this.#isClosed || this.#waitingBytes + bytes > MAX_WAITING_BYTES) {
      this.#dropped += 1;
      return;
    }
    if (this.#lineBytes + bytes > MAX_CHUNK_BYTES) {
      this.#complete();
    }
    this.#lines.push(line);
    this.#lineBytes += bytes;
    this.#waitingBytes += bytes;
    if (this.#lineBytes >= MAX_CHUNK_BYTES) {
      this.#complete();
    }
    this.#writeNext();
    if (this.#lines.length > 0) {
      this.#timer ??= setTimeout(() => this.#flush(), MAX_WAIT_MS).unref();
    }
  }

  /** Writes what waits before the process ends; gives up on a reader that takes nothing for half a second. A write that is in progress may be repeated. */
  flushSync(): void {
    this.#complete();
    const pause = new Int32Array(new SharedArrayBuffer(4));
    for (let retries = 0; this.#chunks.length > 0 && !this.#isClosed && retries < MAX_FINAL_RETRIES; ) {
      const chunk = this.#chunks[0] as Buffer;
      try {
        this.#advance(chunk, writeSync(this.#fd, chunk));
      } catch (error) {
        if (codeOf(error) !== 'EAGAIN') {
          return;
        }
        retries += 1;
        Atomics.wait(pause, 0, 0, RETRY_MS);
      }
    }
  }

  #flush(): void {
    this.#timer = null;
    this.#complete();
    this.#writeNext();
  }

  /** Makes one chunk of the lines so far. */
  #complete(): void {
    if (this.#lines.length > 0) {
      if (this.#dropped > 0) {
        const line = { level: 'warn', msg: 'log lines were dropped', dropped: this.#dropped };
        const report = Buffer.from(`${JSON.stringify(line)}\n`);
        this.#chunks.push(report);
        this.#waitingBytes += report.length;
        this.#dropped = 0;
      }
      this.#chunks.push(Buffer.from(this.#lines.join('')));
      this.#lines = [];
      this.#lineBytes = 0;
    }
  }

  #writeNext(): void {
    const chunk = this.#chunks[0];
    if (this.#isWriting || !chunk) {
      return;
    }
    this.#isWriting = true;
    write(this.#fd, chunk, (error, written) => {
      this.#isWriting = false;
      if (!error) {
        this.#advance(chunk, written);
      } else if (codeOf(error) === 'EPIPE') {
        // The reader is gone for good.
        this.#isClosed = true;
        this.#chunks = [];
        return;
      } else if (codeOf(error) === 'EAGAIN') {
        setTimeout(() => this.#writeNext(), RETRY_MS).unref();
        return;
      } else {
        // A full disk, for example: the next lines may be written again.
        this.#dropped += 1;
        this.#advance(chunk, chunk.length);
      }
      this.#writeNext();
    });
  }

  /** Removes what was written from the first chunk. */
  #advance(chunk: Buffer, written: number): void {
    this.#waitingBytes -= written;
    if (this.#chunks[0] === chunk) {
      this.#chunks.splice(0, 1, ...(written < chunk.length ? [chunk.subarray(written)] : []));
    }
  }
}

function codeOf(error: unknown): unknown {
  return (error as NodeJS.ErrnoException).code;
}
