import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { WebSocket } from 'ws';
import { authenticateConnection } from '../accounts/credential-watch.ts';
import type { ContextFactory } from '../accounts/credentials.ts';
import type { Config } from '../config.ts';
import type { Context } from '../context.ts';
import type { AddressOf } from '../host/caller-address.ts';
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
  /** Origins whose pages may use the session cookie, beside our own. */
  readonly origins: readonly string[];
  readonly connections: ConnectionLimiter<number>;
  readonly peers: PeerLimits;
  readonly admission: Admission;
  /** Reports an unexpected failure. */
  readonly report: (error: unknown, requestId: string | null) => void;
}

/** The caller of a socket, and the `Authorization` of its handshake. */
export interface SocketCaller {
  readonly context: Context;
  readonly authorization: string | undefined;
}

const SESSION_COOKIE = 'sessionid';

/**
 * Authenticates the peer of a new socket by the credential of its handshake, or as anonymous without one; when that credential ends, the socket is
 * closed. Returns null where the socket was closed instead: for a credential that is refused, or one socket of a user too many.
 */
export async function authenticateSocket(
  { contextOf, addressOf, origins, admission, connections }: SocketTransport,
  socket: WebSocket,
  request: IncomingMessage,
): Promise<SocketCaller | null> {
  const authorization = credentialOf(request, origins);
  const call = { authorization, requestId: randomUUID(), address: addressOf(request) };
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
  return { context, authorization };
}

/** The path and the query of a request for a socket. */
export function targetOf({ url = '/' }: IncomingMessage): { path: string; query: URLSearchParams } {
  const at = url.indexOf('?');
  return at < 0
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, at), query: new URLSearchParams(url.slice(at)) };
}

/** The credential of a handshake, as an `Authorization` header has it: that header, `?token=`, or the session cookie. */
function credentialOf(request: IncomingMessage, origins: readonly string[]): string | undefined {
  const { authorization, cookie } = request.headers;
  if (authorization !== undefined && /^\s*(jwt|bearer|token)(\s|$)/i.test(authorization)) {
    return authorization;
  }
  const token = targetOf(request).query.get('token') ?? '';
  const session = isTrusted(request, origins) ? cookieOf(cookie ?? '') : '';
  const found = token === '' ? session : token;
  // `Bearer` takes JWTs and keys alike.
  return found === '' ? undefined : `Bearer ${found}`;
}

/** Whether the page that opens the socket may use cookies: a browser sends them along from any page, and applies no CORS to sockets. */
function isTrusted({ headers }: IncomingMessage, origins: readonly string[]): boolean {
  const { origin, host } = headers;
  if (origin === undefined) {
    return true;
  }
  return origins.includes(origin) || (URL.canParse(origin) && host !== undefined && new URL(origin).host === host);
}

function cookieOf(header: string): string {
  for (const pair of header.split(';')) {
    const [name, value = ''] = pair.split('=', 2);
    if (name?.trim() === SESSION_COOKIE) {
      return value.trim().replace(/^"(.*)"$/, '$1');
    }
  }
  return '';
}
