import type { IncomingMessage } from 'node:http';
import { parseCookie, stringifySetCookie } from 'cookie';
import type { NewCookie, SessionCookie } from '../context.ts';
import { AppError } from '../errors.ts';
import type { OriginOf } from './request-origin.ts';

const NAME = 'tidings-session';
/** The name over TLS: browsers accept a cookie with this prefix only over TLS and from its own host, not from others of the domain. */
const NAME_BEHIND_TLS = `__Host-${NAME}`;

/** The safe methods (RFC 9110, section 9.2.1) that the server supports. */
const SAFE_METHODS: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** The content types that a page can send without a preflight request (CORS-safelisted in the Fetch standard). */
const FORM_TYPE = /^\s*(application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)\s*(;|$)/i;

/** Sets the headers of a response. */
interface ResponseHeaders {
  header(name: string, value: string): unknown;
  removeHeader(name: string): unknown;
}

export interface SessionCookiesOptions {
  readonly originOf: OriginOf;
  /** Other origins whose pages may use the session cookie. */
  readonly origins: readonly string[];
}

/** Reads session cookies, and decides which requests may use them: browsers send a cookie with the requests of any page (CSRF). */
export class SessionCookies {
  readonly #originOf: OriginOf;
  readonly #origins: ReadonlySet<string>;

  constructor({ originOf, origins }: SessionCookiesOptions) {
    this.#originOf = originOf;
    this.#origins = new Set(origins);
  }

  /** Returns the cookie of an HTTP request; it can be set when `response` is given. */
  of(request: IncomingMessage, response: ResponseHeaders | null): SessionCookie {
    return new RequestCookie(this, request, response);
  }

  /** Returns the cookie of an upgrade request; undefined when a page of another origin opens the WebSocket, which browsers allow. */
  ofHandshake(request: IncomingMessage): SessionCookie | undefined {
    const value = this.isAllowedHandshake(request) ? this.valueOf(request) : undefined;
    return value === undefined ? undefined : { value, refusal: null, write: null };
  }

  /** Returns whether an upgrade request may use cookies. Browsers always send `Origin`; a client without it is not a browser. */
  isAllowedHandshake(request: IncomingMessage): boolean {
    const { origin } = request.headers;
    return origin === undefined || this.#isAllowedOrigin(request, origin);
  }

  valueOf(request: IncomingMessage): string | undefined {
    const { cookie } = request.headers;
    return cookie === undefined ? undefined : parseCookie(cookie)[this.#nameOf(request)] || undefined;
  }

  /** Returns the value of a `Set-Cookie` header, which clears the cookie for null. */
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

  /** Returns the error of a request that may not use a cookie; null when it may. */
  refusalOf(request: IncomingMessage): AppError | null {
    const { method, headers } = request;
    const isSafe = SAFE_METHODS.has(method);
    if (!this.#isFromAllowedPage(request, isSafe)) {
      return new AppError(
        'FORBIDDEN',
        `The session cookie is for pages of ${this.#originOf(request)} alone. Other pages must send an Authorization header; the operator can allow origins by CORS_ORIGINS, and has to set PUBLIC_URL behind a proxy.`,
      );
    }
    if (isSafe || isNotFormType(headers['content-type']) || headers['x-requested-with'] !== undefined) {
      return null;
    }
    return new AppError(
      'FORBIDDEN',
      'A request with the session cookie must send its body as application/json, or a header X-Requested-With.',
    );
  }

  #isFromAllowedPage(request: IncomingMessage, isSafe: boolean): boolean {
    const { origin, 'sec-fetch-site': site, 'sec-fetch-mode': mode } = request.headers;
    if (origin !== undefined) {
      return this.#isAllowedOrigin(request, origin);
    }
    if (site !== undefined) {
      // `none` is an address that a person typed. The page of a link cannot read the response to its navigation.
      return site === 'same-origin' || site === 'none' || (isSafe && mode === 'navigate');
    }
    return isSafe;
  }

  #isAllowedOrigin(request: IncomingMessage, origin: string): boolean {
    return origin === this.#originOf(request) || this.#origins.has(origin);
  }

  #nameOf(request: IncomingMessage): string {
    return this.#originOf(request).startsWith('https:') ? NAME_BEHIND_TLS : NAME;
  }
}

function isNotFormType(type: string | undefined): boolean {
  return type !== undefined && !FORM_TYPE.test(type);
}

/** The cookie of one request, which is parsed on first use. */
class RequestCookie implements SessionCookie {
  readonly #cookies: SessionCookies;
  readonly #request: IncomingMessage;
  readonly #response: ResponseHeaders | null;
  /** The cookie that the response sets; null when it clears the cookie, undefined when it does neither. */
  #written: NewCookie | null | undefined;

  constructor(cookies: SessionCookies, request: IncomingMessage, response: ResponseHeaders | null) {
    this.#cookies = cookies;
    this.#request = request;
    this.#response = response;
  }

  get value(): string | undefined {
    return this.#written === undefined ? this.#cookies.valueOf(this.#request) : this.#written?.value;
  }

  get refusal(): AppError | null {
    return this.#cookies.refusalOf(this.#request);
  }

  get write(): SessionCookie['write'] {
    const response = this.#response;
    return (
      response &&
      ((cookie) => {
        // Fastify appends `Set-Cookie` headers, and browsers use the last one.
        this.#written = cookie;
        response.removeHeader('set-cookie');
        response.header('set-cookie', this.#cookies.textOf(this.#request, cookie));
      })
    );
  }
}
