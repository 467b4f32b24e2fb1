import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { parseCookie } from 'cookie';
import type { WebSocket } from 'ws';
import { authenticateConnection } from '../accounts/credential-watch.ts';
import type { Call, ContextFactory } from '../accounts/credentials.ts';
import type { Config } from '../config.ts';
import type { Context } from '../context.ts';
import type { AddressOf } from '../host/caller-address.ts';
import type { SessionCookies } from '../host/session-cookies.ts';
import type { Admission } from './admission.ts';
import { CloseCode } from './close-codes.ts';
import type { ConnectionLimiter } from './connection-limiter.ts';
import type { PeerLimits } from './peer-limits.ts';
import type { UpgradeRouter } from './upgrade.ts';
import { whenClosed } from './web-sockets.ts';

/** What the sockets of the documented paths are made of. */
export interface SocketTransport {
  readonly upgrades: UpgradeRouter;
  readonly contextOf: ContextFactory;
  readonly addressOf: AddressOf;
  readonly sockets: Config['sockets'];
  readonly cookies: SessionCookies;
  readonly connections: ConnectionLimiter<number>;
  readonly peers: PeerLimits;
  readonly admission: Admission;
  /** Reports an unexpected failure. */
  readonly report: (error: unknown, requestId: string | null) => void;
}

/** The credentials of a handshake. */
export type SocketCredentials = Pick<Call, 'authorization' | 'cookie'>;

/** The caller of a socket, and the credentials of its handshake. */
export interface SocketCaller {
  readonly context: Context;
  readonly credentials: SocketCredentials;
}

/** The cookie of older clients, which holds a token. */
const TOKEN_COOKIE = 'sessionid';

/**
 * Authenticates the peer of a new socket by the credential of its handshake, or as anonymous without one; when that credential ends, the socket is
 * closed. Returns null where the socket was closed instead: for a credential that is refused, or one socket of a user too many.
 */
export async function authenticateSocket(
  { contextOf, addressOf, cookies, admission, connections }: SocketTransport,
  socket: WebSocket,
  request: IncomingMessage,
): Promise<SocketCaller | null> {
  const credentials = { authorization: credentialOf(request, cookies), cookie: cookies.ofHandshake(request) };
  const call = { ...credentials, requestId: randomUUID(), address: addressOf(request) };
  const { context, release } = await admission.run(() =>
    authenticateConnection(contextOf, call, (reason) => socket.close(CloseCode.forbidden, reason.message)),
  );
  whenClosed(socket, release);
  if (context.refusal) {
    socket.close(CloseCode.forbidden, context.refusal.message);
    return null;
  }
  if (context.viewer.kind === 'user') {
    const releaseConnection = connections.acquire(context.viewer.id);
    if (!releaseConnection) {
      socket.close(CloseCode.tooMany, 'Too many sockets of this user');
      return null;
    }
    whenClosed(socket, releaseConnection);
  }
  return { context, credentials };
}

/** The path and the query of a request for a socket. */
export function targetOf({ url = '/' }: IncomingMessage): { path: string; query: URLSearchParams } {
  const at = url.indexOf('?');
  return at < 0
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, at), query: new URLSearchParams(url.slice(at)) };
}

/** The credential of a handshake, as an `Authorization` header has it: that header, `?token=`, or the cookie of older clients. */
function credentialOf(request: IncomingMessage, cookies: SessionCookies): string | undefined {
  const { authorization, cookie } = request.headers;
  if (authorization !== undefined && /^\s*(jwt|bearer|token)(\s|$)/i.test(authorization)) {
    return authorization;
  }
  const token = targetOf(request).query.get('token') ?? '';
  const kept = cookies.isOwnHandshake(request) ? tokenOf(cookie ?? '') : '';
  const found = token === '' ? kept : token;
  // `Bearer` takes JWTs and keys alike.
  return found === '' ? undefined : `Bearer ${found}`;
}

function tokenOf(cookies: string): string {
  return (parseCookie(cookies)[TOKEN_COOKIE] ?? '').replace(/^"(.*)"$/, '$1');
}
