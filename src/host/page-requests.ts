import type { FastifyReply, FastifyRequest } from 'fastify';
import Negotiator from 'negotiator';

const PAGE_TYPE = 'text/html';
/** The media types that the server can answer with, in the order in which it prefers them when the client accepts several equally. */
const TYPES = ['application/json', 'application/graphql-response+json', 'text/event-stream', PAGE_TYPE];

/**
 * Returns whether a request comes from a browser that shows the response as a page: the address bar, a link or a bookmark. A program gets
 * JSON, also when it accepts every type, as curl does by default.
 */
export function wantsPage({ method, headers }: FastifyRequest): boolean {
  const isRead = method === 'GET' || method === 'HEAD';
  // Negotiating costs more time than this search, and most requests are those of programs.
  return (
    isRead && headers.accept?.includes(PAGE_TYPE) === true && new Negotiator({ headers }).mediaType(TYPES) === PAGE_TYPE
  );
}

/** Says to caches that the response depends on what the client accepts. */
export function varyByAccept(reply: FastifyReply): void {
  const vary = reply.getHeader('vary');
  reply.header('vary', vary === undefined ? 'accept' : `${vary}, accept`);
}
