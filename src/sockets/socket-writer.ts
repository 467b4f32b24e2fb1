import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { CloseCode } from './close-codes.ts';

/** How many bytes may wait for a peer before its subscriptions wait instead. */
const MAX_WAITING_BYTES = 64 * 1024;
/** A part that is larger is written as it is, rather than to be copied into one piece with its frame. */
const MAX_COPIED_BYTES = 16 * 1024;
/** How long a slow reader may read nothing before it is dropped, in milliseconds. */
const STALL_TIMEOUT_MS = 3_000;

/** The first byte of an unfragmented text frame (RFC 6455, section 5.2). */
const FINAL_TEXT_FRAME = 0x81;
/** How long the reason in a close frame may be, and the UTF-8 of a UTF-16 unit. */
const MAX_REASON_BYTES = 123;
const MAX_UNIT_BYTES = 3;
const MAX_SHORT_LENGTH = 125;
const MAX_MEDIUM_LENGTH = 0xffff;

/**
 * Writes text messages to one socket. Messages of one turn of the event loop leave in one write, and parts that many sockets have in common are encoded once
 * for all. The frames are made here, since `ws` takes only whole messages; they go to the connection below it, which is sound because `ws`
 * writes each frame of its own at once as well: nothing is compressed, and servers do not mask.
 */
export class SocketWriter {
  readonly #socket: WebSocket;
  readonly #connection: Duplex;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #isFlushScheduled = false;
  #waiters: (() => void)[] = [];

  /** `request` is the one that opened the socket. */
  constructor(socket: WebSocket, request: IncomingMessage) {
    this.#socket = socket;
    this.#connection = request.socket;
    this.#connection.on('drain', () => this.#notify());
  }

  /** Whether the peer keeps up. */
  get isWritable(): boolean {
    return this.#bytes + this.#connection.writableLength < MAX_WAITING_BYTES;
  }

  /** Calls back once when the peer has caught up. */
  onceWritable(callback: () => void): void {
    this.#waiters.push(callback);
  }

  /** Sends one message that consists of these parts, in UTF-8. */
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
    let at = header;
    for (const part of parts) {
      if (isCopied) {
        at += part.copy(frame, at);
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

  /** Writes what was sent. */
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

  /** Closes the socket after what was sent. A reason that is longer than a close frame is shortened. */
  close(code: number, reason: string): void {
    this.flush();
    const fits = Buffer.byteLength(reason) <= MAX_REASON_BYTES;
    this.#socket.close(code, fits ? reason : reason.slice(0, MAX_REASON_BYTES / MAX_UNIT_BYTES).toWellFormed());
  }

  /** Closes the socket of a reader that is too slow. It has time to read what was sent and the code, as long as it reads at all. */
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

/** Flushes a writer when the code that runs has come to its end, together with the others that wait for it. */
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
