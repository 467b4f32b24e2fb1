/** What a client does after its socket was closed. */
export type AfterClose =
  /** Connect again after a delay. */
  | 'retry'
  /** Connect again with another credential. */
  | 'refresh'
  /** Report an error: the same operations would be refused again. */
  | 'fail';

/** The credential is missing, is refused, or has ended. */
const CREDENTIAL_CODES = new Set([4401, 4403]);

/**
 * Codes of RFC 6455 and graphql-transport-ws that name a defect of the client or of its operations: unsupported data, a message that is too large,
 * a message that breaks the protocol, an unknown subprotocol, an id that is in use.
 */
const DEFECT_CODES = new Set([1002, 1003, 1007, 1009, 1010, 4004, 4005, 4400, 4406, 4409]);

/**
 * Returns what follows a close code. All others are transient: 1001 and 1006 (the server stops, or the network is lost), 1011 and 4500 (an error of the
 * server), 1013 (the reader is too slow), 4408 (too slow to connect), 4429 (too many sockets of the user), 4499 (no answer to a ping).
 */
export function afterClose(code: number): AfterClose {
  if (CREDENTIAL_CODES.has(code)) {
    return 'refresh';
  }
  return DEFECT_CODES.has(code) ? 'fail' : 'retry';
}

/** Returns the code and the reason of the end of a socket, which graphql-ws reports as an error or as a close event. */
export function closeOf(event: unknown): { code: number; reason: string } {
  const { code, reason } = (event ?? {}) as { code?: unknown; reason?: unknown };
  if (typeof code === 'number') {
    return {
      code,
      reason: typeof reason === 'string' && reason !== '' ? reason : `The connection was closed (${code}).`,
    };
  }
  return { code: 1006, reason: event instanceof Error ? event.message : 'The server cannot be reached.' };
}
