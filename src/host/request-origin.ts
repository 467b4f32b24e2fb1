import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Config } from '../config.ts';
import { trustOf } from './caller-address.ts';

/** Returns the host, with its port, that a request names, on every transport; empty when it names none. */
export type HostOf = (request: IncomingMessage) => string;

/** Returns the origin, like `https://tidings.example.org`, at which the caller reached the server; empty when the request names no host. */
export type OriginOf = (request: IncomingMessage) => string;

/** What reads where a request was sent to. */
export interface OriginReader {
  readonly hostOf: HostOf;
  readonly originOf: OriginOf;
}

/**
 * Reads where a request was sent to: what its proxy says in `X-Forwarded-Host` and `X-Forwarded-Proto`, where that proxy is trusted, or else the `Host` header
 * and the scheme of the connection. A public URL that is configured takes precedence as the origin.
 */
export function createOriginReader({ trustedProxies, publicUrl }: Config['http']): OriginReader {
  const trust = trustOf(trustedProxies);
  const forwarded = (request: IncomingMessage, name: 'x-forwarded-host' | 'x-forwarded-proto'): string | undefined => {
    const value = request.headers[name];
    // What stands before the last comma was written by somebody before the proxy.
    return value && trust(request.socket.remoteAddress ?? '', 0) ? String(value).split(',').at(-1)?.trim() : undefined;
  };
  const hostOf: HostOf = (request) => forwarded(request, 'x-forwarded-host') || request.headers.host || '';
  const schemeOf = (request: IncomingMessage): string =>
    // Some proxies say `wss` of a WebSocket.
    forwarded(request, 'x-forwarded-proto')?.replace(/^ws/i, 'http') ||
    ((request.socket as Partial<TLSSocket>).encrypted ? 'https' : 'http');
  const requestedOrigin = (request: IncomingMessage): string => {
    const url = `${schemeOf(request)}://${hostOf(request)}`;
    // As browsers write it: in lower case, and without the port that the scheme implies.
    return URL.canParse(url) ? new URL(url).origin : '';
  };
  return { hostOf, originOf: (request) => publicUrl ?? requestedOrigin(request) };
}
