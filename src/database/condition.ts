import type { Prisma } from '../generated/client/client.ts';
import type { ModelName, RowOf } from './columns.ts';

/** How a column is compared. A string of `contains` is text, in which no character has a meaning of its own; it finds ASCII letters in either case. */
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
 * A condition on the columns of a row: all of its members hold. It is a subset of Prisma's filters of the model, so it serves writes as well, and it has one
 * meaning in SQL, in Prisma and for a row in memory ({@link matches}).
 */
export type RowCondition<Model extends ModelName> = Columns<Model> & {
  AND?: RowCondition<Model>[];
  OR?: RowCondition<Model>[];
  NOT?: RowCondition<Model>;
};

/** What decides which rows of a model a viewer sees, where the row itself tells. */
export type RowPolicy<Model extends ModelName> = RowCondition<Model>;

type Objects<Model extends ModelName> = Prisma.TypeMap['model'][Model]['payload']['objects'];

type Related<Payload> = Payload extends { name: infer Name extends ModelName }[]
  ? { some: Condition<Name> }
  : Payload extends { name: infer Name extends ModelName } | null
    ? Condition<Name>
    : never;

/** A condition on a row and on rows that it is related to. */
export type Condition<Model extends ModelName> = Columns<Model> & {
  [Field in keyof Objects<Model>]?: Related<Objects<Model>[Field]>;
} & {
  AND?: Condition<Model>[];
  OR?: Condition<Model>[];
  NOT?: Condition<Model>;
};

/** A condition of any model, for what interprets conditions. */
export type AnyCondition = Readonly<Record<string, unknown>>;

/** The parts of a condition, in order: what interprets one has to deal with each kind. */
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

/** Takes a condition apart. `isRelation` says which fields are relations. */
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

/** A condition as a choice: one of the alternatives holds, and the rest. */
export interface Choice {
  readonly alternatives: readonly AnyCondition[];
  readonly rest: readonly AnyCondition[];
}

/**
 * Takes an `OR` out of a condition of which each alternative demands equality or a related row: rows that an index finds. No index finds those of the whole
 * `OR` in an order.
 */
export function choiceOf(condition: AnyCondition, isRelation: (field: string) => boolean): Choice | null {
  const conjuncts = conjunctsOf(condition);
  const isFound = (alternative: AnyCondition): boolean =>
    partsOf(alternative, isRelation).every(
      (part) => part.kind === 'relation' || (part.kind === 'column' && part.operator === 'equals'),
    );
  const choice = conjuncts.find(({ OR: alternatives }) => {
    const all = (alternatives ?? []) as readonly AnyCondition[];
    return all.length > 0 && all.every(isFound);
  });
  return choice
    ? {
        alternatives: choice['OR'] as readonly AnyCondition[],
        rest: conjuncts.filter((conjunct) => conjunct !== choice),
      }
    : null;
}

/** The conditions, each of one member, that hold together when a condition does. */
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
    throw new Error(`There is no operator ${name}.`);
  }
  return name as Operator;
}

/** Whether a value stands in each relation to an operand; null is related to nothing but by `equals` and `not`, as in SQL. */
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

/** As both databases fold letters in columns of ours: those of ASCII only. */
export function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Whether a row fulfils a condition on its columns. */
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
      throw new Error(`A row alone does not tell whether its ${part.name} fulfil a condition.`);
  }
}
