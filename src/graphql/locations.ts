import { type DocumentNode, Location, type ParseOptions, Source, Token, TokenKind } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { refuse } from './limits.ts';

/** Errors of documents with more characters or lines do not say where they are. */
const MAX_LOCATED_CHARACTERS = 20_000;
const MAX_LOCATED_LINES = 500;
/** Documents with more lines are refused: the default limit on tokens fills a fifth of them with one token each. */
const MAX_LINES = 10_000;

/**
 * Has long documents parsed without locations. graphql-js counts all lines up to a field for each error of it, and a field may fail once for each row: with the
 * longest documents that takes a minute.
 */
export function useBoundedLocations(): Plugin {
  return {
    onParse: ({ params: { source }, parseFn, setParseFn }) => {
      const text = String(source);
      const lines = countLines(text);
      if (lines > MAX_LINES) {
        refuse(null, new Error(`Line limit of ${MAX_LINES} exceeded.`));
      }
      if (text.length > MAX_LOCATED_CHARACTERS || lines > MAX_LOCATED_LINES) {
        setParseFn((body: string | Source, options?: ParseOptions) =>
          withText(parseFn(body, { ...options, noLocation: true }) as DocumentNode, text),
        );
      }
    },
  };
}

/** The number of lines of a text, up to one more than {@link MAX_LINES}. */
function countLines(text: string): number {
  const breaks = text.matchAll(/\r\n|[\n\r]/g);
  let lines = 1;
  while (lines <= MAX_LINES && !breaks.next().done) {
    lines += 1;
  }
  return lines;
}

/** The document still has its text, by which subscriptions are told apart. */
function withText(document: DocumentNode, text: string): DocumentNode {
  const start = new Token(TokenKind.SOF, 0, 0, 0, 0);
  const end = new Token(TokenKind.EOF, text.length, text.length, 0, 0);
  return { ...document, loc: new Location(start, end, new Source(text)) };
}
