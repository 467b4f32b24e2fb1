import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Config } from '../config/config.ts';
import { trustOf } from './caller-address.ts';

/** Returns the host, with its port, of a request, on every transport; empty when the request names none. */
export type HostOf = (request: IncomingMessage) => string;

/** Returns the server's origin, like `https://tidings.example.org`, for the client; empty when the request names no host. */
export type OriginOf = (request: IncomingMessage) => string;

/** Reads the host and the origin to which a request was sent. */
export interface OriginReader {
  readonly hostOf: HostOf;
  readonly originOf: OriginOf;
}

/**
 * Creates the reader: it uses `X-Forwarded-Host` and `X-Forwarded-Proto` of a trusted proxy, otherwise the `Host` header and
 * the scheme of the connection. A configured public URL takes precedence as the origin.
 */
export function createOriginReader({ trustedProxies, publicUrl }: Config['http']): OriginReader {
  const trust = trustOf(trustedProxies);
  const forwarded = (request: IncomingMessage, name: 'x-forwarded-host' | 'x-forwarded-proto'): string | undefined => {
    const value = request.headers[name];
    // The trusted proxy appends its value; the values before the last comma are forgeable.
    return value && trust(request.socket.remoteAddress ?? '', 0) ? String(value).split(',').at(-1)?.trim() : undefined;
  };
  const hostOf: HostOf = (request) => forwarded(request, 'x-forwarded-host') || request.headers.host || '';
  const schemeOf = (request: IncomingMessage): string =>
    // Some proxies send `wss` for a WebSocket.
    forwarded(request, 'x-forwarded-proto')?.replace(/^ws/i, 'http') ||
    ((request.socket as Partial<TLSSocket>).encrypted ? 'https' : 'http');
  const requestedOrigin = (request: IncomingMessage): string => {
    const url = `${schemeOf(request)}://${hostOf(request)}`;
    // In the form of browsers: lower case, and without the default port of the scheme.
    return URL.canParse(url) ? new URL(url).origin : '';
  };
  return { hostOf, originOf: (request) => publicUrl ?? requestedOrigin(request) };
}
