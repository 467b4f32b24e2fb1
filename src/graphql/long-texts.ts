import { defaultFieldResolver, type GraphQLSchema, isObjectType } from 'graphql';
import type { Context } from '../context.ts';

/** The extensions of a field whose text counts toward the size limit of a response. The complexity limit bounds all other fields. */
export const LONG_TEXT = { isLongText: true } as const;

/** Wraps the resolvers of all fields that are marked with {@link LONG_TEXT}, so that each of their values is counted. */
export function countLongTexts(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap()).filter(isObjectType)) {
    for (const field of Object.values(type.getFields())) {
      if (field.extensions['isLongText'] === true) {
        const { resolve = defaultFieldResolver } = field;
        field.resolve = (source, args, context: Context, info) => {
          const text: unknown = resolve(source, args, context, info);
          if (typeof text === 'string') {
            context.answer.addText(text);
          }
          return text;
        };
      }
    }
  }
  return schema;
}
