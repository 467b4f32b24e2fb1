import type { IncomingMessage } from 'node:http';
import { parseCookie, stringifySetCookie } from 'cookie';
import type { NewCookie, SessionCookie } from '../context.ts';
import { AppError } from '../errors.ts';
import type { OriginOf } from './request-origin.ts';

const NAME = 'tidings-session';
/** The name behind TLS: browsers take such a cookie only from this very host, over TLS and for all of its paths, so that no other host of its domain can set it. */
const NAME_BEHIND_TLS = `__Host-${NAME}`;

/** Methods that change nothing. */
const SAFE_METHODS: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** What a form can be sent as without the browser asking beforehand (the CORS-safelisted types of the Fetch standard). */
const FORM_TYPE = /^\s*(application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)\s*(;|$)/i;

/** Where the headers of an answer are set. */
interface AnswerHeaders {
  header(name: string, value: string): unknown;
  removeHeader(name: string): unknown;
}

export interface SessionCookiesOptions {
  readonly originOf: OriginOf;
  /** Origins whose pages may use the session cookie, beside our own. */
  readonly origins: readonly string[];
}

/** Reads the session cookies of requests, and decides which of them are used: a browser sends them along whatever page makes the request. */
export class SessionCookies {
  readonly #originOf: OriginOf;
  readonly #origins: ReadonlySet<string>;

  constructor({ originOf, origins }: SessionCookiesOptions) {
    this.#originOf = originOf;
    this.#origins = new Set(origins);
  }

  /** The cookie of an HTTP request, and of its answer where `answer` is given. */
  of(request: IncomingMessage, answer: AnswerHeaders | null): SessionCookie {
    return new RequestCookie(this, request, answer);
  }

  /** The cookie of the handshake of a WebSocket; undefined when the page that opens it is of another origin, which browsers do not prevent. */
  ofHandshake(request: IncomingMessage): SessionCookie | undefined {
    const value = this.isOwnHandshake(request) ? this.valueOf(request) : undefined;
    return value === undefined ? undefined : { value, refusal: null, write: null };
  }

  /** Whether the page that opens a WebSocket may use cookies. Every browser names its origin; what does not is no browser. */
  isOwnHandshake(request: IncomingMessage): boolean {
    const { origin } = request.headers;
    return origin === undefined || this.#isOwn(request, origin);
  }

  valueOf(request: IncomingMessage): string | undefined {
    const { cookie } = request.headers;
    return cookie === undefined ? undefined : parseCookie(cookie)[this.#nameOf(request)] || undefined;
  }

  /** The value of a `Set-Cookie` header; one that clears the cookie for null. */
  textOf(request: IncomingMessage, cookie: NewCookie | null): string {
    const name = this.#nameOf(request);
    const maxAge = cookie ? Math.max(0, Math.ceil((cookie.expiresAt.getTime() - Date.now()) / 1000)) : 0;
    const value = cookie?.value ?? '';
    return stringifySetCookie({
      name,
      value,
      maxAge,
      path: '/',
      httpOnly: true,
      sameSite: 'lax',
      secure: name === NAME_BEHIND_TLS,
    });
  }

  /** Why a request may not use a cookie; null when it may. */
  refusalOf(request: IncomingMessage): AppError | null {
    const { method, headers } = request;
    const isSafe = SAFE_METHODS.has(method);
    if (!this.#isOwnRequest(request, isSafe)) {
      return new AppError(
        'FORBIDDEN',
        `The session cookie is for pages of ${this.#originOf(request)} alone. Other pages send an Authorization header; the operator can allow origins by CORS_ORIGINS, and behind a proxy sets PUBLIC_URL.`,
      );
    }
    if (isSafe || isUnlikeForm(headers['content-type']) || headers['x-requested-with'] !== undefined) {
      return null;
    }
    return new AppError(
      'FORBIDDEN',
      'With the session cookie, send the body as application/json, or add a header X-Requested-With: forms of other pages can do neither.',
    );
  }

  #isOwnRequest(request: IncomingMessage, isSafe: boolean): boolean {
    const { origin, 'sec-fetch-site': site, 'sec-fetch-mode': mode } = request.headers;
    if (origin !== undefined) {
      return this.#isOwn(request, origin);
    }
    if (site !== undefined) {
      // `none` is a person who typed the address. Following a link from anywhere reads nothing for the page that has the link.
      return site === 'same-origin' || site === 'none' || (isSafe && mode === 'navigate');
    }
    return isSafe;
  }

  #isOwn(request: IncomingMessage, origin: string): boolean {
    return origin === this.#originOf(request) || this.#origins.has(origin);
  }

  #nameOf(request: IncomingMessage): string {
    return this.#originOf(request).startsWith('https:') ? NAME_BEHIND_TLS : NAME;
  }
}

function isUnlikeForm(type: string | undefined): boolean {
  return type !== undefined && !FORM_TYPE.test(type);
}

/** The cookie of one request; it is read only when somebody asks. */
class RequestCookie implements SessionCookie {
  readonly #cookies: SessionCookies;
  readonly #request: IncomingMessage;
  readonly #answer: AnswerHeaders | null;
  /** What the answer sets; null when it clears the cookie, undefined when it leaves it. */
  #written: NewCookie | null | undefined;

  constructor(cookies: SessionCookies, request: IncomingMessage, answer: AnswerHeaders | null) {
    this.#cookies = cookies;
    this.#request = request;
    this.#answer = answer;
  }

  get value(): string | undefined {
    return this.#written === undefined ? this.#cookies.valueOf(this.#request) : this.#written?.value;
  }

  get refusal(): AppError | null {
    return this.#cookies.refusalOf(this.#request);
  }

  get write(): SessionCookie['write'] {
    const answer = this.#answer;
    return (
      answer &&
      ((cookie) => {
        // The host would send both, and which one a browser keeps is then a matter of their order.
        this.#written = cookie;
        answer.removeHeader('set-cookie');
        answer.header('set-cookie', this.#cookies.textOf(this.#request, cookie));
      })
    );
  }
}
