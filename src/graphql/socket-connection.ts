import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { CloseCode as ProtocolCloseCode } from 'graphql-ws';
import type { WebSocket } from 'ws';
import type { Config } from '../config/config.ts';
import type { SessionCookie, TransportConnection } from '../context.ts';
import { CredentialsError } from '../errors.ts';
import type { AddressOf } from '../host/caller-address.ts';
import type { SessionCookies } from '../host/session-cookies.ts';
import { type AuthenticatedConnection, authenticateConnection } from '../identity/credential-watch.ts';
import type { ConcurrencyLimiter } from '../sockets/concurrency-limiter.ts';
import type { ConnectionLimiter } from '../sockets/connection-limiter.ts';
import type { PeerLimits } from '../sockets/peer-limits.ts';
import type { SocketWriter } from '../sockets/socket-writer.ts';
import type { UserViewer } from '../viewer.ts';
import type { OperationTransport } from './operation-transport.ts';

export interface SocketTransportOptions extends OperationTransport {
  readonly addressOf: AddressOf;
  readonly cookies: SessionCookies;
  readonly connections: ConnectionLimiter<number>;
  readonly peers: PeerLimits;
  readonly startLimiter: ConcurrencyLimiter;
  readonly sockets: Config['sockets'];
}

/** The state of one socket: the `extra` of its graphql-ws context. */
export interface SocketConnection {
  readonly socket: WebSocket;
  readonly writer: SocketWriter;
  /** The upgrade request that opened the socket. */
  readonly request: IncomingMessage;
  readonly connection: TransportConnection;
  /** The credential that operations are executed with; `renewConnection` replaces it. */
  authorization: string | undefined;
  /** The session cookie of the upgrade request, which is used when there is no `authorization`. */
  readonly cookie: SessionCookie | undefined;
  caller: AuthenticatedConnection | null;
  releaseConnection: (() => void) | null;
  /** Returns whether an operation other than an established subscription is executed. */
  isAnswering: () => boolean;
}

/** Authenticates the caller of a socket, which is closed when the credential ends. */
export function authenticateCaller(
  { contextOf, addressOf, startLimiter }: SocketTransportOptions,
  { writer, request, cookie }: SocketConnection,
  authorization: string | undefined,
): Promise<AuthenticatedConnection> {
  // 4403, because graphql-ws clients connect again after it, with a new token; 4401 is fatal for them.
  return startLimiter.run(() =>
    authenticateConnection(
      contextOf,
      { authorization, cookie, requestId: randomUUID(), address: addressOf(request) },
      (reason) => writer.close(ProtocolCloseCode.Forbidden, reason.explanation),
    ),
  );
}

/**
 * Replaces the credential of a socket.
 *
 * @throws {CredentialsError} when the token is not accepted, or belongs to another user
 */
export async function renewCredential(
  options: SocketTransportOptions,
  state: SocketConnection,
  token: string,
): Promise<UserViewer> {
  const authorization = `Bearer ${token}`;
  const next = await authenticateCaller(options, state, authorization);
  const { viewer, refusal } = next.context;
  const current = state.caller?.context.viewer;
  if (state.socket.readyState !== state.socket.OPEN) {
    // The handler of the `close` event has already run, without this caller.
    next.release();
  }
  if (viewer.kind === 'anonymous' || current?.kind !== 'user' || current.id !== viewer.id) {
    next.release();
    throw new CredentialsError(refusal?.explanation ?? 'The token belongs to another user than the connection.');
  }
  state.authorization = authorization;
  state.caller?.release();
  state.caller = next;
  return viewer;
}
