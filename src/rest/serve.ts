import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Context } from '../context.ts';
import { AppError, ERROR_CATALOGUE, OverloadedError, UnauthenticatedError } from '../errors.ts';
import type { CallOf } from '../host/calls.ts';
import type { OriginOf } from '../host/request-origin.ts';
import type { ContextFactory } from '../identity/credentials.ts';
import { withIdempotencyKey } from '../identity/idempotency.ts';
import { addCode } from '../telemetry.ts';
import { validate } from '../validation.ts';
import { BODY_TYPES } from './body.ts';
import type { Dialect } from './dialect.ts';
import { listPayload, listText } from './list-text.ts';
import { JSON_TYPE, negotiateIndent, requireJsonFormat } from './negotiation.ts';
import { type Answer, allowOf, type Method, type Operation, type Resource, type RestCall } from './resource.ts';

export interface RestOptions {
  readonly resources: readonly Resource[];
  readonly contextOf: ContextFactory;
  readonly callOf: CallOf;
  /** Returns the scheme and host of links in responses. */
  readonly originOf: OriginOf;
}

/** Reads the caller and the URL of requests. */
type RequestReaders = Omit<RestOptions, 'resources'>;

/** Mounts the documented paths. */
export function registerResources(app: FastifyInstance, { resources, ...readers }: RestOptions): void {
  app.register(async (scope) => {
    // Bodies are parsed after the checks of permission and method. Some operations ignore malformed bodies.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    // Fastify refuses malformed content types; the header of the client remains in the raw request.
    scope.addHook('onRequest', async (request) => {
      request.headers = { 'content-type': 'application/octet-stream' };
    });
    for (const resource of resources) {
      for (const url of [resource.path, ...(resource.aliases ?? [])]) {
        scope.route({
          url,
          method: app.supportedMethods,
          exposeHeadRoute: false,
          // For errors before the handler, like a body that is too large.
          errorHandler: (error, request, reply) => {
            const status = error.statusCode ?? 500;
            addCode(request.record, status < 500 ? 'BAD_INPUT' : 'INTERNAL');
            const detail = status < 500 ? error.message : reportUnexpectedError(error, request);
            return send({ status }, bytesOf({ detail }, resource.dialect, 0), resource, reply);
          },
          handler: (request, reply) => serve(resource, readers, request, reply),
        });
      }
    }
  });
}

async function serve(
  resource: Resource,
  readers: RequestReaders,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { dialect } = resource;
  const state = { indent: 0 };
  try {
    const answer = await answerTo(resource, readers, request, reply, state);
    const isHeadOfList = request.method === 'HEAD' && answer.list;
    const payload = isHeadOfList ? undefined : await payloadOf(answer, dialect, state.indent);
    return send(answer, payload, resource, reply);
  } catch (error) {
    const expected = error instanceof AppError ? error : null;
    addCode(request.record, expected?.code ?? 'INTERNAL');
    if (expected?.code === 'METHOD_NOT_ALLOWED') {
      reply.header('allow', allowOf(resource));
    }
    if (expected?.code === 'UNAUTHENTICATED' && resource.challenge) {
      reply.header('www-authenticate', resource.challenge);
    }
    if (expected instanceof OverloadedError) {
      reply.header('retry-after', expected.retryAfterS);
    }
    const body = expected ? dialect.errorBody(expected) : { detail: reportUnexpectedError(error, request) };
    return send({ status: expected?.status ?? 500 }, bytesOf(body, dialect, state.indent), resource, reply);
  }
}

