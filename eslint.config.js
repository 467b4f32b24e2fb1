// The rules of GraphQL for schema.graphql and for the operations of the examples and the documentation. Biome checks everything else.
import graphql from '@graphql-eslint/eslint-plugin';
import { defineConfig } from 'eslint/config';

const { configs } = graphql;

/** Objects that no client fetches or caches by themselves, and so have no id: pages of lists, and parts of the results of mutations and subscriptions. */
const WITHOUT_ID = {
  types: [
    'AuthTokenKey',
    'ChatPresence',
    'ChatReactionGroup',
    'ChatReadMark',
    'ChatTyping',
    'ConnectionRenewal',
    'DeletedTodos',
    'FieldProblem',
    'InboxChatChange',
    'InboxMemberChange',
    'InboxReadChange',
    'PageInfo',
    'SearchResult',
    'TextPart',
    'TokenPair',
    'UpdatedTodos',
    'VerifiedToken',
  ],
  suffixes: ['Connection', 'Edge', 'Error'],
};

/** Lints the blocks of GraphQL in a Markdown file. Empty lines stand for the text before each block, so that errors have the lines of the file. */
const markdown = {
  preprocess: (text) =>
    [...text.matchAll(/(?<=^```graphql\n).*?(?=^```$)/gms)].map(({ 0: block, index }, number) => ({
      text: text.slice(0, index).replaceAll(/.+/g, '') + block,
      filename: `${number}.graphql`,
    })),
  postprocess: (messages) => messages.flat(),
};

/** Lints the documents of a TypeScript file alone: Biome checks its code. */
const documentsOnly = {
  ...graphql.processor,
  preprocess: (text, path) => graphql.processor.preprocess(text, path).filter((block) => typeof block !== 'string'),
};

const schema = 'schema.graphql';
/** An example app is one program: fragments are used across its files. */
const appProject = (app) => ({ schema, documents: `clients/examples/${app}/src/*.tsx` });
const graphQLConfig = {
  projects: {
    // The first one is that of all other files, too.
    examples: { schema, documents: 'examples/**/*.{js,graphql}' },
    apollo: appProject('apollo'),
    urql: appProject('urql'),
    relay: appProject('relay'),
  },
};

// biome-ignore lint/style/noDefaultExport: ESLint reads the default export.
export default defineConfig([
  { files: ['examples/**/*.js'], processor: graphql.processor },
  { files: ['*.md', 'docs/*.md'], processor: markdown },
  { files: ['clients/examples/*/src/*.tsx'], processor: documentsOnly },
  {
    files: ['**/*.graphql'],
    plugins: { '@graphql-eslint': graphql },
    languageOptions: {
      parser: graphql.parser,
      parserOptions: { graphQLConfig },
    },
  },
  {
    files: ['schema.graphql'],
    rules: {
      ...configs['flat/schema-all'].rules,
      ...configs['flat/schema-relay'].rules,
      // By default it looks at types and root fields only.
      '@graphql-eslint/require-description': [
        'error',
        {
          types: true,
          DirectiveDefinition: true,
          FieldDefinition: true,
          InputValueDefinition: true,
          EnumValueDefinition: true,
        },
      ],
      '@graphql-eslint/strict-id-in-types': ['error', { exceptions: WITHOUT_ID }],
      // It takes `User.username` for a `name` with a prefix, and a username is no name.
      '@graphql-eslint/no-typename-prefix': 'off',
      '@graphql-eslint/relay-edge-types': [
        'error',
        {
          // Sessions, API keys and audit entries are no nodes: clients read them in their lists alone.
          shouldImplementNode: false,
          // Bounded lists, like the members of a chat, are no connections; and connections have `nodes` beside `edges`.
          listTypeCanWrapOnlyEdgeType: false,
        },
      ],
      // graphql-js sorts the schema, and test/schema.test.ts compares: by code point, where this rule ignores upper and lower case.
      '@graphql-eslint/alphabetize': 'off',
      // Mutations name the object by `id` or `uri` and may have an `idempotencyKey`; `input` holds the fields of the object alone, as that of several mutations may.
      '@graphql-eslint/input-name': 'off',
      // It would forbid mutations and subscriptions.
      '@graphql-eslint/no-root-type': 'off',
      // Signing out, asking for a mail and the typing signal have no object to return.
      '@graphql-eslint/no-scalar-result-type-on-mutation': 'off',
      // A result is the changed object, which caches merge by its id; what else a page shows it learns by a subscription.
      '@graphql-eslint/require-field-of-type-query-in-mutation-result': 'off',
      // Outputs are non-null unless null has a meaning. Mutations return their expected errors, and lists are never null.
      '@graphql-eslint/require-nullable-result-in-root': 'off',
    },
  },
  {
    files: ['examples/**/*.graphql', '*.md/*.graphql', 'docs/**/*.graphql'],
    rules: {
      ...configs['flat/operations-recommended'].rules,
      // Examples and blocks are programs of their own, not parts of one.
      '@graphql-eslint/unique-operation-name': 'off',
      '@graphql-eslint/unique-fragment-name': 'off',
    },
  },
  { files: ['clients/examples/**/*.graphql'], rules: configs['flat/operations-recommended'].rules },
  {
    files: ['clients/examples/relay/**/*.graphql'],
    rules: {
      // The Relay compiler prescribes the names, and checks its directives and the variables that `@argumentDefinitions` declares.
      '@graphql-eslint/naming-convention': 'off',
      '@graphql-eslint/known-directives': 'off',
      '@graphql-eslint/no-undefined-variables': 'off',
    },
  },
]);
