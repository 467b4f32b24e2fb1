import type { Prisma } from '../generated/client/client.ts';
import type { ModelName, RowOf } from './columns.ts';

/** The comparisons of a column. `contains` searches a literal text without wildcards, and ignores the case of ASCII letters. */
export interface Comparison<Value> {
  equals?: Value;
  not?: Value;
  in?: NonNullable<Value>[];
  gt?: NonNullable<Value>;
  gte?: NonNullable<Value>;
  lt?: NonNullable<Value>;
  lte?: NonNullable<Value>;
  contains?: NonNullable<Value> & string;
}

export type Operator = keyof Comparison<unknown>;

type Value = string | number | bigint | boolean | Date | Uint8Array | null;

type Columns<Model extends ModelName> = {
  [Column in keyof RowOf<Model>]?: RowOf<Model>[Column] | Comparison<RowOf<Model>[Column]>;
};

/**
 * A condition on the columns of a row, which is the conjunction of its members. It is a subset of Prisma's filters for the model, so writes can use it as well,
 * and it has the same meaning in SQL, in Prisma and for a row in memory ({@link matches}).
 */
export type RowCondition<Model extends ModelName> = Columns<Model> & {
  AND?: RowCondition<Model>[];
  OR?: RowCondition<Model>[];
  NOT?: RowCondition<Model>;
};

/** The condition that decides which rows of a model a viewer sees, where the columns of the row are enough to decide. */
export type RowPolicy<Model extends ModelName> = RowCondition<Model>;

type Objects<Model extends ModelName> = Prisma.TypeMap['model'][Model]['payload']['objects'];

type Related<Payload> = Payload extends { name: infer Name extends ModelName }[]
  ? { some: Condition<Name> }
  : Payload extends { name: infer Name extends ModelName } | null
    ? Condition<Name>
    : never;

/** A condition on a row and on its related rows. */
export type Condition<Model extends ModelName> = Columns<Model> & {
  [Field in keyof Objects<Model>]?: Related<Objects<Model>[Field]>;
} & {
  AND?: Condition<Model>[];
  OR?: Condition<Model>[];
  NOT?: Condition<Model>;
};

/** A condition of any model, for the functions that interpret conditions. */
export type AnyCondition = Readonly<Record<string, unknown>>;

/** The parts of a condition; a function that interprets conditions has to handle each kind. */
export type Part =
  | { readonly kind: 'AND' | 'OR'; readonly parts: readonly AnyCondition[] }
  | { readonly kind: 'NOT'; readonly part: AnyCondition }
  | { readonly kind: 'column'; readonly name: string; readonly operator: Operator; readonly operand: unknown }
  | { readonly kind: 'relation'; readonly name: string; readonly condition: AnyCondition };

const OPERATORS: Readonly<Record<Operator, true>> = {
  equals: true,
  not: true,
  in: true,
  gt: true,
  gte: true,
  lt: true,
  lte: true,
  contains: true,
};

/** Returns the parts of a condition in order. `isRelation` decides which fields are relations. */
export function partsOf(condition: AnyCondition, isRelation: (field: string) => boolean): Part[] {
  const parts: Part[] = [];
  for (const [name, value] of Object.entries(condition)) {
    if (value === undefined) {
      continue;
    }
    if (name === 'AND' || name === 'OR') {
      parts.push({ kind: name, parts: value as readonly AnyCondition[] });
    } else if (name === 'NOT') {
      parts.push({ kind: 'NOT', part: value as AnyCondition });
    } else if (isRelation(name)) {
      const related = value as { readonly some?: AnyCondition } & AnyCondition;
      parts.push({ kind: 'relation', name, condition: related.some ?? related });
    } else if (isComparison(value)) {
      for (const [operator, operand] of Object.entries(value)) {
        if (operand !== undefined) {
          parts.push({ kind: 'column', name, operator: operatorOf(operator), operand });
        }
      }
    } else {
      parts.push({ kind: 'column', name, operator: 'equals', operand: value });
    }
  }
  return parts;
}

