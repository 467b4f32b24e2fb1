import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { CloseCode } from './close-codes.ts';

/** The number of buffered bytes from which subscriptions stop sending until the client has read them. */
const MAX_BUFFERED_BYTES = 64 * 1024;
/** The size up to which a message is copied into one buffer with its frame header. */
const MAX_COPIED_BYTES = 16 * 1024;
/** The time without any progress after which a slow reader is disconnected, in milliseconds. */
const STALL_TIMEOUT_MS = 3_000;

/** The first byte of an unfragmented text frame (RFC 6455, section 5.2). */
const FINAL_TEXT_FRAME = 0x81;
/** The maximum size of the reason in a close frame (RFC 6455, section 5.5), and of a UTF-16 unit in UTF-8. */
const MAX_REASON_BYTES = 123;
const MAX_UNIT_BYTES = 3;
const MAX_SHORT_LENGTH = 125;
const MAX_MEDIUM_LENGTH = 0xffff;

/**
 * Writes text messages to one socket. Messages of one synchronous run are sent in one write, and parts that are common to
 * many sockets are encoded once. The frames are built here, because `ws` accepts only whole messages, and written to the
 * TCP connection. They cannot mix with the frames of `ws`, which it writes at once: it neither compresses nor masks them.
 */
export class SocketWriter {
  readonly #socket: WebSocket;
  readonly #connection: Duplex;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #isFlushScheduled = false;
  #waiters: (() => void)[] = [];

  /** `request` is the upgrade request of the socket. */
  constructor(socket: WebSocket, request: IncomingMessage) {
    this.#socket = socket;
    this.#connection = request.socket;
    this.#connection.on('drain', () => this.#notify());
  }

  /** Whether the client has read enough of the earlier messages to receive another one. */
  get isWritable(): boolean {
    return this.#bytes + this.#connection.writableLength < MAX_BUFFERED_BYTES;
  }

  /** Calls back once, when the client has read all buffered messages. */
  onceWritable(callback: () => void): void {
    this.#waiters.push(callback);
  }

  /** Sends one message, whose UTF-8 bytes are these parts. */
  send(...parts: readonly Buffer[]): void {
    if (this.#socket.readyState !== this.#socket.OPEN) {
      return;
    }
    let length = 0;
    for (const part of parts) {
      length += part.length;
    }
    const header = headerLength(length);
    const isCopied = length <= MAX_COPIED_BYTES;
    const frame = Buffer.allocUnsafe(isCopied ? header + length : header);
    writeHeader(frame, length);
    this.#chunks.push(frame);
    let offset = header;
    for (const part of parts) {
      if (isCopied) {
        offset += part.copy(frame, offset);
      } else {
        this.#chunks.push(part);
      }
    }
    this.#bytes += header + length;
    if (!this.#isFlushScheduled) {
      this.#isFlushScheduled = true;
      flushSoon(this);
    }
  }

  sendText(text: string): void {
    this.send(Buffer.from(text));
  }

  /** Writes the messages that are sent so far to the connection. */
  flush(): void {
    this.#isFlushScheduled = false;
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    const [first, ...more] = chunks;
    if (!first || this.#connection.destroyed) {
      return;
    }
    if (more.length > 0) {
      this.#connection.cork();
    }
    for (const chunk of chunks) {
      this.#connection.write(chunk);
    }
    if (more.length > 0) {
      this.#connection.uncork();
    }
    if (this.#waiters.length > 0 && this.isWritable) {
      queueMicrotask(() => this.#notify());
    }
  }

  /** Closes the socket after the sent messages. A reason that is too long for a close frame is shortened. */
  close(code: number, reason: string): void {
    this.flush();
    const fits = Buffer.byteLength(reason) <= MAX_REASON_BYTES;
    this.#socket.close(code, fits ? reason : reason.slice(0, MAX_REASON_BYTES / MAX_UNIT_BYTES).toWellFormed());
  }

  /** Closes the socket of a slow reader, which can read the sent messages and the close code as long as it makes progress. */
  closeSlowReader(): void {
    this.close(CloseCode.tryAgainLater, 'The reader is too slow');
    let waiting = this.#connection.writableLength;
    const timer = setInterval(() => {
      const left = this.#connection.writableLength;
      if (left >= waiting) {
        this.#socket.terminate();
      }
      waiting = left;
    }, STALL_TIMEOUT_MS);
    timer.unref();
    this.#socket.once('close', () => clearInterval(timer));
  }

  #notify(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      waiter();
    }
  }
}

function headerLength(length: number): number {
  if (length <= MAX_SHORT_LENGTH) {
    return 2;
  }
  return length <= MAX_MEDIUM_LENGTH ? 4 : 10;
}

function writeHeader(frame: Buffer, length: number): void {
  frame[0] = FINAL_TEXT_FRAME;
  if (length <= MAX_SHORT_LENGTH) {
    frame[1] = length;
  } else if (length <= MAX_MEDIUM_LENGTH) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
}

let waiting: SocketWriter[] = [];

/** Flushes a writer in the next microtask, together with all other writers that wait for it. */
function flushSoon(writer: SocketWriter): void {
  waiting.push(writer);
  if (waiting.length === 1) {
    queueMicrotask(() => {
      const writers = waiting;
      waiting = [];
      for (const each of writers) {
        each.flush();
      }
    });
  }
}
