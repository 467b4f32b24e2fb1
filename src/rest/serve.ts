import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ContextFactory } from '../accounts/credentials.ts';
import type { Context } from '../context.ts';
import { once } from '../database/idempotency.ts';
import { AppError, ERROR_CATALOGUE, OverloadedError, UnauthenticatedError } from '../errors.ts';
import type { CallOf } from '../host/calls.ts';
import type { OriginOf } from '../host/request-origin.ts';
import { validate } from '../validation.ts';
import { BODY_TYPES } from './body.ts';
import type { Dialect } from './dialect.ts';
import { listPayload, listText } from './list-text.ts';
import { JSON_TYPE, negotiateIndent } from './negotiation.ts';
import { type Answer, allowOf, type Call, type Method, type Operation, type Resource } from './resource.ts';

export interface RestOptions {
  readonly resources: readonly Resource[];
  readonly contextOf: ContextFactory;
  readonly callOf: CallOf;
  /** Gives the scheme and host of links in answers. */
  readonly originOf: OriginOf;
}

/** How the caller of a request and its URL are found. */
type Calls = Omit<RestOptions, 'resources'>;

/** Mounts the documented paths. */
export function registerResources(app: FastifyInstance, { resources, ...calls }: RestOptions): void {
  app.register(async (scope) => {
    // Bodies are read by the operations, after rights and method: some of them ignore a bad one.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    // The host would refuse what is no type at all; what the client says stays in the request as it came.
    scope.addHook('onRequest', async (request) => {
      request.headers = { 'content-type': 'application/octet-stream' };
    });
    for (const resource of resources) {
      for (const url of [resource.path, ...(resource.aliases ?? [])]) {
        scope.route({
          url,
          method: app.supportedMethods,
          exposeHeadRoute: false,
          // What fails before anybody asks the resource: bodies that are too large.
          errorHandler: (error, request, reply) => {
            const status = error.statusCode ?? 500;
            const detail = status < 500 ? error.message : reportDefect(error, request);
            return send({ status }, bytesOf({ detail }, resource.dialect, 0), resource, reply);
          },
          handler: (request, reply) => serve(resource, calls, request, reply),
        });
      }
    }
  });
}

async function serve(
  resource: Resource,
  calls: Calls,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { dialect } = resource;
  const state = { indent: 0 };
  try {
    const given = await answerTo(resource, calls, request, reply, state);
    const payload = request.method === 'HEAD' && given.list ? undefined : await payloadOf(given, dialect, state.indent);
    return send(given, payload, resource, reply);
  } catch (error) {
    const failure = error instanceof AppError ? error : null;
    if (failure?.code === 'METHOD_NOT_ALLOWED') {
      reply.header('allow', allowOf(resource));
    }
    if (failure?.code === 'UNAUTHENTICATED' && resource.challenge) {
      reply.header('www-authenticate', resource.challenge);
    }
    if (failure instanceof OverloadedError) {
      reply.header('retry-after', failure.retryAfterS);
    }
    const body = failure ? dialect.failure(failure) : { detail: reportDefect(error, request) };
    return send({ status: failure?.status ?? 500 }, bytesOf(body, dialect, state.indent), resource, reply);
  }
}

async function answerTo(
  resource: Resource,
  calls: Calls,
  request: FastifyRequest,
  reply: FastifyReply,
  state: { indent: number },
): Promise<Answer> {
  if (resource.dialect.describes) {
    state.indent = negotiateIndent(request.headers.accept);
  }
  const context = await admitted(resource, calls, request, reply);
  if (request.method === 'OPTIONS' && resource.dialect.describes) {
    return { status: 200, body: descriptionOf(resource) };
  }
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const operation = resource.methods[method as Method];
  if (!operation) {
    throw new AppError('METHOD_NOT_ALLOWED', `Method "${request.method}" not allowed.`);
  }
  const place = { ...placeOf(request, calls), context };
  await operation.guard?.(place);
  const call = { ...place, body: await bodyOf(resource, operation, request) };
  const key = method === 'POST' ? request.headers['idempotency-key'] : undefined;
  const answer = await once(
    context,
    { key: typeof key === 'string' ? key : null, request: [method, call.url.pathname, call.body] },
    (inner, prepared) => operation.handle({ ...call, context: inner, prepared } as Call<never, never>),
    () => operation.prepare?.(call as Call<never>),
  );
  const shown = answer.asGet ? await resource.methods.GET?.handle(call as Call<never, never>) : undefined;
  return shown ? { ...answer, ...shown, status: answer.status } : answer;
}

async function admitted(
  { access }: Resource,
  { contextOf, callOf }: Calls,
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

function placeOf({ params, headers, url, raw }: FastifyRequest, { originOf }: Calls) {
  const address = `${originOf(raw)}${url}`;
  return {
    params: params as Record<string, string>,
    url: URL.canParse(address) ? new URL(address) : new URL(url, 'http://localhost'),
    headers,
  };
}

async function bodyOf(
  { dialect }: Resource,
  { body: shape }: Operation,
  { body, raw: { headers } }: FastifyRequest,
): Promise<unknown> {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
  return shape ? validate(shape as never, await dialect.read(bytes, headers['content-type'])) : undefined;
}

function descriptionOf({ name, description }: Resource) {
  return { name, description, renders: [JSON_TYPE], parses: BODY_TYPES };
}

/** What is sent as the body of an answer; undefined for none. */
function payloadOf(
  { body, list }: Answer,
  dialect: Dialect,
  indent: number,
): Promise<Buffer | Readable> | Buffer | undefined {
  const write = (value: unknown): string => dialect.write(value, indent);
  return list ? listPayload(listText(list, { write, encode: dialect.encode })) : bytesOf(body, dialect, indent);
}

/** JSON as bytes, or the host would add a charset to its type. */
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
  if (resource.dialect.describes) {
    reply.header('allow', allowOf(resource));
  }
  if (payload || list) {
    reply.header('content-type', JSON_TYPE);
  }
  return reply.send(payload);
}

function reportDefect(error: unknown, request: FastifyRequest): string {
  request.log.error({ err: error, reqId: request.id }, 'unexpected failure');
  return ERROR_CATALOGUE.INTERNAL.sentence;
}
