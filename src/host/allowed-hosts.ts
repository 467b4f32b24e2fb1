import type { IncomingMessage } from 'node:http';
import type { Config } from '../config/config.ts';
import { AppError } from '../errors.ts';
import type { HostOf } from './request-origin.ts';

/** Returns the error of a request for a host that is not allowed, on every transport; null when the host is allowed. */
export type HostCheck = (request: IncomingMessage) => AppError | null;

/** The maximum number of characters of a refused host in the error message. */
const MAX_SHOWN = 100;

/**
 * Returns the check of `ALLOWED_HOSTS`, or null when that is not configured. It prevents DNS rebinding, by which pages of
 * another host name reach this server, and links to other hosts in responses.
 */
export function createHostCheck({ allowedHosts }: Config['http'], hostOf: HostOf): HostCheck | null {
  const allowed = new Set(allowedHosts);
  if (allowed.size === 0) {
    return null;
  }
  return (request) => {
    const host = hostOf(request).toLowerCase();
    if (allowed.has(host) || allowed.has(host.replace(/:\d+$/, ''))) {
      return null;
    }
    return new AppError(
      'UNKNOWN_HOST',
      `The server does not serve the host ${JSON.stringify(host.slice(0, MAX_SHOWN))}. The operator can add it to ALLOWED_HOSTS.`,
    );
  };
}
