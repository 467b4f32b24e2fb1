import { type CompiledQuery, type Expression, type RawBuilder, sql } from 'kysely';
import { columnsOf, relationOfField } from './columns.ts';
import type { AnyCondition } from './condition.ts';
import { conditionSql, type SqlDialect } from './condition-sql.ts';
import type { Builder, Statement } from './select-sql.ts';

/** The members of a JSON object: each is a column, or the object of a row to which this row refers. */
export interface JsonShape {
  readonly [member: string]: string | { readonly relation: string; readonly shape: JsonShape };
}

/** The white space of JSON: the text before each object, and the additional indentation of its members; both are empty for compact JSON. */
export interface JsonLayout {
  readonly lineBreak: string;
  readonly indent: string;
}

/** Returns the SQL of the number of bytes of a row's texts. */
export function bytesOfTexts(model: string): RawBuilder<number> {
  const texts = [...columnsOf(model)].flatMap(([name, kind]) =>
    kind === 'String' ? [sql`coalesce(octet_length(${sql.ref(name)}), 0)`] : [],
  );
  return texts.length === 0 ? sql<number>`0` : sql<number>`${sql.join(texts, sql` + `)}`;
}

export interface JsonQuery {
  readonly model: string;
  readonly shape: JsonShape;
  readonly layout: JsonLayout;
  readonly where: AnyCondition;
}

/** Returns the statement that reads rows in the order of their ids as one `text` of JSON, with their number (`count`) and the number of them that could be encoded (`readable`). */
export function jsonTextSql(
  { dialect, builder }: { readonly dialect: SqlDialect; readonly builder: Builder },
  { model, shape, layout, where }: JsonQuery,
  ids: readonly number[],
): Statement<CompiledQuery> {
  const list = dialect.encodeList(ids);
  const condition = conditionSql(dialect, model, where, 'row');
  return {
    shape: JSON.stringify([model, shape, layout, condition.shape]),
    values: [list, ...condition.values],
    build: () => {
      const joins: RawBuilder<unknown>[] = [];
      const text = objectSql(dialect, { model, alias: 'row', joins }, shape, layout);
      const whole = dialect.concatenated(sql.ref('text'), sql.lit(`,${layout.lineBreak}`), sql.ref('place'));
      return sql`select count(*) as "count", count("text") as "readable", ${whole} as "text" from (
          select ${text} as "text", "each"."place" from ${dialect.listed(list)} as "each"
          cross join ${sql.table(model)} as "row" ${sql.join(joins, sql` `)} where "row"."id" = "each"."value" and ${condition.build()}
        ) as "rows"`.compile(builder);
    },
  };
}

interface JsonSource {
  readonly model: string;
  readonly alias: string;
  /** The joins that the expression needs; it adds its own. */
  readonly joins: RawBuilder<unknown>[];
}

function objectSql(
  dialect: SqlDialect,
  source: JsonSource,
  shape: JsonShape,
  { lineBreak, indent }: JsonLayout,
): Expression<unknown> {
  const inner = { lineBreak: lineBreak && lineBreak + indent, indent };
  const members = Object.entries(shape).map(([name, of], index) => {
    const before = `${index === 0 ? '{' : ','}${inner.lineBreak}${JSON.stringify(name)}:${indent && ' '}`;
    const value =
      typeof of === 'string'
        ? columnSql(dialect, source, of)
        : relatedSql(dialect, source, of.relation, of.shape, inner);
    return sql`${sql.lit(before)} || ${value}`;
  });
  return sql`${sql.join(members, sql` || `)} || ${sql.lit(`${lineBreak}}`)}`;
}

function columnSql({ json }: SqlDialect, { model, alias }: JsonSource, name: string): Expression<unknown> {
  const kind = columnsOf(model).get(name);
  const column = sql.ref(`${alias}.${name}`);
  switch (kind) {
    case 'String':
      return json.text(column);
    case 'Int':
      return json.integer(column);
    case 'DateTime':
      return sql`'"' || ${json.time(column)} || '"'`;
    default:
      throw new Error(
        `The column ${name} of ${model} has a type without a JSON encoding; select String, Int and DateTime columns only.`,
      );
  }
}

function relatedSql(
  dialect: SqlDialect,
  { model, alias, joins }: JsonSource,
  name: string,
  shape: JsonShape,
  layout: JsonLayout,
): Expression<unknown> {
  const relation = relationOfField(model, name);
  if (!relation) {
    throw new Error(`${model} has no relation ${name}.`);
  }
  const inner = `${alias}_${name}`;
  joins.push(
    sql`join ${sql.table(relation.model)} as ${sql.table(inner)} on ${sql.ref(`${inner}.${relation.otherColumn}`)} = ${sql.ref(`${alias}.${relation.column}`)}`,
  );
  return objectSql(dialect, { model: relation.model, alias: inner, joins }, shape, layout);
}
