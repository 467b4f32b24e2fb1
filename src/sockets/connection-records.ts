import type { IncomingMessage } from 'node:http';
import type { WebSocket } from 'ws';
import type { ConnectionRecord, Telemetry } from '../telemetry.ts';

/** The records of open WebSockets, by their upgrade request. */
const records = new WeakMap<IncomingMessage, ConnectionRecord>();

/** Reports that a WebSocket is open, and later that it is closed. */
export function recordConnection(
  telemetry: Telemetry,
  { request, socket }: { readonly request: IncomingMessage; readonly socket: WebSocket },
  { id, protocol, address }: Pick<ConnectionRecord, 'id' | 'protocol' | 'address'>,
): void {
  const connection: ConnectionRecord = { id, protocol, address, startedAt: performance.now(), userId: null };
  records.set(request, connection);
  telemetry.report({ kind: 'connected', connection });
  socket.once('close', (code, reason) =>
    telemetry.report({ kind: 'disconnected', connection, code, reason: reason.toString() }),
  );
}

/** Adds the user to the record of a WebSocket, once its credential is accepted. */
export function recordUser(request: IncomingMessage, userId: number | null): void {
  const connection = records.get(request);
  if (connection) {
    connection.userId = userId;
  }
}

/** Returns the id of a WebSocket in the log. */
export function connectionIdOf(request: IncomingMessage): string | null {
  return records.get(request)?.id ?? null;
}
