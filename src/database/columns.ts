import type { Prisma } from '../generated/client/client.ts';
import { getDatamodel } from '../generated/pothos.ts';

const MAX_INT = 2 ** 31 - 1;
const MIN_INT = -(2 ** 31);

export type ModelName = Prisma.ModelName;

/** A row of a model, with its own columns only. */
export type RowOf<Model extends ModelName> = Prisma.TypeMap['model'][Model]['payload']['scalars'];

/** The kind of values that a column holds. */
export type ColumnKind = 'Int' | 'BigInt' | 'String' | 'Boolean' | 'DateTime' | 'Bytes';

/** How a model is related to another one by one of its fields. */
export interface Relation {
  readonly model: string;
  readonly isList: boolean;
  /** The column of this model, and the one of the other, that have the same value. */
  readonly column: string;
  readonly otherColumn: string;
}

interface ModelFields {
  readonly columns: ReadonlyMap<string, ColumnKind>;
  readonly relations: ReadonlyMap<string, Relation>;
  readonly times: RowTimes;
}

/** The columns that record when a row was made, and when it was last changed. */
export interface RowTimes {
  readonly created: readonly string[];
  readonly updated: readonly string[];
}

interface DatamodelField {
  readonly name: string;
  readonly kind: string;
  readonly type: string;
  readonly isList: boolean;
  readonly hasDefaultValue: boolean;
  readonly isUpdatedAt: boolean;
  readonly relationName?: string;
  readonly relationFromFields?: readonly string[];
}

const DATAMODEL = getDatamodel().datamodel.models as Readonly<Record<string, { fields: readonly DatamodelField[] }>>;

const MODELS: ReadonlyMap<string, ModelFields> = new Map(
  Object.entries(DATAMODEL).map(([name, { fields }]) => [
    name,
    {
      columns: new Map(
        fields.filter(({ kind }) => kind === 'scalar').map((field) => [field.name, field.type as ColumnKind]),
      ),
      times: {
        // The only default that a time has is the present.
        created: fields
          .filter(({ type, hasDefaultValue, isUpdatedAt }) => type === 'DateTime' && hasDefaultValue && !isUpdatedAt)
          .map((field) => field.name),
        updated: fields.filter(({ isUpdatedAt }) => isUpdatedAt).map((field) => field.name),
      },
      relations: new Map(
        fields.filter(({ kind }) => kind === 'object').map((field) => [field.name, relationOf(field)]),
      ),
    },
  ]),
);

/** A relation is held by a column on one of its sides, and refers to the id on the other. */
function relationOf({ type, isList, relationName, relationFromFields: [own] = [] }: DatamodelField): Relation {
  const back = DATAMODEL[type]?.fields.find((field) => field.relationName === relationName);
  return own === undefined
    ? { model: type, isList, column: 'id', otherColumn: back?.relationFromFields?.[0] ?? 'id' }
    : { model: type, isList, column: own, otherColumn: 'id' };
}

/** The columns of a model with the kinds of their values, as `schema.prisma` has them. */
export function columnsOf(model: string): ReadonlyMap<string, ColumnKind> {
  return fieldsOf(model).columns;
}

/** The columns of a model that record times. */
export function timesOf(model: string): RowTimes {
  return fieldsOf(model).times;
}

/** The relation that a field of a model is; undefined for a column. */
export function relationOfField(model: string, field: string): Relation | undefined {
  return fieldsOf(model).relations.get(field);
}

function fieldsOf(model: string): ModelFields {
  const fields = MODELS.get(model);
  if (!fields) {
    throw new Error(`There is no model ${model}.`);
  }
  return fields;
}

/** The value of a column as its model has it, of what a driver or JSON gives; undefined when it is none that its kind can have. */
export function decodeValue(value: unknown, kind: ColumnKind | undefined): unknown {
  if (value === null || value === undefined) {
    return null;
  }
  switch (kind) {
    case 'Int':
      return Number.isInteger(value) && (value as number) >= MIN_INT && (value as number) <= MAX_INT
        ? value
        : undefined;
    case 'BigInt':
      return typeof value === 'bigint' || Number.isInteger(value) || /^-?\d+$/.test(String(value))
        ? BigInt(value as bigint | number | string)
        : undefined;
    case 'Boolean':
      return typeof value === 'boolean' || Number.isInteger(value) ? Boolean(value) : undefined;
    case 'DateTime':
      return decodeDate(value);
    case 'Bytes':
      return value instanceof Uint8Array ? value : undefined;
    default:
      return typeof value === 'string' ? value : undefined;
  }
}

function decodeDate(value: unknown): Date | undefined {
  const date =
    typeof value === 'string' || typeof value === 'number' ? new Date(value) : value instanceof Date ? value : null;
  return date === null || Number.isNaN(date.getTime()) ? undefined : date;
}
