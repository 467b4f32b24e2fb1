import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { TrustedProxies } from '../config/http-variables.ts';
import { beginRecord, endOperation, type RequestRecord, type Telemetry } from '../telemetry.ts';
import { createAddressReader, trustOf } from './caller-address.ts';

declare module 'fastify' {
  interface FastifyRequest {
    record: RequestRecord;
  }
}

/** Returns the id of a request. */
export type RequestIdOf = (request: IncomingMessage) => string;

/** The ids that are accepted: those of common proxies, and nothing that could break a line of a log. */
const ACCEPTED_ID = /^[\w.:+/=@-]{1,128}$/;
/** The status in the log and the metrics of a request whose client left before the end of the response. */
const CLIENT_LEFT = 499;
/** The header of the W3C Trace Context recommendation; the first group is the id of the trace. */
const TRACE_PARENT = /^[\da-f]{2}-(?!0{32})([\da-f]{32})-[\da-f]{16}-[\da-f]{2}/;

/**
 * Returns the function that identifies requests: by the header `x-request-id` of a trusted proxy, by the trace of its `traceparent`, or by a new UUID. Headers of
 * other peers are ignored, so that no caller chooses the id under which its request is logged.
 */
export function createRequestIdReader(proxies: TrustedProxies): RequestIdOf {
  const trust = trustOf(proxies);
  return ({ socket, headers }) => {
    if (!trust(socket.remoteAddress ?? '', 0)) {
      return randomUUID();
    }
    const id = headers['x-request-id'];
    if (typeof id === 'string' && ACCEPTED_ID.test(id)) {
      return id;
    }
    return TRACE_PARENT.exec(String(headers['traceparent'] ?? ''))?.[1] ?? randomUUID();
  };
}

/** Returns the function that reads the `traceparent` of a trusted proxy; null without one. */
function createTraceReader(proxies: TrustedProxies): (request: IncomingMessage) => string | null {
  const trust = trustOf(proxies);
  return ({ socket, headers }) => {
    const parent = headers['traceparent'];
    const isUsable = typeof parent === 'string' && TRACE_PARENT.test(parent);
    return isUsable && trust(socket.remoteAddress ?? '', 0) ? parent : null;
  };
}

/** Creates the record of each request, and reports it when the response has been sent, or its client has left. */
export function recordRequests(host: FastifyInstance, telemetry: Telemetry, proxies: TrustedProxies): void {
  const addressOf = createAddressReader(proxies);
  const traceParentOf = createTraceReader(proxies);
  host.decorateRequest('record');
  host.addHook('onRequest', (request, { raw: response }, done) => {
    const { id, raw, method } = request;
    const record = beginRecord({ id, transport: 'HTTP', address: addressOf(raw), traceParent: traceParentOf(raw) });
    request.record = record;
    const route = routeOf(request);
    const { socket } = raw;
    const writtenBefore = socket.bytesWritten;
    telemetry.report({ kind: 'requestStarted', record, method, route });
    // After the last byte, or when the client has left; Fastify's hook runs after the last byte only.
    response.once('close', () => {
      const bytes = socket.bytesWritten - writtenBefore;
      if (record.transport === 'SSE') {
        record.bytes = bytes;
        endOperation(telemetry, record);
        return;
      }
      endOperation(telemetry, record);
      const status = response.writableFinished ? response.statusCode : CLIENT_LEFT;
      telemetry.report({ kind: 'responded', record, method, route, status, bytes });
    });
    done();
  });
  if (telemetry.isTracing) {
    // The events of a body, after which the handler runs, belong to the connection and not to the request.
    host.addHook('preHandler', ({ record }, _reply, done) => telemetry.enter(record, done));
  }
}

/** Returns the path of the route of a request, which clients cannot choose freely. */
function routeOf({ routeOptions, is404 }: FastifyRequest): string {
  return is404 ? 'unknown' : (routeOptions.url ?? 'unknown');
}
