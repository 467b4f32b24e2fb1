import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Call } from '../accounts/credentials.ts';
import type { AddressOf } from './caller-address.ts';
import type { SessionCookies } from './session-cookies.ts';

/** Reads a request as a call; `reply` is null where the answer has no headers of its own. */
export type CallOf = (request: FastifyRequest, reply: FastifyReply | null) => Call;

/** Returns the function that reads HTTP requests as calls. */
export function createCallReader(addressOf: AddressOf, cookies: SessionCookies): CallOf {
  return ({ raw, id }, reply) => ({
    authorization: raw.headers.authorization,
    cookie: cookies.of(raw, reply),
    requestId: id,
    address: addressOf(raw),
    userAgent: raw.headers['user-agent'],
  });
}
