import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adjacentPages, afterIdOf, limitOf, MAX_LIMIT, nextLink, offsetOf } from '../../src/rest/paging.ts';

const url = (query: string): URL => new URL(`http://tidings.example/notes/${query}`);
const badCursor = expect.objectContaining({ code: 'BAD_CURSOR' });

/** Returns the URL of the next page in a `Link` header. */
function nextOf(headers: Readonly<Record<string, string>>): URL {
  const [, next = ''] = /^<([^>]+)>; rel="next"$/.exec(headers['link'] ?? '') ?? [];
  return new URL(next);
}

describe('the limit and the offset of a query', () => {
  it.each([
    ['', null, 0],
    ['?limit=&offset=', null, 0],
    ['?limit=0&offset=0', null, 0],
    ['?limit=1&offset=1', 1, 1],
    ['?limit=25&offset=50', 25, 50],
    ['?limit=1000', MAX_LIMIT, 0],
    ['?limit=1001', MAX_LIMIT, 0],
    ['?limit=-1&offset=-1', null, 0],
    ['?limit=1.5&offset=1.5', null, 0],
    ['?limit=1x&offset=x1', null, 0],
    ['?limit=x1&offset=1x', null, 0],
    ['?offset=99999999999999999999', null, Number.MAX_SAFE_INTEGER],
  ])('should be read as in Django REST framework: %j', (query, limit, offset) => {
    expect([limitOf(url(query)), offsetOf(url(query))]).toEqual([limit, offset]);
  });
});

describe('the adjacent pages', () => {
  const pages = (query: string, count: number) =>
    adjacentPages(url(query), { limit: limitOf(url(query)) ?? 10, offset: offsetOf(url(query)), count });

  it('should keep the other parameters of the query', () => {
    expect(pages('?title=a%20b&limit=10&offset=20', 50)).toEqual({
      next: 'http://tidings.example/notes/?limit=10&offset=30&title=a+b',
      previous: 'http://tidings.example/notes/?limit=10&offset=10&title=a+b',
    });
  });

  it('should name the first page without an offset', () => {
    expect(pages('?limit=10&offset=10', 20)).toEqual({
      next: null,
      previous: 'http://tidings.example/notes/?limit=10',
    });
    expect(pages('?limit=10&offset=5', 5).previous).toBe('http://tidings.example/notes/?limit=10');
    expect(pages('?limit=10&offset=11', 12).previous).toBe('http://tidings.example/notes/?limit=10&offset=1');
    expect(pages('?limit=10', 10)).toEqual({ next: null, previous: null });
  });

  it('should lead through all rows once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.nat({ max: 30 }), (limit, count) => {
        const offsets: number[] = [];
        for (let next: string | null = url(`?limit=${limit}`).href; next !== null; ) {
          const page: URL = new URL(next);
          offsets.push(offsetOf(page));
          expect(offsets.length).toBeLessThanOrEqual(count + 1);
          next = adjacentPages(page, { limit, offset: offsetOf(page), count }).next;
        }
        expect(offsets).toEqual(
          Array.from({ length: Math.max(1, Math.ceil(count / limit)) }, (_, index) => index * limit),
        );
      }),
    );
  });
});

describe('the cursor of a query', () => {
  it('should be the id after which the page starts', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 - 1 }), (id) => {
        const next = nextOf(nextLink(url('?title=x&cursor=MQ'), id, true));
        expect(afterIdOf(next)).toBe(id);
        expect([next.pathname, next.searchParams.get('title')]).toEqual(['/notes/', 'x']);
      }),
    );
  });

  it('should be absent, or empty for the first page', () => {
    expect([afterIdOf(url('')), afterIdOf(url('?cursor='))]).toEqual([null, 0]);
  });

  it.each(['nonsense', 'MA', 'LTE', 'MQ==', 'MR', ' MQ', 'MjE0NzQ4MzY0OA'])('should be refused for %j', (cursor) => {
    expect(() => afterIdOf(url(`?cursor=${encodeURIComponent(cursor)}`))).toThrow(badCursor);
  });

  it('should not be sent on the last page, or on an empty one', () => {
    expect(nextLink(url(''), 7, false)).toEqual({});
    expect(nextLink(url(''), undefined, true)).toEqual({});
  });
});
