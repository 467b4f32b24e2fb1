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
import type { Config } from '../config/config.ts';
import { ERROR_CATALOGUE } from '../errors.ts';

/** The maximum length of a name: a response repeats the name or alias of a field in each object, and in the path of each error. */
const MAX_NAME_LENGTH = 128;

/** The maximum number of `__schema` and `__type` fields in a document; tools use one. */
const MAX_INTROSPECTIONS = 2;

/** Returns the plugins that reject too large documents before their execution. The builder limits the complexity of operations. */
export function documentLimits(limits: Config['graphql']): Plugin[] {
  const onLimit = { onReject: [throwLimitExceeded] };
  return [
    maxTokensPlugin({ n: limits.tokenLimit, ...onLimit }),
    // GraphiQL's introspection query is deeper than the limit; graphql-js limits the depth of introspection itself.
    maxDepthPlugin({ n: limits.depthLimit, ignoreIntrospection: true, flattenFragments: true, ...onLimit }),
    maxAliasesPlugin({ n: limits.aliasLimit, ...onLimit }),
    maxDirectivesPlugin({ n: limits.directiveLimit, ...onLimit }),
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
 * Limits the introspection of a document to a few root fields, without aliases below them: with aliases a document could
 * select the whole schema many times. graphql-js limits the depth.
 */
function introspectionRule(context: ValidationContext) {
  let roots = 0;
  return {
    Field: ({ name, alias }: FieldNode): void => {
      roots += name.value === '__schema' || name.value === '__type' ? 1 : 0;
      if (roots > MAX_INTROSPECTIONS) {
        throwLimitExceeded(context, new Error(`Introspection limit of ${MAX_INTROSPECTIONS} fields exceeded.`));
      }
      if (alias && context.getParentType()?.name.startsWith('__')) {
        throwLimitExceeded(context, new Error('Fields of introspection must not have aliases.'));
      }
    },
  };
}

function nameLengthRule(context: ValidationContext) {
  return {
    Name: ({ value }: NameNode): void => {
      if (value.length > MAX_NAME_LENGTH) {
        throwLimitExceeded(context, new Error(`Name length limit of ${MAX_NAME_LENGTH} exceeded.`));
      }
    },
  };
}

/** Throws the `COMPLEXITY` error of a document that exceeds a limit. */
export function throwLimitExceeded(_context: unknown, { message }: Error): never {
  throw new GraphQLError(message, {
    extensions: { code: 'COMPLEXITY', http: { status: ERROR_CATALOGUE.COMPLEXITY.status, spec: true } },
  });
}
