import type { FastifyReply, FastifyRequest } from 'fastify';
import { OperationTypeNode } from 'graphql';
import { type FetchAPI, processRegularResult } from 'graphql-yoga';
import type { CallOf } from '../host/calls.ts';
import type { ContextFactory } from '../identity/credentials.ts';
import { isRecord } from '../json.ts';
import type { DocumentCache } from './document-cache.ts';
import type { ReportUnexpectedError } from './mask.ts';
import type { Operation } from './operation.ts';
import type { GraphQLEngine } from './operation-args.ts';
import { recordErrors, recordOperation } from './operation-record.ts';
import type { OperationRequest } from './persisted-operations.ts';
import { JSON_TYPE, RESPONSE_TYPE } from './requests.ts';
import { sendResponse } from './responses.ts';
import { maskResult } from './subscription-renderer.ts';
import type { Variables } from './variables.ts';

/** The request parameters of the GraphQL over HTTP specification. */
const PARAMETERS: ReadonlySet<string> = new Set(['query', 'operationName', 'variables', 'extensions']);

export interface DirectRequestOptions {
  readonly documents: DocumentCache;
  readonly engine: () => GraphQLEngine;
  readonly contextOf: ContextFactory;
  readonly callOf: CallOf;
  readonly report: ReportUnexpectedError;
  /** The classes of Yoga's responses. */
  readonly fetchAPI: FetchAPI;
}

/** A request whose response is one result as JSON. */
export interface DirectRequest {
  readonly operation: Operation;
  readonly variables: Variables | null | undefined;
  /** The media type of the response. */
  readonly type: typeof JSON_TYPE | typeof RESPONSE_TYPE;
}

/**
 * Executes the most common requests, a POST of a valid query or mutation with a JSON response, without Yoga's request and
 * response objects, which cost more time than the execution. Documents pass through the same Yoga plugins; Yoga answers
 * all other requests.
 */
export class DirectRequests {
  readonly #options: DirectRequestOptions;

  constructor(options: DirectRequestOptions) {
    this.#options = options;
  }

  /** Returns the request in checked form; null for a request that Yoga has to answer. */
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
    return operation && operation.type !== OperationTypeNode.SUBSCRIPTION
      ? { operation, variables: variables as Variables | null | undefined, type }
      : null;
  }

  /** Executes a request and sends the response. Returns false, without a response, when the variables are not valid. */
  async answer(
    request: FastifyRequest,
    reply: FastifyReply,
    { operation, variables, type }: DirectRequest,
  ): Promise<boolean> {
    const { contextOf, callOf, report, fetchAPI } = this.#options;
    const context = await contextOf(callOf(request, reply));
    recordOperation(context, { document: operation.document, operationName: operation.name });
    const result = await operation.execute(context, variables);
    if (!('data' in result)) {
      return false;
    }
    if (result.errors) {
      // Errors can set the status and headers of the response.
      const masked = maskResult(result, context, report);
      recordErrors(context.record, masked.errors);
      await sendResponse(processRegularResult(masked, fetchAPI, type), reply);
    } else {
      reply.header('content-type', `${type}; charset=utf-8`).send(JSON.stringify(result));
    }
    return true;
  }

  #operationOf(text: string, name: string | null): Operation | undefined {
    const { documents, engine } = this.#options;
    const cached = documents.find(text, name);
    if (cached) {
      return cached;
    }
    const { parse, validate, schema } = engine();
    try {
      const document = parse(text);
      validate(schema, document);
      return documents.operationOf(document, name);
    } catch {
      // Yoga answers with the errors.
      return undefined;
    }
  }
}

/** Returns the media type that the client prefers; null when it is not one of the two that are supported. */
function typeOf(accept: string | undefined): DirectRequest['type'] | null {
  if (accept === undefined || accept === '*/*' || accept === JSON_TYPE) {
    return JSON_TYPE;
  }
  const [first = '', ...others] = accept.split(',').map((part) => part.trim().toLowerCase());
  // The first type has the highest preference, unless it is listed again with another weight.
  return (first === RESPONSE_TYPE || first === JSON_TYPE) && !others.some((other) => other.startsWith(first))
    ? first
    : null;
}
