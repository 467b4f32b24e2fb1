import { lengthInCharacters } from '../validation.ts';

/** A character of a word: a letter, a digit, a private-use character, or a mark that belongs to a letter. All others separate words. */
const WORD = /[\p{L}\p{N}\p{Co}\p{M}]+/gu;

/** The longest part of a word that is compared, in characters. */
export const MAX_WORD = 64;

/** A part of a query: words that must follow each other in this order. The last one also matches longer words when `isPrefix` is set. */
export interface SearchTerm {
  readonly words: readonly string[];
  readonly isPrefix: boolean;
}

/**
 * Returns a word in the form in which words are compared: in lower case, and without diacritics on Latin letters. It is the form of the tokenizer `unicode61`
 * of SQLite, and of the function that `postgres-words.ts` creates.
 */
export function foldWord(word: string): string {
  return word
    .normalize('NFD')
    .replace(/(\p{Script=Latin})[\u0300-\u036f]+/gu, '$1')
    .normalize('NFC')
    .toLowerCase()
    .replaceAll('\u00b5', 'μ')
    .replaceAll('ſ', 's')
    .replaceAll('ς', 'σ');
}

/** A word of a text, and where it is. */
export interface PlacedWord {
  readonly word: string;
  /** In UTF-16 code units. */
  readonly start: number;
  readonly end: number;
}

/** Returns the words of a text one after the other, so that a caller can stop. */
export function* wordsOf(text: string): Generator<PlacedWord> {
  for (const { 0: word, index } of text.matchAll(WORD)) {
    yield { word: foldWord(word), start: index, end: index + word.length };
  }
}

/**
 * Returns the terms of a query. Text in double quotes is a phrase, and so is a word that punctuation divides, like `e-mail`; the last term is a prefix unless its
 * quotes are closed. No text is a syntax error; a query without a letter or digit has no terms.
 */
export function parseTerms(query: string): SearchTerm[] {
  const terms: SearchTerm[] = [];
  for (const [index, part] of query.split('"').entries()) {
    // Every second part is in quotes.
    for (const chunk of index % 2 === 1 ? [part] : part.split(/\s+/u)) {
      const words = [...wordsOf(chunk)].map(({ word }) => cutWord(word));
      if (words.length > 0) {
        terms.push({ words, isPrefix: false });
      }
    }
  }
  const last = terms.pop();
  if (last) {
    terms.push({ ...last, isPrefix: !/"\s*$/u.test(query) || (query.split('"').length - 1) % 2 === 1 });
  }
  return terms;
}

/** Returns the part of a word that is compared. */
export function cutWord(word: string): string {
  return word.length > MAX_WORD && lengthInCharacters(word) > MAX_WORD ? [...word].slice(0, MAX_WORD).join('') : word;
}
