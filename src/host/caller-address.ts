import type { IncomingMessage } from 'node:http';
import { all, compile } from '@fastify/proxy-addr';
import type { TrustedProxies } from '../environment.ts';

/** Whether a peer is a trusted proxy: by its address, and by how many trusted ones are between it and the server. */
type Trust = (address: string, hop: number) => boolean;

/** Returns the IP address of the one who sent a request, on every transport; empty when its connection is closed already. */
export type AddressOf = (request: IncomingMessage) => string;

/** How the host and the transports decide which proxies to trust. */
export function trustOf(proxies: TrustedProxies): Trust {
  return typeof proxies === 'number' ? (_address, hop) => hop < proxies : compile([...proxies]);
}

/**
 * Returns the function that reads the caller's address: that of the connection or, where it comes from a trusted proxy, the right-most one of `X-Forwarded-For`
 * that is not a trusted proxy's. What is to its left was written by the caller.
 */
export function createAddressReader(proxies: TrustedProxies): AddressOf {
  const trust = trustOf(proxies);
  return (request) => all(request, trust).at(-1) ?? '';
}
