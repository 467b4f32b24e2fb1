import type { IncomingMessage } from 'node:http';
import type { Config } from '../config.ts';
import { AppError } from '../errors.ts';
import type { HostOf } from './request-origin.ts';

/** Returns why a request is refused by the host that it names, on every transport; null when it is not. */
export type HostCheck = (request: IncomingMessage) => AppError | null;

/** How much of a host that is refused the answer repeats. */
const MAX_SHOWN = 100;

/**
 * Returns the check of `ALLOWED_HOSTS`, or null where that is not configured. Pages of another host, whose name leads to this server (DNS rebinding), cannot
 * use it then, and no link in an answer names another host.
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
