import { type Expression, type RawBuilder, type SqlBool, sql } from 'kysely';
import { type ColumnKind, columnsOf, relationOfField } from './columns.ts';
import { comparable } from './comparable.ts';
import {
  type AnyCondition,
  asciiLowerCase,
  type Disjunction,
  findIndexedDisjunction,
  type Operator,
  type Part,
  partsOf,
} from './condition.ts';

/** The differences between the databases in SQL and in the values of parameters. */
export interface SqlDialect {
  /** Returns a value in the form that the driver accepts. */
  readonly encode: (value: unknown) => unknown;
  /** Returns a parameter that is cast to the type of a column kind, for a place where the database cannot infer the type. */
  readonly typed: (value: unknown, kind: ColumnKind) => RawBuilder<unknown>;
  /** Whether a select can lock its rows against deletion until the end of the transaction. */
  readonly locksRows: boolean;
  /** Returns a list of values as one parameter, so that the SQL does not depend on its length. */
  readonly encodeList: (values: readonly unknown[]) => unknown;
  /** Returns the condition that a column has one of the values of such a parameter. */
  readonly isIn: (column: Expression<unknown>, list: unknown) => Expression<SqlBool>;
  /** Returns the condition that a column has one of the values of a subquery with a limit, in the form for which the database looks up each value in the index of the column. */
  readonly isAmong: (column: Expression<unknown>, subquery: Expression<unknown>) => Expression<SqlBool>;
  /** Returns such a parameter as a table with the columns `value` and `place`. */
  readonly listed: (list: unknown) => Expression<unknown>;
  /** Returns the texts joined in the order of their positions, with a separator; null for no rows. */
  readonly concatenated: (
    text: Expression<unknown>,
    separator: Expression<unknown>,
    place: Expression<unknown>,
  ) => Expression<unknown>;
  /** Returns the values of a column as a list in the order of the rows: an array, or its JSON; null for no rows. */
  readonly collected: (column: Expression<unknown>) => Expression<unknown>;
  /**
   * Returns the JSON of a column; null for a value of a type that the column cannot have. Times are ISO 8601 in UTC without quotes, with a fraction of six
   * digits, which is left out when it is zero.
   */
  readonly json: Readonly<Record<'text' | 'integer' | 'time', (column: Expression<unknown>) => Expression<unknown>>>;
}

/** The escape character of `LIKE` patterns, which hardly ever occurs in texts. */
const ESCAPE = '\u0001';
const SPECIAL = new RegExp(`[%_${ESCAPE}]`, 'g');

const SYMBOLS = { equals: '=', not: '<>', gt: '>', gte: '>=', lt: '<', lte: '<=' } as const satisfies Partial<
  Record<Operator, string>
>;

/** A condition on the rows of a model, translated to SQL. */
export interface ConditionSql {
  /** Conditions with equal shapes differ in their values only, and have the same SQL. */
  readonly shape: string;
  /** The values in the order of the SQL parameters. */
  readonly values: readonly unknown[];
  /** Returns the SQL. */
  readonly build: () => Expression<SqlBool>;
}

/** Translates a condition. The shape and the values are computed here; the SQL only when `build` is called for a new shape. */
export function conditionSql(
  dialect: SqlDialect,
  model: string,
  condition: AnyCondition,
  alias: string = model,
): ConditionSql {
  const values: unknown[] = [];
  const shape = shapeOf(dialect, model, condition, values);
  return { shape, values, build: () => expressionOf(dialect, model, condition, alias, 0) };
}

/** {@link findIndexedDisjunction} for the condition of a model. */
export function findIndexedDisjunctionOf(model: string, condition: AnyCondition): Disjunction | null {
  return findIndexedDisjunction(condition, (field) => relationOfField(model, field) !== undefined);
}

function partsOfModel(model: string, condition: AnyCondition): Part[] {
  return partsOf(condition, (field) => relationOfField(model, field) !== undefined);
}

function shapeOf(dialect: SqlDialect, model: string, condition: AnyCondition, values: unknown[]): string {
  return partsOfModel(model, condition)
    .map((part) => partShape(dialect, model, part, values))
    .join('&');
}

function partShape(dialect: SqlDialect, model: string, part: Part, values: unknown[]): string {
  switch (part.kind) {
    case 'AND':
    case 'OR':
      return `${part.kind}(${part.parts.map((each) => shapeOf(dialect, model, each, values)).join()})`;
    case 'NOT':
      return `NOT(${shapeOf(dialect, model, part.part, values)})`;
    case 'relation': {
      const { model: other } = relationOf(model, part.name);
      return `${part.name}(${shapeOf(dialect, other, part.condition, values)})`;
    }
    case 'column':
      return `${part.name} ${columnShape(dialect, part.operator, part.operand, values)}`;
  }
}

