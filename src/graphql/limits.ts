import { maxAliasesPlugin } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthPlugin } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesPlugin } from '@escape.tech/graphql-armor-max-directives';
import { maxTokensPlugin } from '@escape.tech/graphql-armor-max-tokens';
import {
  type FieldNode,
  GraphQLError,
  type NameNode,
  NoSchemaIntrospectionCustomRule,
  type ValidationContext,
} from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Config } from '../config.ts';
import { ERROR_CATALOGUE } from '../errors.ts';

/** How long a name may be: an answer has the name or alias of a field in each row, and the path of each error has it. */
const MAX_NAME_LENGTH = 128;

/** How many times a document may ask for `__schema` and `__type`: tools ask once. */
const MAX_INTROSPECTIONS = 2;

/**
 * Refuses documents that are out of all proportion before anything of them runs. What a sound document may cost is the
 * builder's affair: see its complexity limit.
 */
export function documentLimits(limits: Config['graphql']): Plugin[] {
  const refusal = { onReject: [refuse] };
  return [
    maxTokensPlugin({ n: limits.tokenLimit, ...refusal }),
    // GraphiQL's introspection is deeper than any query needs to be; graphql-js bounds introspection by itself.
    maxDepthPlugin({ n: limits.depthLimit, ignoreIntrospection: true, flattenFragments: true, ...refusal }),
    maxAliasesPlugin({ n: limits.aliasLimit, ...refusal }),
    maxDirectivesPlugin({ n: limits.directiveLimit, ...refusal }),
    {
      onValidate: ({ addValidationRule }) => {
        addValidationRule(nameLengthRule);
        addValidationRule(introspectionRule);
        if (!limits.introspection) {
          addValidationRule(NoSchemaIntrospectionCustomRule);
        }
      },
    },
  ];
}

/**
 * Bounds what a document reads of the schema: a few root fields without aliases below them, by which the whole schema could be asked for again and again. Its depth
 * is bounded by graphql-js.
 */
function introspectionRule(context: ValidationContext) {
  let roots = 0;
  return {
    Field: ({ name, alias }: FieldNode): void => {
      roots += name.value === '__schema' || name.value === '__type' ? 1 : 0;
      if (roots > MAX_INTROSPECTIONS) {
        refuse(context, new Error(`Introspection limit of ${MAX_INTROSPECTIONS} fields exceeded.`));
      }
      if (alias && context.getParentType()?.name.startsWith('__')) {
        refuse(context, new Error('Fields of the schema may have no aliases.'));
      }
    },
  };
}

function nameLengthRule(context: ValidationContext) {
  return {
    Name: ({ value }: NameNode): void => {
      if (value.length > MAX_NAME_LENGTH) {
        refuse(context, new Error(`Name length limit of ${MAX_NAME_LENGTH} exceeded.`));
      }
    },
  };
}

/** Throws the `COMPLEXITY` that a limit on documents refuses with. */
export function refuse(_context: unknown, { message }: Error): never {
  throw new GraphQLError(message, {
    extensions: { code: 'COMPLEXITY', http: { status: ERROR_CATALOGUE.COMPLEXITY.status, spec: true } },
  });
}
