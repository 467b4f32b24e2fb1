import { cutWord, type SearchTerm, wordsOf } from './words.ts';

/** A piece of a text: one that matches the query, or one between two matches. */
export interface TextPart {
  readonly text: string;
  readonly isMatch: boolean;
}

/** The length of an excerpt, and of its part before the first match, in UTF-16 code units. */
export const MAX_EXCERPT = 240;
const LEAD = 60;
/** The beginning of a text in which the first match is looked for. */
const MAX_SCANNED = 20_000;
const ELLIPSIS = '…';

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Returns a part of a text around the first match of a term, as pieces that make up the part. An ellipsis stands for what is left out before and after it. */
export function excerptOf(text: string, terms: readonly SearchTerm[]): TextPart[] {
  const scanned = text.slice(0, MAX_SCANNED);
  let [start, end] = [0, MAX_EXCERPT];
  const matches: Range[] = [];
  for (const match of matchesOf(scanned, terms)) {
    if (matches.length === 0 && match.end > MAX_EXCERPT) {
      start = boundary(text, Math.max(0, match.start - LEAD));
      end = start + MAX_EXCERPT;
    }
    if (match.start >= end) {
      break;
    }
    matches.push(match);
  }
  end = boundary(text, Math.min(end, text.length));
  const parts: TextPart[] = [];
  const add = (part: string, isMatch: boolean): void => {
    if (part !== '') {
      parts.push({ text: part, isMatch });
    }
  };
  let at = start;
  for (const match of matches) {
    add((at === start && start > 0 ? ELLIPSIS : '') + text.slice(at, match.start), false);
    add(text.slice(match.start, Math.min(match.end, end)), true);
    at = Math.min(match.end, end);
  }
  add(
    (matches.length === 0 && start > 0 ? ELLIPSIS : '') + text.slice(at, end) + (end < text.length ? ELLIPSIS : ''),
    false,
  );
  return parts;
}

/** Returns the position, or the one before it when it is within a surrogate pair. */
function boundary(text: string, position: number): number {
  const code = text.charCodeAt(position);
  return code >= 0xdc00 && code <= 0xdfff ? position - 1 : position;
}

/** Returns the ranges of the words that match a term, in order, without overlaps. */
function* matchesOf(text: string, terms: readonly SearchTerm[]): Generator<Range> {
  const longest = Math.max(...terms.map(({ words }) => words.length));
  const wanted = terms.map((term) => ({ ...term, words: term.words.map(seenWord) }));
  const window: (Range & { readonly word: string })[] = [];
  const words = wordsOf(text);
  for (;;) {
    while (window.length < longest) {
      const next = words.next();
      if (next.done) {
        break;
      }
      window.push({ ...next.value, word: seenWord(next.value.word) });
    }
    if (window.length === 0) {
      return;
    }
    const count = Math.max(0, ...wanted.filter((term) => fits(term, window)).map(({ words: { length } }) => length));
    // Each word of a phrase is a match of its own, without the characters between them.
    yield* window.slice(0, count);
    window.splice(0, Math.max(count, 1));
  }
}

/** Returns a word in the form in which matches are marked: SQLite also finds letters in the other case that `foldWord` leaves as they are. */
function seenWord(word: string): string {
  return cutWord(word).toLowerCase();
}

function fits({ words, isPrefix }: SearchTerm, window: readonly { readonly word: string }[]): boolean {
  return words.every((word, index) => {
    const found = window[index]?.word;
    return found === word || (isPrefix && index === words.length - 1 && found?.startsWith(word));
  });
}
