import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Call } from '../identity/credentials.ts';
import type { SessionCookies } from './session-cookies.ts';

/** Returns the call of an HTTP request; `reply` is null for event streams, whose response cannot set a cookie. */
export type CallOf = (request: FastifyRequest, reply: FastifyReply | null) => Call;

/** Returns the function that makes calls of HTTP requests. */
export function createCallReader(cookies: SessionCookies): CallOf {
  return ({ raw, id, record }, reply) => ({
    authorization: raw.headers.authorization,
    cookie: cookies.of(raw, reply),
    requestId: id,
    address: record.address,
    record,
    userAgent: raw.headers['user-agent'],
  });
}