function columnShape(dialect: SqlDialect, operator: Operator, operand: unknown, values: unknown[]): string {
  if (operator === 'in') {
    const list = operand as readonly unknown[];
    if (list.length === 1) {
      values.push(encoded(dialect, list[0]));
      return 'equals';
    }
    if (list.length === 0) {
      return 'never';
    }
    values.push(listOf(dialect, list));
    return 'in';
  }
  if (operand === null) {
    return `${operator} null`;
  }
  values.push(operator === 'contains' ? patternOf(dialect, operand) : encoded(dialect, operand));
  return operator;
}

function expressionOf(
  dialect: SqlDialect,
  model: string,
  condition: AnyCondition,
  alias: string,
  depth: number,
): Expression<SqlBool> {
  const parts = partsOfModel(model, condition);
  return joined(
    parts.map((part) => partExpression(dialect, model, part, alias, depth)),
    'AND',
  );
}

function partExpression(
  dialect: SqlDialect,
  model: string,
  part: Part,
  alias: string,
  depth: number,
): Expression<SqlBool> {
  switch (part.kind) {
    case 'AND':
    case 'OR':
      return joined(
        part.parts.map((each) => expressionOf(dialect, model, each, alias, depth)),
        part.kind,
      );
    case 'NOT':
      return sql<SqlBool>`not ${expressionOf(dialect, model, part.part, alias, depth)}`;
    case 'relation':
      return related(dialect, model, part.name, part.condition, alias, depth);
    case 'column':
      return comparison(dialect, model, part, alias);
  }
}

function joined(parts: readonly Expression<SqlBool>[], word: 'AND' | 'OR'): Expression<SqlBool> {
  if (parts.length === 0) {
    return sql<SqlBool>`${sql.raw(word === 'AND' ? '1 = 1' : '1 = 0')}`;
  }
  return sql<SqlBool>`(${sql.join(parts, sql.raw(word === 'AND' ? ' and ' : ' or '))})`;
}

function related(
  dialect: SqlDialect,
  model: string,
  field: string,
  condition: AnyCondition,
  alias: string,
  depth: number,
): Expression<SqlBool> {
  const { model: other, column, otherColumn } = relationOf(model, field);
  const inner = `${field}${depth}`;
  const where = expressionOf(dialect, other, condition, inner, depth + 1);
  return sql<SqlBool>`${sql.ref(`${alias}.${column}`)} in (select ${sql.ref(`${inner}.${otherColumn}`)} from ${sql.table(other)} as ${sql.table(inner)} where ${where})`;
}

function comparison(
  dialect: SqlDialect,
  model: string,
  { name, operator, operand }: Extract<Part, { kind: 'column' }>,
  alias: string,
): Expression<SqlBool> {
  if (!columnsOf(model).has(name)) {
    throw new Error(`${model} has no column ${name}.`);
  }
  const column = sql.ref(`${alias}.${name}`);
  switch (operator) {
    case 'in': {
      const list = operand as readonly unknown[];
      if (list.length === 0) {
        return sql<SqlBool>`1 = 0`;
      }
      return list.length === 1
        ? sql<SqlBool>`${column} = ${encoded(dialect, list[0])}`
        : dialect.isIn(column, listOf(dialect, list));
    }
    case 'contains':
      return sql<SqlBool>`lower(${column}) like ${patternOf(dialect, operand)} escape ${sql.lit(ESCAPE)}`;
    case 'equals':
    case 'not':
      if (operand === null) {
        return sql<SqlBool>`${column} is ${sql.raw(operator === 'not' ? 'not null' : 'null')}`;
      }
      return compared(column, SYMBOLS[operator], encoded(dialect, operand));
    case 'gt':
    case 'gte':
    case 'lt':
    case 'lte':
      return compared(column, SYMBOLS[operator], encoded(dialect, operand));
  }
}

function compared(column: Expression<unknown>, symbol: string, value: unknown): Expression<SqlBool> {
  return sql<SqlBool>`${column} ${sql.raw(symbol)} ${value}`;
}

function encoded({ encode }: SqlDialect, value: unknown): unknown {
  return encode(comparable(value));
}

function listOf(dialect: SqlDialect, list: readonly unknown[]): unknown {
  return dialect.encodeList(list.map((value) => encoded(dialect, value)));
}

function patternOf(dialect: SqlDialect, text: unknown): unknown {
  const literal = asciiLowerCase(String(text)).replaceAll(SPECIAL, (character) => ESCAPE + character);
  return encoded(dialect, `%${literal}%`);
}

function relationOf(model: string, field: string) {
  const relation = relationOfField(model, field);
  if (!relation) {
    throw new Error(`${model} has no relation ${field}.`);
  }
  return relation;
}
