import { DEFAULT_PAGE_SIZE, type Order, type OrderColumns, type Page, type PageArguments } from '../database/page.ts';
import type { Builder } from './builder.ts';

/** How the values of a column are compared. */
const COMPARISONS: Readonly<Record<OrderColumns[string], string>> = {
  number: 'by numerical value',
  text: 'by Unicode code points: upper case sorts before lower case',
  date: 'by time',
};

/** Adds the direction of an order, one enum for all lists. */
function defineDirection(builder: Builder) {
  return builder.enumType('OrderDirection', {
    description: 'The direction of a sort order.',
    values: {
      ASC: {
        value: 'asc',
        description: 'Ascending: small numbers, early times and the start of the alphabet come first.',
      },
      DESC: {
        value: 'desc',
        description: 'Descending: large numbers, late times and the end of the alphabet come first.',
      },
    } as const,
  });
}

const directions = new WeakMap<Builder, ReturnType<typeof defineDirection>>();

/** Adds the input type for the order of a list of `model`: one of its columns, and a direction. `descriptions` has those of values that are no column. */
export function defineOrder<Columns extends OrderColumns>(
  builder: Builder,
  model: string,
  columns: Columns,
  descriptions: { readonly [Column in keyof Columns]?: string } = {},
) {
  const direction = directions.get(builder) ?? defineDirection(builder);
  directions.set(builder, direction);
  type Column = keyof Columns & string;
  const field = builder.enumType(`${model}OrderField`, {
    description: `The fields by which a list of ${model} objects can be sorted. Objects with equal values are sorted by \`id\`, in the same direction.`,
    values: Object.fromEntries(
      Object.entries<OrderColumns[string]>(columns).map(([name, kind]) => [
        screamingSnakeCase(name),
        { value: name as Column, description: descriptions[name] ?? describeOrder(name, kind) },
      ]),
    ),
  });
  return builder.inputType(`${model}Order`, {
    description: `The sort order of a list of ${model} objects.`,
    fields: (t) => ({
      field: t.field({ type: field, required: true, description: 'The field by which the list is sorted.' }),
      direction: t.field({
        type: direction,
        required: true,
        defaultValue: 'asc',
        description: 'The direction of the order.',
      }),
    }),
  });
}

/** Returns the order of an `orderBy` argument; by id without one. */
export function toOrder<Column extends string>(
  orderBy: { field: Column; direction: 'asc' | 'desc' } | null | undefined,
): Order<Column | 'id'> {
  return orderBy ? { column: orderBy.field, direction: orderBy.direction } : { column: 'id', direction: 'asc' };
}

/** Returns the complexity of a connection field: that of its longest possible page. */
export function connectionComplexity({ first, last }: PageArguments): { field: number; multiplier: number } {
  return { field: 1, multiplier: Math.max(first ?? last ?? DEFAULT_PAGE_SIZE, 1) };
}

/** Returns a page in the shape of a Relay connection. */
export async function toConnection<Row extends object>(page: Promise<Page<Row>>) {
  const { rows, encodeCursor, hasNextPage, hasPreviousPage, totalCount } = await page;
  const edges = rows.map((node) => ({ cursor: encodeCursor(node), node }));
  return {
    edges,
    pageInfo: {
      hasNextPage,
      hasPreviousPage,
      startCursor: edges.at(0)?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    totalCount,
  };
}

function describeOrder(name: string, kind: OrderColumns[string]): string {
  return name === 'id' ? 'By `id`: the order of creation.' : `By \`${name}\`, ${COMPARISONS[kind]}.`;
}

function screamingSnakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