/** A condition in the form of a disjunction: one of the alternatives and all of the rest must be true. */
export interface Disjunction {
  readonly alternatives: readonly AnyCondition[];
  readonly rest: readonly AnyCondition[];
}

/**
 * Returns the `OR` of a condition, if each of its alternatives requires equality or a related row, and so can use an index; null without such an `OR`. A query
 * for the whole `OR` in an order cannot use an index.
 */
export function findIndexedDisjunction(
  condition: AnyCondition,
  isRelation: (field: string) => boolean,
): Disjunction | null {
  const conjuncts = conjunctsOf(condition);
  const isIndexed = (alternative: AnyCondition): boolean =>
    partsOf(alternative, isRelation).every(
      (part) => part.kind === 'relation' || (part.kind === 'column' && part.operator === 'equals'),
    );
  const disjunction = conjuncts.find(({ OR: alternatives }) => {
    const all = (alternatives ?? []) as readonly AnyCondition[];
    return all.length > 0 && all.every(isIndexed);
  });
  return disjunction
    ? {
        alternatives: disjunction['OR'] as readonly AnyCondition[],
        rest: conjuncts.filter((conjunct) => conjunct !== disjunction),
      }
    : null;
}

/** Returns the conditions of one member each whose conjunction is the given condition. */
function conjunctsOf(condition: AnyCondition): AnyCondition[] {
  return Object.entries(condition).flatMap(([name, value]) =>
    name === 'AND' ? (value as readonly AnyCondition[]).flatMap(conjunctsOf) : [{ [name]: value }],
  );
}

function isComparison(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !(value instanceof Date) && !(value instanceof Uint8Array);
}

function operatorOf(name: string): Operator {
  if (!Object.hasOwn(OPERATORS, name)) {
    throw new Error(`There is no operator ${name}; the operators are ${Object.keys(OPERATORS).join(', ')}.`);
  }
  return name as Operator;
}

/** Returns whether a comparison is true; as in SQL, null compares by `equals` and `not` only. */
const COMPARE: Readonly<Record<Operator, (value: Value, operand: unknown) => boolean>> = {
  equals: (value, operand) => isEqual(value, operand),
  not: (value, operand) => (operand === null ? value !== null : value !== null && !isEqual(value, operand)),
  in: (value, operand) => (operand as readonly unknown[]).some((each) => isEqual(value, each)),
  gt: (value, operand) => value !== null && value > (operand as NonNullable<Value>),
  gte: (value, operand) => value !== null && value >= (operand as NonNullable<Value>),
  lt: (value, operand) => value !== null && value < (operand as NonNullable<Value>),
  lte: (value, operand) => value !== null && value <= (operand as NonNullable<Value>),
  contains: (value, operand) =>
    typeof value === 'string' && asciiLowerCase(value).includes(asciiLowerCase(String(operand))),
};

function isEqual(value: Value, operand: unknown): boolean {
  return value instanceof Date && operand instanceof Date ? value.getTime() === operand.getTime() : value === operand;
}

/** Returns the text with ASCII letters in lower case, as both databases fold the case of the columns. */
export function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Returns whether a row fulfils a condition on its columns. */
export function matches<Model extends ModelName>(
  condition: RowCondition<Model>,
  row: Readonly<Partial<RowOf<Model>>>,
): boolean {
  return rowMatches(condition as AnyCondition, row as Readonly<Record<string, unknown>>);
}

function rowMatches(condition: AnyCondition, row: Readonly<Record<string, unknown>>): boolean {
  return partsOf(condition, () => false).every((part) => partMatches(part, row));
}

function partMatches(part: Part, row: Readonly<Record<string, unknown>>): boolean {
  switch (part.kind) {
    case 'AND':
      return part.parts.every((each) => rowMatches(each, row));
    case 'OR':
      return part.parts.some((each) => rowMatches(each, row));
    case 'NOT':
      return !rowMatches(part.part, row);
    case 'column':
      return COMPARE[part.operator]((row[part.name] ?? null) as Value, part.operand);
    case 'relation':
      throw new Error(`A condition on the related ${part.name} cannot be evaluated for a row in memory.`);
  }
}
