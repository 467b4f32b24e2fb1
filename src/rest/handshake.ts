import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { WebSocket } from 'ws';
import type { ContextFactory } from '../accounts/credentials.ts';
import { admit } from '../accounts/standing.ts';
import type { Config } from '../config.ts';
import type { Context } from '../context.ts';
import { CloseReason, type Places, whenClosed } from '../host/sockets.ts';
import type { UpgradeRouter } from '../host/upgrade.ts';

/** What the sockets of the documented paths are made of. */
export interface SocketDoor {
  readonly upgrades: UpgradeRouter;
  readonly contextOf: ContextFactory;
  readonly sockets: Config['sockets'];
  /** Origins whose pages may use the session cookie, beside our own. */
  readonly origins: readonly string[];
  readonly places: Places;
  /** Takes note of a failure that nobody expected. */
  readonly report: (error: unknown, requestId: string | null) => void;
}

/** Somebody who was let in, and the `Authorization` that they came with. */
export interface Entrant {
  readonly context: Context;
  readonly authorization: string | undefined;
}

const SESSION_COOKIE = 'sessionid';

/**
 * Lets the peer of a new socket in, with the credential of its handshake or without any; when that credential ends, the socket is closed. Gives
 * null where the socket was closed instead: for a credential that is refused, or one socket of a user too many.
 */
export async function enter(
  { contextOf, origins, places }: SocketDoor,
  socket: WebSocket,
  request: IncomingMessage,
): Promise<Entrant | null> {
  const authorization = credentialOf(request, origins);
  const { context, release } = await admit(contextOf, { authorization, requestId: randomUUID() }, (reason) =>
    socket.close(CloseReason.forbidden, reason.message),
  );
  whenClosed(socket, release);
  if (context.refusal) {
    socket.close(CloseReason.forbidden, context.refusal.message);
    return null;
  }
  if (context.viewer.kind === 'user') {
    const freePlace = places.take(context.viewer.id);
    if (!freePlace) {
      socket.close(CloseReason.tooMany, 'Too many sockets of this user');
      return null;
    }
    whenClosed(socket, freePlace);
  }
  return { context, authorization };
}

/** The path and the query of a request for a socket. */
export function addressOf({ url = '/' }: IncomingMessage): { path: string; query: URLSearchParams } {
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
  const token = addressOf(request).query.get('token') ?? '';
  const session = isTrusted(request, origins) ? cookieOf(cookie ?? '') : '';
  const found = token === '' ? session : token;
  // `Bearer` takes JWTs and keys alike.
  return found === '' ? undefined : `Bearer ${found}`;
}

/** Whether the page that opens the socket may use cookies: a browser sends them along from any page, and heeds no CORS for sockets. */
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
