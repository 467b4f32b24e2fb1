import { type DocumentNode, Location, type ParseOptions, Source, Token, TokenKind } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { throwLimitExceeded } from './limits.ts';

/** The size up to which the errors of a document have locations. */
const MAX_LOCATED_CHARACTERS = 20_000;
const MAX_LOCATED_LINES = 500;
/** The maximum number of lines of a document: five times the default limit of tokens. */
const MAX_LINES = 10_000;

/**
 * Has Yoga parse long documents without locations. For each error graphql-js counts all lines up to its field, and a field
 * can fail for every object of a list: with the longest documents that takes a minute.
 */
export function useBoundedLocations(): Plugin {
  return {
    onParse: ({ params: { source }, parseFn, setParseFn }) => {
      const text = String(source);
      const lines = countLines(text);
      if (lines > MAX_LINES) {
        throwLimitExceeded(null, new Error(`Line limit of ${MAX_LINES} exceeded.`));
      }
      if (text.length > MAX_LOCATED_CHARACTERS || lines > MAX_LOCATED_LINES) {
        setParseFn((body: string | Source, options?: ParseOptions) =>
          withText(parseFn(body, { ...options, noLocation: true }) as DocumentNode, text),
        );
      }
    },
  };
}

/** Returns the number of lines of a text, but at most one more than {@link MAX_LINES}. */
function countLines(text: string): number {
  const breaks = text.matchAll(/\r\n|[\n\r]/g);
  let lines = 1;
  while (lines <= MAX_LINES && !breaks.next().done) {
    lines += 1;
  }
  return lines;
}

/** Returns the document with its text, which is part of the key of shared subscription results. */
function withText(document: DocumentNode, text: string): DocumentNode {
  const start = new Token(TokenKind.SOF, 0, 0, 0, 0);
  const end = new Token(TokenKind.EOF, text.length, text.length, 0, 0);
  return { ...document, loc: new Location(start, end, new Source(text)) };
}
