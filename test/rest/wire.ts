import { Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http';
import { describe, expect, it } from 'vitest';

// biome-ignore lint/suspicious/noExplicitAny: rows stand for answers of many shapes, and a wrong shape fails the test.
type Anything = any;

export const PASSWORD = 'a good long password';
export const JSON_TYPE = 'application/json';
export const FORM_TYPE = 'application/x-www-form-urlencoded';
export const NOT_FOUND = { detail: 'Not found.' };
export const NO_CREDENTIALS = { detail: 'Authentication credentials were not provided.' };
export const REQUIRED = 'This field is required.';
export const NOT_NULL = 'This field may not be null.';
export const NOT_BLANK = 'This field may not be blank.';
export const NOT_TEXT = 'Not a valid string.';
export const NO_NULS = 'Null characters are not allowed.';
export const tooLong = (limit: number): string => `Ensure this field has no more than ${limit} characters.`;

const BOUNDARY = 'the-boundary-of-these-tests';
const DEADLINE_MS = 10_000;
/** A connection for each request: one that the server closes harms no later request. */
const ANEW = new Agent({ keepAlive: false });

/** A request as it goes over the wire: nothing is added to it but what HTTP needs. */
export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Buffer;
  readonly agent?: Agent;
}

export interface Received {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** `fetch` would tidy up paths, headers and content types; this sends them as they are. */
export function send(url: string, { method, path, headers = {}, body, agent = ANEW }: Sent): Promise<Received> {
  const { hostname, port } = new URL(url);
  const chunked = headers['transfer-encoding'] === 'chunked';
  const length = body === undefined || chunked ? {} : { 'content-length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { hostname, port, method, path, headers: { ...length, ...headers }, agent },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk) => chunks.push(chunk));
        incoming.once('error', reject);
        incoming.once('end', () =>
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            text: Buffer.concat(chunks).toString('utf8'),
          }),
        );
      },
    );
    outgoing.setTimeout(DEADLINE_MS, () => outgoing.destroy(new Error(`${method} ${path} hangs`)));
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

/** What rows name in braces: `{ann}` is what the world knows as `ann`. */
export type World = Record<string, Anything>;

/** A request of a row. */
export interface Call {
  /** Method and path, like `PATCH /api/chats/{uri}/`. */
  readonly call: string;
  /** Whose `Authorization` it carries, by the name in the world. */
  readonly as?: string;
  readonly headers?: Record<string, string | readonly string[]>;
  /** The body: as JSON, as a form, as parts of `multipart/form-data`, or as it is (then without a content type). */
  readonly json?: unknown;
  readonly form?: string;
  readonly parts?: readonly (readonly [string, string])[];
  readonly raw?: string | Buffer;
}

/** A row of the contract: a request and the whole of its answer. */
export interface Row extends Call {
  readonly name: string;
  readonly status: number;
  /** The body: its JSON, members in this order; a text or a pattern for the text as it is; left out for none. */
  readonly answer?: unknown;
  /** Headers of the answer; null for one that must not be there. */
  readonly has?: Record<string, string | RegExp | null>;
  /** Whether it stands for one form of its path only, not for those with and without a slash at the end. */
  readonly asItIs?: boolean;
}

/** Headers that every answer of a path carries. */
export interface Shared {
  readonly allow?: string;
  /** What a 401 names in `WWW-Authenticate`. */
  readonly challenge?: string;
  /** How its JSON is written; compact if not said otherwise. */
  readonly write?: (value: unknown) => string;
}

