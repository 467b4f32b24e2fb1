import { readFileSync } from 'node:fs';
import {
  buildSchema as buildFromText,
  type GraphQLSchema,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
  lexicographicSortSchema,
  printSchema,
} from 'graphql';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../src/config.ts';
import { buildSchema } from '../src/schema.ts';

const schema = buildSchema(parseConfig({}).graphql);

/** The coordinates of all elements without a description, like `Query.todo(id:)`. */
function undescribed(schema: GraphQLSchema): string[] {
  const missing: string[] = [];
  const look = (coordinate: string, { description }: { description?: string | null | undefined }): void => {
    if (!description?.trim()) {
      missing.push(coordinate);
    }
  };
  for (const type of Object.values(schema.getTypeMap())) {
    if (isIntrospectionType(type) || isSpecifiedScalarType(type)) {
      continue;
    }
    look(type.name, type);
    if (isObjectType(type) || isInterfaceType(type)) {
      for (const field of Object.values(type.getFields())) {
        look(`${type.name}.${field.name}`, field);
        for (const argument of field.args) {
          look(`${type.name}.${field.name}(${argument.name}:)`, argument);
        }
      }
    }
    if (isInputObjectType(type)) {
      for (const field of Object.values(type.getFields())) {
        look(`${type.name}.${field.name}`, field);
      }
    }
    if (isEnumType(type)) {
      for (const value of type.getValues()) {
        look(`${type.name}.${value.name}`, value);
      }
    }
  }
  return missing;
}

describe('schema.graphql', () => {
  it('should be what the code builds: `npm run schema` writes it anew', () => {
    const written = readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8');
    expect(written).toBe(`${printSchema(schema)}\n`);
  });

  it('should be sorted', () => {
    expect(printSchema(schema)).toBe(printSchema(lexicographicSortSchema(schema)));
  });

  it('should describe every element', () => {
    expect(undescribed(schema)).toEqual([]);
  });
});

describe('the search for elements without a description', () => {
  it('should find every kind of them', () => {
    const bare = buildFromText(`
      "Described." type Query { field(argument: Int): Kind }
      "Described." enum Kind { ONE }
      "Described." input Values { "Described." good: Int bad: Int }
      type Undescribed { "Described." field: Int }
    `);
    expect(undescribed(bare).sort()).toEqual([
      'Kind.ONE',
      'Query.field',
      'Query.field(argument:)',
      'Undescribed',
      'Values.bad',
    ]);
  });
});
