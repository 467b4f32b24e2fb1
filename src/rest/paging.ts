import { AppError } from '../errors.ts';
import { parseId } from '../validation.ts';

export const MAX_LIMIT = 1000;

/** Returns the `limit` of the query, at most {@link MAX_LIMIT}; null when it is not a positive integer. */
export function limitOf({ searchParams }: URL): number | null {
  const limit = wholeNumber(searchParams.get('limit'));
  return limit === null || limit === 0 ? null : Math.min(limit, MAX_LIMIT);
}

/** Returns the `offset` of the query; 0 when it is not an integer. */
export function offsetOf({ searchParams }: URL): number {
  return wholeNumber(searchParams.get('offset')) ?? 0;
}

/**
 * Returns the id after which a page starts, from the `cursor` of the query: 0 for an empty cursor, null without a cursor.
 *
 * @throws {AppError} `BAD_CURSOR` when it is malformed
 */
export function afterIdOf({ searchParams }: URL): number | null {
  const cursor = searchParams.get('cursor');
  if (cursor === null || cursor === '') {
    return cursor === null ? null : 0;
  }
  const id = parseId(Buffer.from(cursor, 'base64url').toString('latin1'));
  if (id === null || encodeCursor(id) !== cursor) {
    throw new AppError('BAD_CURSOR');
  }
  return id;
}

/** Returns the `Link` header (RFC 8288) to the next page; no header on the last page. */
export function nextLink(url: URL, lastId: number | undefined, more: boolean): Record<string, string> {
  return more && lastId !== undefined
    ? { link: `<${withQuery(url, { cursor: encodeCursor(lastId) })}>; rel="next"` }
    : {};
}

/** Returns the URLs of the next and the previous page, as in Django REST framework's LimitOffsetPagination. */
export function adjacentPages(url: URL, { limit, offset, count }: { limit: number; offset: number; count: number }) {
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

function encodeCursor(id: number): string {
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
