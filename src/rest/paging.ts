import { AppError } from '../errors.ts';
import { parseId } from '../validation.ts';

export const MAX_LIMIT = 1000;

/** A positive whole number of the query, at most {@link MAX_LIMIT}; null when it is none. */
export function limitOf({ searchParams }: URL): number | null {
  const limit = wholeNumber(searchParams.get('limit'));
  return limit === null || limit === 0 ? null : Math.min(limit, MAX_LIMIT);
}

/** How many rows to leave out; 0 when the query says nothing sensible. */
export function offsetOf({ searchParams }: URL): number {
  return wholeNumber(searchParams.get('offset')) ?? 0;
}

/** What stands before a page by key: the id that the `cursor` of the query names, or 0 at the start; null for no cursor at all. */
export function cursorOf({ searchParams }: URL): number | null {
  const cursor = searchParams.get('cursor');
  if (cursor === null || cursor === '') {
    return cursor === null ? null : 0;
  }
  const id = parseId(Buffer.from(cursor, 'base64url').toString('latin1'));
  if (id === null || encode(id) !== cursor) {
    throw new AppError('BAD_CURSOR');
  }
  return id;
}

/** The `Link` header (RFC 8288) of a page by key; nothing on the last one. */
export function nextLink(url: URL, lastId: number | undefined, more: boolean): Record<string, string> {
  return more && lastId !== undefined ? { link: `<${withQuery(url, { cursor: encode(lastId) })}>; rel="next"` } : {};
}

/** The addresses of the pages beside this one, as Django REST framework's limit and offset give them. */
export function neighbours(url: URL, { limit, offset, count }: { limit: number; offset: number; count: number }) {
  const next = offset + limit;
  const previous = offset - limit;
  return {
    next: next < count ? withQuery(url, { limit, offset: next }) : null,
    previous: offset > 0 ? withQuery(url, { limit, offset: previous > 0 ? previous : null }) : null,
  };
}

function wholeNumber(text: string | null): number | null {
  return text !== null && /^\d+$/.test(text) ? Math.min(Number(text), Number.MAX_SAFE_INTEGER) : null;
}

function encode(id: number): string {
  return Buffer.from(String(id)).toString('base64url');
}

function withQuery(url: URL, changes: Readonly<Record<string, string | number | null>>): string {
  const query = new URLSearchParams(url.searchParams);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) {
      query.delete(name);
    } else {
      query.set(name, String(value));
    }
  }
  query.sort();
  const text = query.toString();
  return `${url.origin}${url.pathname}${text ? `?${text}` : ''}`;
}
