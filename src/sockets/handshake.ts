import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { parseCookie } from 'cookie';
import type { WebSocket } from 'ws';
import type { Config } from '../config/config.ts';
import type { Context } from '../context.ts';
import type { AddressOf } from '../host/caller-address.ts';
import type { SessionCookies } from '../host/session-cookies.ts';
import { authenticateConnection } from '../identity/credential-watch.ts';
import type { Call, ContextFactory } from '../identity/credentials.ts';
import { CloseCode } from './close-codes.ts';
import type { ConcurrencyLimiter } from './concurrency-limiter.ts';
import type { ConnectionLimiter } from './connection-limiter.ts';
import { recordUser } from './connection-records.ts';
import type { PeerLimits } from './peer-limits.ts';
import type { UpgradeRouter } from './upgrade.ts';
import { whenClosed } from './web-sockets.ts';

/** The options of the WebSocket servers of the documented paths. */
export interface SocketTransport {
  readonly upgrades: UpgradeRouter;
  readonly contextOf: ContextFactory;
  readonly addressOf: AddressOf;
  readonly sockets: Config['sockets'];
  readonly cookies: SessionCookies;
  readonly connections: ConnectionLimiter<number>;
  readonly peers: PeerLimits;
  readonly startLimiter: ConcurrencyLimiter;
  /** Logs an unexpected error with the id of its request. */
  readonly report: (error: unknown, requestId: string | null) => void;
  readonly warn: (message: string) => void;
}

/** The credentials of an upgrade request. */
export type SocketCredentials = Pick<Call, 'authorization' | 'cookie'>;

/** The authenticated caller of a socket, and the credentials of its upgrade request. */
export interface SocketCaller {
  readonly context: Context;
  readonly credentials: SocketCredentials;
}

/** The cookie of older clients, whose value is a token. */
const TOKEN_COOKIE = 'sessionid';

/**
 * Authenticates the caller of a new socket by the credential of its upgrade request, or as anonymous without one. The socket
 * is closed when the credential ends. Returns null after closing the socket, because the credential is refused or the user
 * has too many open sockets.
 */
export async function authenticateSocket(
  { contextOf, addressOf, cookies, startLimiter, connections }: SocketTransport,
  socket: WebSocket,
  request: IncomingMessage,
): Promise<SocketCaller | null> {
  const credentials = { authorization: credentialOf(request, cookies), cookie: cookies.ofHandshake(request) };
  const call = { ...credentials, requestId: randomUUID(), address: addressOf(request) };
  const { context, release } = await startLimiter.run(() =>
    authenticateConnection(contextOf, call, (reason) => socket.close(CloseCode.forbidden, reason.message)),
  );
  whenClosed(socket, release);
  if (context.refusal) {
    socket.close(CloseCode.forbidden, context.refusal.message);
    return null;
  }
  if (context.viewer.kind === 'user') {
    recordUser(request, context.viewer.id);
    const releaseConnection = connections.acquire(context.viewer.id);
    if (!releaseConnection) {
      socket.close(CloseCode.tooMany, 'Too many sockets of this user');
      return null;
    }
    whenClosed(socket, releaseConnection);
  }
  return { context, credentials };
}

/** Returns the path and the query of an upgrade request. */
export function targetOf({ url = '/' }: IncomingMessage): { path: string; query: URLSearchParams } {
  const at = url.indexOf('?');
  return at < 0
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, at), query: new URLSearchParams(url.slice(at)) };
}

/** Returns the value of the `Authorization` header, or one made of `?token=` or the cookie of older clients; undefined without any. */
function credentialOf(request: IncomingMessage, cookies: SessionCookies): string | undefined {
  const { authorization, cookie } = request.headers;
  if (authorization !== undefined && /^\s*(jwt|bearer|token)(\s|$)/i.test(authorization)) {
    return authorization;
  }
  const token = targetOf(request).query.get('token') ?? '';
  const cookieToken = cookies.isAllowedHandshake(request) ? tokenOf(cookie ?? '') : '';
  const value = token === '' ? cookieToken : token;
  // The scheme `Bearer` is for JWTs and keys.
  return value === '' ? undefined : `Bearer ${value}`;
}

function tokenOf(cookies: string): string {
  return (parseCookie(cookies)[TOKEN_COOKIE] ?? '').replace(/^"(.*)"$/, '$1');
}
