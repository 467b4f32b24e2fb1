import { readFileSync } from 'node:fs';
import {
  buildSchema as buildFromText,
  type GraphQLSchema,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedDirective,
  isSpecifiedScalarType,
  lexicographicSortSchema,
  printSchema,
} from 'graphql';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../src/config/config.ts';
import { buildSchema } from '../src/schema.ts';

const schema = buildSchema(parseConfig({}).graphql);

interface Described {
  readonly description?: string | null | undefined;
}

/** All elements of a schema with a description, by their coordinates, like `Query.todo(id:)`. */
function* elementsOf(schema: GraphQLSchema): Generator<[coordinate: string, element: Described]> {
  for (const type of Object.values(schema.getTypeMap())) {
    if (isIntrospectionType(type) || isSpecifiedScalarType(type)) {
      continue;
    }
    yield [type.name, type];
    if (isObjectType(type) || isInterfaceType(type)) {
      for (const field of Object.values(type.getFields())) {
        yield [`${type.name}.${field.name}`, field];
        for (const argument of field.args) {
          yield [`${type.name}.${field.name}(${argument.name}:)`, argument];
        }
      }
    }
    if (isInputObjectType(type)) {
      for (const field of Object.values(type.getFields())) {
        yield [`${type.name}.${field.name}`, field];
      }
    }
    if (isEnumType(type)) {
      for (const value of type.getValues()) {
        yield [`${type.name}.${value.name}`, value];
      }
    }
  }
  for (const directive of schema.getDirectives().filter((directive) => !isSpecifiedDirective(directive))) {
    yield [`@${directive.name}`, directive];
    for (const argument of directive.args) {
      yield [`@${directive.name}(${argument.name}:)`, argument];
    }
  }
}

/** Fewer words say no more than the name of the element does. */
const MIN_WORDS = 4;

/** What is wrong with a description that stands alone in an editor, or null. */
function problemOf(description: string | null | undefined): string | null {
  const text = description?.trim() ?? '';
  if (text === '') {
    return 'has no description';
  }
  if (text.split(/\s+/).length < MIN_WORDS) {
    return `has fewer than ${MIN_WORDS} words`;
  }
  if (!/^[\p{Lu}\d`]/u.test(text)) {
    return 'does not begin with a capital, a number or a name';
  }
  if (!/[.`]$/.test(text)) {
    return 'does not end as a sentence';
  }
  if (text.split('`').length % 2 === 0) {
    return 'has an open backtick';
  }
  return /^(Which|What|Whose|Who|It|They|Its|Their|Only what)\b/.test(text) ? 'does not name its subject' : null;
}

/** The elements whose description is missing or says nothing, each with the reason. */
function badDescriptions(schema: GraphQLSchema): string[] {
  return [...elementsOf(schema)].flatMap(([coordinate, { description }]) => {
    const problem = problemOf(description);
    return problem === null ? [] : [`${coordinate} ${problem}`];
  });
}

describe('schema.graphql', () => {
  it('should be what the code builds: `npm run schema` writes it anew', () => {
    const written = readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8');
    expect(written).toBe(`${printSchema(schema)}\n`);
  });

  it('should be sorted', () => {
    expect(printSchema(schema)).toBe(printSchema(lexicographicSortSchema(schema)));
  });

  it('should describe every element in words that stand by themselves', () => {
    expect(badDescriptions(schema)).toEqual([]);
  });
});

describe('the search for bad descriptions', () => {
  const good = '"A sentence that says enough."';

  it('should find every kind of element without one', () => {
    const bare = buildFromText(`
      ${good} type Query { field(argument: Int): Kind }
      ${good} enum Kind { ONE }
      ${good} input Values { ${good} good: Int bad: Int }
      ${good} interface Named { name: String }
      type Undescribed { ${good} field: Int }
      union Either = Query | Undescribed
      scalar Bare
      directive @marked(argument: Int) on FIELD
    `);
    expect(badDescriptions(bare).sort()).toEqual(
      [
        '@marked',
        '@marked(argument:)',
        'Bare',
        'Either',
        'Kind.ONE',
        'Named.name',
        'Query.field',
        'Query.field(argument:)',
        'Undescribed',
        'Values.bad',
      ].map((coordinate) => `${coordinate} has no description`),
    );
  });

  it.each([
    ['', 'has no description'],
    ['The title.', 'has fewer than 4 words'],
    ['the id of the todo.', 'does not begin with a capital, a number or a name'],
    ['One of the following values:', 'does not end as a sentence'],
    ['The `id of the todo.', 'has an open backtick'],
    ['Which one of them it is.', 'does not name its subject'],
    ['What came of it: the object or the error.', 'does not name its subject'],
  ])('should find that %j %s', (description, problem) => {
    expect(problemOf(description)).toBe(problem);
  });

  it.each(['1 to 50 characters, without line breaks.', 'The `id` of the todo.', 'When the todo was created.'])(
    'should find nothing wrong with %j',
    (description) => {
      expect(problemOf(description)).toBeNull();
    },
  );
});
