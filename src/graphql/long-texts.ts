import { defaultFieldResolver, type GraphQLSchema, isObjectType } from 'graphql';
import type { Context } from '../context.ts';

/** The extensions of a field whose text may be so long that the answer's limit has to count it. All others are bounded by what an operation may cost. */
export const LONG_TEXT = { isLongText: true } as const;

/** Has each value of a field that is marked with {@link LONG_TEXT} counted, as often as an answer has it. */
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
