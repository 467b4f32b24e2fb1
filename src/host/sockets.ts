import { type WebSocket, WebSocketServer } from 'ws';
import type { Config } from '../config.ts';

/** Why the server closes a socket: the codes of RFC 6455 and, above 4000, those that graphql-transport-ws has made common. */
export const CloseReason = {
  goingAway: 1001,
  internalError: 1011,
  /** The reader is too slow. */
  tryAgainLater: 1013,
  /** The cursor is malformed. */
  badRequest: 4400,
  /** There is no credential. */
  unauthorized: 4401,
  /** The credential is refused or has ended, or its user has no right to what the socket is about. */
  forbidden: 4403,
  /** The log does not reach back to the cursor. */
  resyncRequired: 4410,
  /** The user has as many sockets as are allowed. */
  tooMany: 4429,
} as const;

/** How long a peer has left to read the last that it is told. */
const GRACE_MS = 2_000;

/** A server for sockets of one kind: of a bounded message size, and uncompressed, which would cost more memory than it saves bytes. */
export function createWebSocketServer(
  { messageLimitBytes }: Config['sockets'],
  options: { readonly handleProtocols?: (offered: Set<string>) => string | false } = {},
): WebSocketServer {
  return new WebSocketServer({ ...options, noServer: true, maxPayload: messageLimitBytes, perMessageDeflate: false });
}

/** Closes all sockets of a server that stops. */
export function closeSockets(server: WebSocketServer): void {
  for (const client of server.clients) {
    client.close(CloseReason.goingAway, 'Going away');
    setTimeout(() => client.terminate(), GRACE_MS).unref();
  }
}

/** Asks the peer now and then whether it is still there; one that has not answered by the next time is dropped. */
export function keepAlive(socket: WebSocket, intervalMs: number): void {
  let answered = true;
  socket.on('pong', () => {
    answered = true;
  });
  const timer = setInterval(() => {
    if (!answered) {
      socket.terminate();
      return;
    }
    answered = false;
    socket.ping();
  }, intervalMs);
  timer.unref();
  whenClosed(socket, () => clearInterval(timer));
}

/** Closes a socket whose reader is too slow, soon: it may still read why. */
export function dropSlowReader(socket: WebSocket): void {
  setTimeout(() => {
    socket.close(CloseReason.tryAgainLater, 'The reader is too slow');
    setTimeout(() => socket.terminate(), GRACE_MS).unref();
  }, GRACE_MS).unref();
}

/** Sends a text; waiting until it is written is what slows a stream down to the pace of its reader. */
export function sendText(socket: WebSocket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    if (socket.readyState === socket.OPEN) {
      socket.send(text, (error) => (error ? reject(error) : resolve()));
    } else {
      resolve();
    }
  });
}

/** Calls back when the socket is closed, at once when it is already. */
export function whenClosed(socket: WebSocket, callback: () => void): void {
  if (socket.readyState === socket.CLOSED) {
    callback();
  } else {
    socket.once('close', callback);
  }
}

/** Counts what each user keeps open, so that nobody takes all there is. */
export class Places {
  readonly #taken = new Map<number, number>();
  readonly #perUser: number;

  constructor(perUser: number) {
    this.#perUser = perUser;
  }

  /** Takes a place; gives what frees it again, or null when the user has as many as are allowed. */
  take(userId: number): (() => void) | null {
    const taken = this.#taken.get(userId) ?? 0;
    if (taken >= this.#perUser) {
      return null;
    }
    this.#taken.set(userId, taken + 1);
    let free = false;
    return () => {
      if (free) {
        return;
      }
      free = true;
      const left = (this.#taken.get(userId) ?? 1) - 1;
      if (left === 0) {
        this.#taken.delete(userId);
      } else {
        this.#taken.set(userId, left);
      }
    };
  }
}
