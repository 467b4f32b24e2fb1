import { z } from 'zod';
import { defaulted, listOf, optional, wholeNumber } from './variable.ts';

/** The largest number of proxies in front of a server. */
const MAX_HOPS = 16;
const TRUST_PROXY_PROBLEM =
  'must be false, the number of proxies in front (1), or their addresses, separated by commas (10.0.0.0/8, ::1); true would let every caller choose its address';

/** The trusted proxies in front of the server: a number of hops, or addresses and networks. */
export type TrustedProxies = number | readonly string[];

const network = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]);

const trustedProxies = z
  .string()
  .transform((text): TrustedProxies => {
    if (text === 'false' || /^\d{1,2}$/.test(text)) {
      return text === 'false' ? 0 : Number(text);
    }
    return text.split(',').map((address) => address.trim());
  })
  .refine((trusted) => (typeof trusted === 'number' ? trusted <= MAX_HOPS : trusted.every(isNetwork)), {
    error: TRUST_PROXY_PROBLEM,
  });

/** Returns whether a text is an IP address or a network; a prefix of length 0 is refused, since it would trust all addresses. */
function isNetwork(text: string): boolean {
  return network.safeParse(text).success && !text.endsWith('/0');
}

/** The variables of addresses, proxies and origins. */
export const ORIGIN_VARIABLES = {
  TRUST_PROXY: defaulted(trustedProxies, {
    fallback: 'false',
    meaning: 'the proxies in front whose `X-Forwarded-*` headers are trusted; see [proxy.md](proxy.md)',
    values: '`false`, their number (`1`), or their addresses (`10.0.0.0/8, ::1`)',
  }),
  PUBLIC_URL: optional(
    z
      .string()
      .transform((text) => text.replace(/\/$/, ''))
      .refine(isWebOrigin, {
        error: 'must be an http: or https: URL without a path, like https://tidings.example.org',
      }),
    {
      absence: 'the scheme and host of the request',
      meaning:
        'the URL at which callers reach the server; links in responses start with it, and its pages may use the session cookie',
      values: 'an `http:` or `https:` URL without a path, like `https://tidings.example.org`',
    },
  ),
  ALLOWED_HOSTS: optional(
    z
      .string()
      .transform((text) => listOf(text.toLowerCase()))
      .pipe(
        z.array(
          z.string().regex(/^([a-z\d_.-]+|\[[\da-f:.]+\])(:\d{1,5})?$/, {
            error: 'must be a list of hosts, with or without a port, separated by commas',
          }),
        ),
      ),
    {
      absence: 'any',
      meaning:
        'the hosts that requests may name; that of `PUBLIC_URL` is added. Others get 421, except on `/health` and `/ready`',
      values: 'hosts, with or without a port, separated by commas',
    },
  ),
  CORS_ORIGINS: defaulted(
    z
      .string()
      .transform(listOf)
      .pipe(z.array(z.string().refine(isOrigin, { error: 'must be * or a list of origins, separated by commas' }))),
    {
      fallback: '*',
      meaning:
        'the origins whose pages may read responses; a named origin may also send the session cookie, and `*`, alone or beside names, allows any origin without cookies',
      values: '`*`, or origins separated by commas',
    },
  ),
};

/** The limits of HTTP. */
export const HTTP_VARIABLES = {
  HEADERS_TIMEOUT_MS: wholeNumber(
    30_000,
    { min: 100, max: 600_000, unit: 'ms' },
    'how long a new connection may be silent, the headers of a request may take, and a response may remain unread',
  ),
  IDLE_TIMEOUT_MS: wholeNumber(
    30_000,
    { min: 100, max: 3_600_000, unit: 'ms' },
    'how long a connection is kept for a next request; longer than the proxy in front keeps its own',
  ),
  BODY_MIN_BYTES_PER_S: wholeNumber(
    1000,
    { min: 1, max: 104_857_600, unit: 'bytes/s' },
    'the lowest rate of a request body; one that is slower over any `HEADERS_TIMEOUT_MS` ends with 408',
  ),
  BODY_LIMIT_BYTES: wholeNumber(
    1_048_576,
    { min: 1024, max: 104_857_600, unit: 'bytes' },
    'the size of a request body; larger ones are answered 413',
  ),
  MAX_EVENT_LOOP_DELAY_MS: wholeNumber(
    2_000,
    { min: 0, max: 60_000, unit: 'ms' },
    'how long requests may wait while the process is overloaded; once the event loop is late by half of that, or connections wait that long to be accepted, several times in a row, requests that would wait longer are answered 503 at once, with `Retry-After`, except `/health` and `/ready`. `0` for never',
  ),
};

function isOrigin(text: string): boolean {
  return text === '*' || (URL.canParse(text) && new URL(text).origin === text);
}

function isWebOrigin(text: string): boolean {
  return /^https?:/.test(text) && isOrigin(text);
}
