import { DEFAULT_PAGE_SIZE, type Order, type OrderColumns, type Page, type PageArguments } from '../database/page.ts';
import type { Builder } from './builder.ts';

const ORDER_DESCRIPTIONS: Readonly<Record<string, string>> = {
  id: 'By id, which is the order of making.',
  title: 'By title, in the order of code points.',
  name: 'By name, in the order of code points.',
  username: 'By username, in the order of code points.',
  priority: 'By priority, as a number.',
  at: 'By the time when it was done.',
  createdAt: 'By `createdAt`.',
  insertedAt: 'By the time when the row was made.',
  updatedAt: 'By the time of the last change.',
};

/** The direction of an order; one enum for all lists. */
function orderDirection(builder: Builder) {
  return builder.enumType('OrderDirection', {
    description: 'Which way an order goes.',
    values: {
      ASC: { value: 'asc', description: 'From small to large, from old to new, from A to Z.' },
      DESC: { value: 'desc', description: 'From large to small, from new to old, from Z to A.' },
    } as const,
  });
}

const directions = new WeakMap<Builder, ReturnType<typeof orderDirection>>();

/** Adds the input by which a list of `model` is ordered: one of its columns, and a direction. */
export function defineOrder<Columns extends OrderColumns>(builder: Builder, model: string, columns: Columns) {
  const direction = directions.get(builder) ?? orderDirection(builder);
  directions.set(builder, direction);
  type Column = keyof Columns & string;
  const names = Object.keys(columns) as Column[];
  const field = builder.enumType(`${model}OrderField`, {
    description: `What a list of ${model} objects can be ordered by; equal ones follow by id.`,
    values: Object.fromEntries(
      names.map((name): [string, { value: Column; description: string }] => [
        screaming(name),
        { value: name, description: ORDER_DESCRIPTIONS[name] ?? `By \`${name}\`.` },
      ]),
    ),
  });
  return builder.inputType(`${model}Order`, {
    description: `The order of a list of ${model} objects.`,
    fields: (t) => ({
      field: t.field({ type: field, required: true, description: 'What to order by.' }),
      direction: t.field({ type: direction, required: true, defaultValue: 'asc', description: 'Which way.' }),
    }),
  });
}

/** The order that a caller asked for; by id when none. */
export function orderOf<Column extends string>(
  asked: { field: Column; direction: 'asc' | 'desc' } | null | undefined,
): Order<Column | 'id'> {
  return asked ? { column: asked.field, direction: asked.direction } : { column: 'id', direction: 'asc' };
}

/** What a connection field costs: as much as the longest page that it may give. */
export function pageCost({ first, last }: PageArguments): { field: number; multiplier: number } {
  return { field: 1, multiplier: Math.max(first ?? last ?? DEFAULT_PAGE_SIZE, 1) };
}

/** A page in the shape of a Relay connection. */
export async function toConnection<Row extends object>(reading: Promise<Page<Row>>) {
  const { rows, cursorOf, hasNextPage, hasPreviousPage, totalCount } = await reading;
  const edges = rows.map((node) => ({ cursor: cursorOf(node), node }));
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

function screaming(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
