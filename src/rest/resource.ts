import type { IncomingHttpHeaders } from 'node:http';
import type { z } from 'zod';
import type { Context } from '../context.ts';
import type { Dialect } from './dialect.ts';
import type { LongList } from './list-text.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** What an operation is told of its request. */
export interface Call<Body, Prepared = undefined> {
  readonly context: Context;
  /** The named segments of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** The address that was called, with its host as the caller knows it. */
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Body;
  /** What the operation's `prepare` gave. */
  readonly prepared: Prepared;
}

/** What is sent back. */
export interface Answer {
  readonly status: number;
  /** What is written as JSON; without it the answer has no body. */
  readonly body?: unknown;
  /** In place of `body`: a list that is read while it is sent. */
  readonly list?: LongList;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether the body is what a `GET` of the same path gives now. */
  readonly asGet?: boolean;
}

/** One method of a resource, with what OpenAPI tells of it. */
export interface Operation {
  readonly summary: string;
  /** Checks the fields of a body; an operation without it takes no notice of one. */
  readonly body?: z.ZodType;
  /** The parameters that the query may have, with what they mean. */
  readonly query?: Readonly<Record<string, string>>;
  /** What the answers are, by status. */
  readonly answers: Readonly<Record<number, string>>;
  /** Fails when the caller may not do it, whatever the body says: rights come before bodies. */
  readonly guard?: (call: Omit<Call<never>, 'body' | 'prepared'>) => Promise<unknown>;
  /** Does what takes long and writes nothing, above all hashing: before the transaction that makes a request repeatable. */
  readonly prepare?: (call: Omit<Call<never>, 'prepared'>) => Promise<unknown>;
  readonly handle: (call: Call<never, never>) => Promise<Answer>;
}

/** An operation with a body; the shape that checks it is also what types it. */
export function operation<Body extends object, Prepared = undefined>(
  parts: Omit<Operation, 'handle' | 'body' | 'prepare'> & {
    readonly body: z.ZodType<Body>;
    readonly prepare?: (call: Omit<Call<Body>, 'prepared'>) => Promise<Prepared>;
    readonly handle: (call: Call<Body, Prepared>) => Promise<Answer>;
  },
): Operation {
  return parts as Operation;
}

/** A documented path and what can be done with it. */
export interface Resource {
  /** The path with its parameters, like `/api/posts/:id`; it answers with and without a slash at its end. */
  readonly path: string;
  /** Other paths that older clients know it by. */
  readonly aliases?: readonly string[];
  readonly name: string;
  readonly description: string;
  /** The part of the OpenAPI document that it stands in. */
  readonly tag: string;
  /** How it reads bodies and writes answers. */
  readonly dialect: Dialect;
  /**
   * Who may use it: `signedIn` callers only; anybody, but with no credential that is refused (`open`); or anybody, since it does not
   * look at credentials (`ignored`).
   */
  readonly access: 'signedIn' | 'open' | 'ignored';
  /** What a 401 names in `WWW-Authenticate`. */
  readonly challenge?: 'JWT realm="api"' | 'Token';
  readonly methods: Readonly<Partial<Record<Method, Operation>>>;
}

const ORDER: readonly Method[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** The value of a resource's `Allow` header. */
export function allowOf({ methods, dialect }: Resource): string {
  const named: string[] = ORDER.filter((method) => methods[method]);
  if (methods.GET) {
    named.push('HEAD');
  }
  if (dialect.describes) {
    named.push('OPTIONS');
  }
  return named.join(', ');
}