/** How the paths of notes write JSON: as Python's `json.dumps(…, indent=4)`. */
export const indented = (value: unknown): string =>
  JSON.stringify(value, null, 4).replace(
    /[^ -~\n]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

let count = 0;

/** A text that no other test uses, of letters alone: no password resembles it. */
export const fresh = (): string =>
  `new-${`${process.pid}-${++count}`.replace(/\d/g, (digit) => String.fromCharCode('k'.charCodeAt(0) + Number(digit)))}`;

/** Puts in what is named in braces; a text that is nothing but a name becomes what it names, of whatever type. */
export function fill<Value>(value: Value, world: World): Value {
  const filled = (part: Anything): Anything => {
    if (typeof part === 'string') {
      const [, whole = ''] = /^\{([^{}]+)\}$/.exec(part) ?? [];
      return Object.hasOwn(world, whole)
        ? world[whole]
        : part.replace(/\{([^{}]+)\}/g, (named, name) => (Object.hasOwn(world, name) ? String(world[name]) : named));
    }
    if (Array.isArray(part)) {
      return part.map(filled);
    }
    const isPlain = typeof part === 'object' && part !== null && Object.getPrototypeOf(part) === Object.prototype;
    return isPlain ? Object.fromEntries(Object.entries(part).map(([name, inner]) => [name, filled(inner)])) : part;
  };
  return filled(value);
}

function bodyOf({ json, form, parts, raw }: Call): { body?: string | Buffer; type?: string } {
  if (json !== undefined) {
    return { body: JSON.stringify(json), type: JSON_TYPE };
  }
  if (form !== undefined) {
    return { body: form, type: FORM_TYPE };
  }
  if (parts !== undefined) {
    const texts = parts.map(
      ([name, value]) => `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
    );
    return { body: `${texts.join('')}--${BOUNDARY}--\r\n`, type: `multipart/form-data; boundary=${BOUNDARY}` };
  }
  return raw === undefined ? {} : { body: raw };
}

/** Sends the request of a row. */
export function perform(call: Call, world: World): Promise<Received> {
  const filled = fill(call, world);
  const [method = '', path = ''] = filled.call.split(/ (.*)/s);
  const { body, type } = bodyOf(filled);
  return send(world['url'], {
    method,
    path,
    headers: {
      ...(type && { 'content-type': type }),
      ...(filled.as !== undefined && { authorization: world[filled.as] }),
      ...(filled.headers as OutgoingHttpHeaders),
    },
    ...(body !== undefined && { body }),
  });
}

/** The path of a call with a slash at its end and without. */
function bothForms({ call }: Row): string[] {
  const [, path = '', query = ''] = /^([^?]*?)\/?(\?.*)?$/.exec(call) ?? [];
  return [`${path}/${query}`, `${path}${query}`];
}

function textOf(answer: unknown, { write = JSON.stringify }: Shared): unknown {
  if (answer === undefined) {
    return '';
  }
  if (answer instanceof RegExp) {
    return expect.stringMatching(answer);
  }
  return typeof answer === 'string' ? answer : write(answer);
}

async function expectRow(row: Row, shared: Shared, world: World): Promise<void> {
  const { status, answer, has = {} } = fill(row, world);
  const received = await perform(row, world);
  const expected: Record<string, string | RegExp | null> = {
    ...(shared.allow !== undefined && { allow: shared.allow }),
    ...(shared.challenge !== undefined && { 'www-authenticate': status === 401 ? shared.challenge : null }),
    ...(answer !== undefined && { 'content-type': JSON_TYPE }),
    ...has,
  };
  const seen = Object.keys(expected).map((name) => [name, received.headers[name] ?? null]);
  expect({ status: received.status, text: received.text, headers: Object.fromEntries(seen) }, row.call).toEqual({
    status,
    text: textOf(answer, shared),
    headers: Object.fromEntries(
      Object.entries(expected).map(([name, value]) => [
        name,
        value instanceof RegExp ? expect.stringMatching(value) : value,
      ]),
    ),
  });
}

/** Tests every row, on the path with a slash at its end and without. `{new}` stands for another text each time. */
export function contract(name: string, world: () => World, shared: Shared, rows: readonly Row[]): void {
  describe(name, () => {
    for (const row of rows) {
      it(row.name, async () => {
        for (const call of row.asItIs ? [row.call] : bothForms(row)) {
          await expectRow({ ...row, call }, shared, { ...world(), new: fresh() });
        }
      });
    }
  });
}
