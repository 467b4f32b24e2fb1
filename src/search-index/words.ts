import { lengthInCharacters } from '../validation.ts';

/** A character of a word: a letter, a digit, a private-use character, or a mark that belongs to a letter. All others separate words. */
const WORD = /[\p{L}\p{N}\p{Co}\p{M}]+/gu;

/** The longest part of a word that PostgreSQL's index has and that is marked in excerpts, in characters. SQLite's index has words in full. */
export const MAX_WORD = 64;

/** A part of a query: words that must follow each other in this order. The last one also matches longer words when `isPrefix` is set. */
export interface SearchTerm {
  readonly words: readonly string[];
  readonly isPrefix: boolean;
}

/** The Latin letters that are compared without diacritics, as the content of a bracket of a regular expression, both of JavaScript and of PostgreSQL. */
export const LATIN_LETTERS = 'A-Za-z\\u00c0-\\u024f';

/** The letters above ASCII that are compared in lower case, and the letters for which they are compared, at the same places. */
export const { upper: UPPER_CASE, lower: LOWER_CASE } = caseOfLetters();

const MARKED_LETTERS = new RegExp(`([${LATIN_LETTERS}])[\\u0300-\\u036f]+`, 'g');
const FOLDED = new Map([...UPPER_CASE].map((letter, index) => [letter, LOWER_CASE.charAt(index)]));

/**
 * Returns a word in the form in which words are compared: in lower case, and without diacritics on Latin letters. It is exactly what the function that
 * `postgres-words.ts` creates makes of a text, so that each text is found by its own words. The tokenizer `unicode61` of SQLite folds more letters, of texts and queries.
 */
export function foldWord(word: string): string {
  return word
    .normalize('NFD')
    .replace(MARKED_LETTERS, '$1')
    .replace(/[\u00b5-\u058f]/g, (letter) => FOLDED.get(letter) ?? letter)
    .normalize('NFC')
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Returns the upper-case letters above ASCII without diacritics, and their lower-case letters, of the scripts whose cases all supported versions of Node.js agree about. */
function caseOfLetters(): { readonly upper: string; readonly lower: string } {
  let upper = 'µſς';
  let lower = 'μsσ';
  for (let code = 0xc0; code <= 0x58f; code++) {
    const letter = String.fromCodePoint(code);
    const small = letter.toLowerCase();
    if (
      small !== letter &&
      small.length === 1 &&
      letter.normalize('NFD') === letter &&
      small.normalize('NFD') === small
    ) {
      upper += letter;
      lower += small;
    }
  }
  return { upper, lower };
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
      const words = [...wordsOf(chunk)].map(({ word }) => word);
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

/** Returns the part of a word that PostgreSQL's index has. */
export function cutWord(word: string): string {
  return word.length > MAX_WORD && lengthInCharacters(word) > MAX_WORD ? [...word].slice(0, MAX_WORD).join('') : word;
}
