import type { Builder } from '../graphql/builder.ts';
import { connectionComplexity, toConnection } from '../graphql/relay-connection.ts';
import type { TextPart } from '../search-index/excerpt.ts';
import { MAX_RANKED } from '../search-index/newest.ts';
import { MAX_SCOPES, type SearchedRow, type SearchSource } from '../search-index/source.ts';
import { MAX_QUERY, MAX_WORDS, modelOf, type SearchHit, search, snippetOf, titleOf } from './service.ts';

/** Returns the function that defines the search of these sources. */
export function defineSearch(sources: readonly SearchSource[]): (builder: Builder) => void {
  return (builder) => {
    const type = builder.enumType('SearchType', {
      description: 'The types of objects that `Query.search` searches.',
      values: Object.fromEntries(
        sources.map((source) => [
          screamingSnakeCase(source.model),
          {
            value: source.model as string,
            description: `\`${source.model}\` objects, by \`${[source.title, source.text].filter(Boolean).join('` and `')}\`.`,
          },
        ]),
      ),
    });
    const result = defineResult(builder, sources);
    builder.queryField('search', (t) =>
      t.connection(
        {
          type: result,
          description: `The objects that contain all words of a text and that the viewer may see, page by page: those with all words in their title first, then the newest first. Of each type it finds at most the ${MAX_RANKED} newest objects with all words in the title, and the ${MAX_RANKED} newest with all words anywhere; each twice, for those that the viewer owns and those that everybody sees. Messages are searched in the ${MAX_SCOPES} newest chats of the viewer. In a text, the first 100,000 characters are searched. An object can be found as soon as it is written; objects from before an upgrade of the server that introduced the search are added in the background. Each type counts as 2 of the lists that an operation may search (16 by default, \`COMPLEXITY\` beyond).`,
          complexity: connectionComplexity,
          args: {
            query: t.arg.string({
              required: true,
              description: `The words, at most ${MAX_QUERY} characters and ${MAX_WORDS} words. Upper and lower case are equal, and so are Latin letters with and without diacritics. The last word also finds longer words that begin with it, and words in double quotes only each other in this order; there is no other syntax, and punctuation separates words. In scripts without spaces, such as Chinese, a sequence of characters up to the next punctuation mark is one word, which is found by its beginning. \`VALIDATION\` without a letter or digit, and beyond these limits.`,
            }),
            types: t.arg({
              type: [type],
              description: 'Searches these types only; all types when left out.',
            }),
          },
          resolve: (_root, { query, types, ...page }, context) =>
            toConnection(
              search(context, query, types ? sources.filter(({ model }) => types.includes(model)) : sources, page),
            ),
        },
        {
          name: 'SearchConnection',
          description:
            'A page of the results of a search. `totalCount` is the number of all objects that it found, within its limits.',
        },
        { name: 'SearchEdge', description: 'A result of a search, with its cursor.' },
      ),
    );
  };
}

function defineResult(builder: Builder, sources: readonly SearchSource[]) {
  const found = builder.unionType('SearchedObject', {
    description: 'An object that a search found.',
    types: sources.map(({ model }) => model) as ['Todo'],
    resolveType: (row) => modelOf(row),
  });
  const part = builder.objectRef<TextPart>('TextPart').implement({
    description:
      'A piece of a text. The pieces of a text in order make up the text: show them as plain text, and emphasise those that match.',
    fields: (t) => ({
      text: t.exposeString('text', { description: 'The piece, as plain text without markup.' }),
      isMatch: t.exposeBoolean('isMatch', { description: 'Whether the piece is a word that the search found.' }),
    }),
  });
  const rank = builder.enumType('SearchRank', {
    description: 'Where the words of a search were found, which decides the order of the results.',
    values: {
      TITLE: { description: 'All words are in the title.' },
      TEXT: { description: 'At least one word is only in the text, or the object has no title.' },
    } as const,
  });
  return builder.objectRef<SearchHit>('SearchResult').implement({
    description: 'An object that a search found, and the places of the words in it.',
    fields: (t) => ({
      node: t.field({
        type: found,
        description: 'The object that was found, as the viewer may read it now.',
        resolve: ({ row }) => row as SearchedRow as never,
      }),
      rank: t.field({
        type: rank,
        description: 'Where the words were found.',
        resolve: ({ match }) => match.rank,
      }),
      title: t.field({
        type: [part],
        description:
          'The title of the object, up to 240 UTF-16 code units of it, in pieces; an empty list for an object without a title, such as a message.',
        resolve: titleOf,
      }),
      snippet: t.field({
        type: [part],
        description:
          'A part of the text of the object around the first match, at most 240 UTF-16 code units and an ellipsis at each end where text is left out, in pieces. Its beginning when no word is in its first 20,000 code units; an empty list when the text is empty.',
        resolve: snippetOf,
      }),
    }),
  });
}

function screamingSnakeCase(name: string): string {
  return name.replaceAll(/(?<=.)[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
