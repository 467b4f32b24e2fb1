import type { IncomingMessage } from 'node:http';
import { all, compile } from '@fastify/proxy-addr';
import type { TrustedProxies } from '../config/http-variables.ts';

/** Returns whether a peer is a trusted proxy; `hop` is the number of trusted proxies between it and the server. */
type Trust = (address: string, hop: number) => boolean;

/** Returns the IP address of the client of a request, on every transport; empty when its connection is already closed. */
export type AddressOf = (request: IncomingMessage) => string;

/** Returns the function that decides which proxies are trusted, for the HTTP server and all transports. */
export function trustOf(proxies: TrustedProxies): Trust {
  return typeof proxies === 'number' ? (_address, hop) => hop < proxies : compile([...proxies]);
}

/**
 * Returns the function that reads the client's address: that of the connection or, behind trusted proxies, the right-most
 * address in `X-Forwarded-For` that is not a trusted proxy. The addresses to its left are forgeable by the client.
 */
export function createAddressReader(proxies: TrustedProxies): AddressOf {
  const trust = trustOf(proxies);
  return (request) => all(request, trust).at(-1) ?? '';
}
