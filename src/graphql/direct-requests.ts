import type { FastifyReply, FastifyRequest } from 'fastify';
import { OperationTypeNode } from 'graphql';
import { type FetchAPI, processRegularResult } from 'graphql-yoga';
import type { ContextFactory } from '../accounts/credentials.ts';
import type { CallOf } from '../host/calls.ts';
import type { Documents, Operation } from './documents.ts';
import type { ReportDefect } from './mask.ts';
import { type Engine, isRecord, type OperationRequest } from './operations.ts';
import { sendResponse } from './responses.ts';
import { presentResult } from './subscription-renderer.ts';
import type { Variables } from './variables.ts';

const JSON_TYPE = 'application/json';
const RESPONSE_TYPE = 'application/graphql-response+json';

/** The parameters of the GraphQL over HTTP specification. */
const PARAMETERS: ReadonlySet<string> = new Set(['query', 'operationName', 'variables', 'extensions']);

export interface DirectRequestOptions {
  readonly documents: Documents;
  readonly engine: () => Engine;
  readonly contextOf: ContextFactory;
  readonly callOf: CallOf;
  readonly report: ReportDefect;
  /** The classes that Yoga makes its responses of. */
  readonly fetchAPI: FetchAPI;
}

/** A request whose answer is one result as JSON. */
export interface DirectRequest {
  readonly operation: Operation;
  readonly variables: Variables | null | undefined;
  /** The media type of the answer. */
  readonly type: typeof JSON_TYPE | typeof RESPONSE_TYPE;
}

/**
 * Answers what nearly all requests are, a POST of a valid query or mutation as JSON, without Yoga's request and response objects, which cost more than the
 * execution. The rules are the same: texts pass Yoga's plugins, and every other request is Yoga's.
 */
export class DirectRequests {
  readonly #options: DirectRequestOptions;

  constructor(options: DirectRequestOptions) {
    this.#options = options;
  }

  /** The request as one that can be answered here; null when it is not. */
  find({ method, headers }: FastifyRequest, body: OperationRequest): DirectRequest | null {
    const type = typeOf(headers.accept);
    const { query, operationName, variables, extensions } = body;
    if (
      method !== 'POST' ||
      type === null ||
      typeof query !== 'string' ||
      !(operationName == null || (typeof operationName === 'string' && operationName !== '')) ||
      !(variables == null || isRecord(variables)) ||
      !(extensions == null || isRecord(extensions)) ||
      !Object.keys(body).every((name) => PARAMETERS.has(name))
    ) {
      return null;
    }
    const operation = this.#operationOf(query, operationName ?? null);
    return operation && operation.kind !== OperationTypeNode.SUBSCRIPTION
      ? { operation, variables: variables as Variables | null | undefined, type }
      : null;
  }

  /** Executes a request and answers it; returns false when it was not executed, since its variables are refused. */
  async answer(
    request: FastifyRequest,
    reply: FastifyReply,
    { operation, variables, type }: DirectRequest,
  ): Promise<boolean> {
    const { contextOf, callOf, report, fetchAPI } = this.#options;
    const context = await contextOf(callOf(request, reply));
    const result = await operation.execute(context, variables);
    if (!('data' in result)) {
      return false;
    }
    if (result.errors) {
      // Errors may ask for a status and headers.
      await sendResponse(processRegularResult(presentResult(result, context, report), fetchAPI, type), reply);
    } else {
      reply.header('content-type', `${type}; charset=utf-8`).send(JSON.stringify(result));
    }
    return true;
  }

  #operationOf(text: string, name: string | null): Operation | undefined {
    const { documents, engine } = this.#options;
    const known = documents.find(text, name);
    if (known) {
      return known;
    }
    const { parse, validate, schema } = engine();
    try {
      const document = parse(text);
      validate(schema, document);
      return documents.operationOf(document, name);
    } catch {
      // The answer says why, and is Yoga's.
      return undefined;
    }
  }
}

/** The media type that the client would like best, as far as it is one of ours. */
function typeOf(accept: string | undefined): DirectRequest['type'] | null {
  if (accept === undefined || accept === '*/*' || accept === JSON_TYPE) {
    return JSON_TYPE;
  }
  const [first = '', ...others] = accept.split(',').map((part) => part.trim().toLowerCase());
  // What comes first is what the client wants most, unless it says otherwise of that very type.
  return (first === RESPONSE_TYPE || first === JSON_TYPE) && !others.some((other) => other.startsWith(first))
    ? first
    : null;
}