async function answerTo(
  resource: Resource,
  readers: RequestReaders,
  request: FastifyRequest,
  reply: FastifyReply,
  state: { indent: number },
): Promise<Answer> {
  if (resource.dialect.isDjango) {
    requireJsonFormat(new URLSearchParams(request.url.replace(/^[^?]*/, '')));
    state.indent = negotiateIndent(request.headers.accept);
  }
  const context = await authenticate(resource, readers, request, reply);
  if (request.method === 'OPTIONS' && resource.dialect.isDjango) {
    return { status: 200, body: descriptionOf(resource) };
  }
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const operation = resource.methods[method as Method];
  if (!operation) {
    throw new AppError('METHOD_NOT_ALLOWED', `Method "${request.method}" not allowed.`);
  }
  const parts = { ...requestPartsOf(request, readers), context };
  await operation.guard?.(parts);
  const call = { ...parts, body: await bodyOf(resource, operation, request) };
  const key = method === 'POST' ? request.headers['idempotency-key'] : undefined;
  const answer = await withIdempotencyKey(
    context,
    { key: typeof key === 'string' ? key : null, request: [method, call.url.pathname, call.body] },
    (inner, prepared) => operation.handle({ ...call, context: inner, prepared } as RestCall<never, never>),
    () => operation.prepare?.(call as RestCall<never>),
  );
  const current = answer.asGet ? await resource.methods.GET?.handle(call as RestCall<never, never>) : undefined;
  return current ? { ...answer, ...current, status: answer.status } : answer;
}

/** Returns the context of an accepted caller. */
async function authenticate(
  { access }: Resource,
  { contextOf, callOf }: RequestReaders,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Context> {
  const call = { ...callOf(request, reply), source: 'REST' } as const;
  const context = await contextOf(
    access === 'ignored' ? { ...call, authorization: undefined, cookie: undefined } : call,
  );
  if (context.refusal) {
    throw context.refusal;
  }
  if (access === 'signedIn' && context.viewer.kind === 'anonymous') {
    throw new UnauthenticatedError();
  }
  return context;
}

function requestPartsOf({ params, headers, url, raw }: FastifyRequest, { originOf }: RequestReaders) {
  const fullUrl = `${originOf(raw)}${url}`;
  return {
    params: withoutLeadingZeros(params as Record<string, string>),
    url: URL.canParse(fullUrl) ? new URL(fullUrl) : new URL(url, 'http://localhost'),
    headers,
  };
}

/** Returns the parameters of a path with the `id` as a number is written: the original services took leading zeros for part of it. */
function withoutLeadingZeros(params: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const { id } = params;
  return id === undefined ? params : { ...params, id: id.replace(/^0+(?=\d)/, '') };
}

async function bodyOf(
  { dialect }: Resource,
  { body: schema }: Operation,
  { body, raw: { headers } }: FastifyRequest,
): Promise<unknown> {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
  return schema ? validate(schema as never, await dialect.read(bytes, headers['content-type'])) : undefined;
}

function descriptionOf({ name, description }: Resource) {
  return { name, description, renders: [JSON_TYPE], parses: BODY_TYPES };
}

/** Returns the payload of a response; undefined for none. */
function payloadOf(
  { body, list }: Answer,
  dialect: Dialect,
  indent: number,
): Promise<Buffer | Readable> | Buffer | undefined {
  const write = (value: unknown): string => dialect.write(value, indent);
  return list ? listPayload(listText(list, { write, encode: dialect.encode })) : bytesOf(body, dialect, indent);
}

/** Returns JSON as bytes; for a string, Fastify adds a charset to the content type. */
function bytesOf(body: unknown, dialect: Dialect, indent: number): Buffer | undefined {
  return body === undefined ? undefined : Buffer.from(dialect.write(body, indent));
}

function send(
  { status, list, headers = {} }: Answer,
  payload: Buffer | Readable | undefined,
  resource: Resource,
  reply: FastifyReply,
): FastifyReply {
  reply.status(status).headers(headers);
  if (resource.dialect.isDjango) {
    reply.header('allow', allowOf(resource));
  }
  if (payload || list) {
    reply.header('content-type', JSON_TYPE);
  }
  return reply.send(payload);
}

/** Logs an unexpected error. Returns the message for the client. */
function reportUnexpectedError(error: unknown, request: FastifyRequest): string {
  request.log.error({ err: error, reqId: request.id }, 'unexpected error');
  return ERROR_CATALOGUE.INTERNAL.sentence;
}
