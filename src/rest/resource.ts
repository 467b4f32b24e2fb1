import type { IncomingHttpHeaders } from 'node:http';
import type { z } from 'zod';
import type { Context } from '../context.ts';
import type { Dialect } from './dialect.ts';
import type { LongList } from './list-text.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** A request to an operation. */
export interface RestCall<Body, Prepared = undefined> {
  readonly context: Context;
  /** The parameters of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** The URL of the request, with the host that the client used. */
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Body;
  /** The result of the operation's `prepare`. */
  readonly prepared: Prepared;
}

/** A response. */
export interface Answer {
  readonly status: number;
  /** The value of the JSON body; undefined for no body. */
  readonly body?: unknown;
  /** Instead of `body`: a list that is read while it is sent. */
  readonly list?: LongList;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether the body is that of a `GET` request to the same path. */
  readonly asGet?: boolean;
}

/** A method of a resource, with its OpenAPI description. */
export interface Operation {
  readonly summary: string;
  /** The schema of the body; an operation without it ignores the body. */
  readonly body?: z.ZodType;
  /** The descriptions of the query parameters, by name. */
  readonly query?: Readonly<Record<string, string>>;
  /** The descriptions of the responses, by status. */
  readonly answers: Readonly<Record<number, string>>;
  /** Rejects when the caller has no permission. It is checked before the body. */
  readonly guard?: (call: Omit<RestCall<never>, 'body' | 'prepared'>) => Promise<unknown>;
  /** Does slow work that writes nothing, such as hashing, outside the transaction of the request. */
  readonly prepare?: (call: Omit<RestCall<never>, 'prepared'>) => Promise<unknown>;
  readonly handle: (call: RestCall<never, never>) => Promise<Answer>;
}

/** Checks the types of an operation with a body: the type of the body is that of its schema. */
export function operation<Body extends object, Prepared = undefined>(
  parts: Omit<Operation, 'handle' | 'body' | 'prepare'> & {
    readonly body: z.ZodType<Body>;
    readonly prepare?: (call: Omit<RestCall<Body>, 'prepared'>) => Promise<Prepared>;
    readonly handle: (call: RestCall<Body, Prepared>) => Promise<Answer>;
  },
): Operation {
  return parts as Operation;
}

/** A documented path and its methods. */
export interface Resource {
  /** The path with its parameters, like `/api/posts/:id`. A trailing slash is optional in requests. */
  readonly path: string;
  /** Other paths of the same resource in older clients. */
  readonly aliases?: readonly string[];
  readonly name: string;
  readonly description: string;
  /** Its tag in the OpenAPI document. */
  readonly tag: string;
  readonly dialect: Dialect;
  /**
   * The callers that it accepts: `signedIn` users only; also anonymous callers, but not refused credentials (`open`); or all
   * callers, because it ignores credentials (`ignored`).
   */
  readonly access: 'signedIn' | 'open' | 'ignored';
  /** The `WWW-Authenticate` header of a 401. */
  readonly challenge?: 'JWT realm="api"' | 'Token';
  readonly methods: Readonly<Partial<Record<Method, Operation>>>;
}

const ORDER: readonly Method[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** Returns the `Allow` header of a resource. */
export function allowOf({ methods, dialect }: Resource): string {
  const named: string[] = ORDER.filter((method) => methods[method]);
  if (methods.GET) {
    named.push('HEAD');
  }
  if (dialect.isDjango) {
    named.push('OPTIONS');
  }
  return named.join(', ');
}
