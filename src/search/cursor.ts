import { z } from 'zod';
import { decodeCursorValue, encodeCursorValue } from '../database/page.ts';
import { AppError } from '../errors.ts';
import type { Match, Rank } from '../search-index/newest.ts';

/** The position of a match in the order of a search. It consists of properties of the row, so it stays correct while rows are inserted and deleted. */
export interface SearchPosition {
  readonly rank: Rank;
  readonly time: number;
  readonly source: { readonly code: number };
  readonly id: number;
}

const RANKS: readonly Rank[] = ['TITLE', 'TEXT'];

/** Compares two positions: matches in titles first, then the newest first, then by the model and the id. */
export function compareMatches(a: SearchPosition, b: SearchPosition): number {
  return (
    RANKS.indexOf(a.rank) - RANKS.indexOf(b.rank) || b.time - a.time || a.source.code - b.source.code || b.id - a.id
  );
}

const cursorShape = z.tuple([z.literal('search'), z.enum(['TITLE', 'TEXT']), z.number(), z.int(), z.int()]);

export function encodeSearchCursor({ rank, time, source, id }: Match): string {
  return encodeCursorValue(['search', rank, time, source.code, id]);
}

/** @throws {AppError} `BAD_CURSOR` when a cursor is malformed */
export function decodeSearchCursor(cursor: string): SearchPosition {
  const parsed = cursorShape.safeParse(decodeCursorValue(cursor));
  if (!parsed.success) {
    throw new AppError('BAD_CURSOR');
  }
  const [, rank, time, code, id] = parsed.data;
  return { rank, time, source: { code }, id };
}
