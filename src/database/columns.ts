import type { Prisma } from '../generated/client/client.ts';
import { getDatamodel } from '../generated/pothos.ts';

const MAX_INT = 2 ** 31 - 1;
const MIN_INT = -(2 ** 31);

export type ModelName = Prisma.ModelName;

/** A row of a model, without its related rows. */
export type RowOf<Model extends ModelName> = Prisma.TypeMap['model'][Model]['payload']['scalars'];

/** The type of a column in `schema.prisma`. */
export type ColumnKind = 'Int' | 'BigInt' | 'String' | 'Boolean' | 'DateTime' | 'Bytes';

/** A relation of a model to another one. */
export interface Relation {
  readonly model: string;
  readonly isList: boolean;
  /** The column of this model that equals `otherColumn` of the other model. */
  readonly column: string;
  readonly otherColumn: string;
}

interface ModelFields {
  /** The column of the primary key. */
  readonly key: string;
  readonly columns: ReadonlyMap<string, ColumnKind>;
  readonly relations: ReadonlyMap<string, Relation>;
  readonly times: RowTimes;
}

/** The columns that record when a row was created, and when it was last changed. */
export interface RowTimes {
  readonly created: readonly string[];
  readonly updated: readonly string[];
}

interface DatamodelField {
  readonly name: string;
  readonly kind: string;
  readonly type: string;
  readonly isId: boolean;
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
      key: fields.find(({ isId }) => isId)?.name ?? 'id',
      columns: new Map(
        fields.filter(({ kind }) => kind === 'scalar').map((field) => [field.name, field.type as ColumnKind]),
      ),
      times: {
        // The only default of a time column in the schema is now().
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

/** Returns the relation of a field. A column on one side of it refers to the id on the other side. */
function relationOf({ type, isList, relationName, relationFromFields: [own] = [] }: DatamodelField): Relation {
  const back = DATAMODEL[type]?.fields.find((field) => field.relationName === relationName);
  return own === undefined
    ? { model: type, isList, column: 'id', otherColumn: back?.relationFromFields?.[0] ?? 'id' }
    : { model: type, isList, column: own, otherColumn: 'id' };
}

/** Returns the names of all models, in the order of `schema.prisma`. */
export function modelNames(): string[] {
  return [...MODELS.keys()];
}

/** Returns the columns of a model with their kinds. */
export function columnsOf(model: string): ReadonlyMap<string, ColumnKind> {
  return fieldsOf(model).columns;
}

/** Returns the column of a model's primary key. */
export function primaryKeyOf(model: string): string {
  return fieldsOf(model).key;
}

/** Returns the names of all models, each after the models to which its rows refer. */
export function modelsByReference(): string[] {
  const sorted: string[] = [];
  const left = new Set(MODELS.keys());
  while (left.size > 0) {
    const next = [...left].filter((name) => parentsOf(name).every((parent) => parent === name || !left.has(parent)));
    if (next.length === 0) {
      throw new Error(`The models ${[...left].join(', ')} refer to each other, so that no order of them exists.`);
    }
    for (const name of next) {
      left.delete(name);
      sorted.push(name);
    }
  }
  return sorted;
}

/** Returns the models to which the rows of a model refer. */
function parentsOf(model: string): string[] {
  return [...fieldsOf(model).relations.values()].filter(({ column }) => column !== 'id').map(({ model }) => model);
}

/** Returns the columns of a model that record the times of its changes. */
export function timesOf(model: string): RowTimes {
  return fieldsOf(model).times;
}

/** Returns the relation of a field; undefined for a column. */
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

/** Returns a value of a driver or of JSON in the type of its column; undefined when the column cannot have the value. */
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
