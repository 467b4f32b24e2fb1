import { type GraphQLResolveInfo, isObjectType } from 'graphql';
import type { Context } from '../context.ts';
import { MAX_PAGE_SIZE } from '../database/page.ts';
import { ValidationError } from '../errors.ts';
import type { Builder } from './builder.ts';
import { decodeNodeId } from './node-ids.ts';

type Row = { readonly id: number };

/** Finds an object of one type by its id; null when there is none that the viewer may see. */
export type FindNode = (context: Context, id: string) => Promise<Row | null | undefined>;

/** Returns the options of a Prisma node, whose objects `node` and `nodes` find by `find`. */
export function nodeOptions(find: FindNode) {
  return {
    id: { resolve: ({ id }: Row) => id },
    // The calls of `find` are batched: see loadBatched.
    loadManyWithoutCache: (ids: readonly string[], context: Context) =>
      Promise.all(ids.map(async (id) => (await find(context, id)) ?? null)),
  };
}

/** Adds `Query.node` and `Query.nodes`, which return null for the ids of types that are no `Node`. */
export function defineNodeQueries(builder: Builder): void {
  builder.queryField('node', (t) =>
    t.node({
      description:
        'Fetches an object of any type by its `id`, as Relay does to refetch; null when it does not exist or the viewer may not see it. `BAD_INPUT` for a malformed id.',
      args: { id: t.arg.id({ required: true, description: 'The `id` of the object.' }) },
      id: (_root, { id }, _context, info) => resolvableId(info, id),
    }),
  );
  builder.queryField('nodes', (t) =>
    t.nodeList({
      description:
        'Fetches several objects by their `id`s, in the order of the ids, with null in place of each object that does not exist or that the viewer may not see. `VALIDATION` for more than 100 ids, `BAD_INPUT` for a malformed one.',
      complexity: ({ ids }) => ({ field: 1, multiplier: ids.length }),
      args: {
        ids: t.arg.idList({ required: true, description: 'The `id`s of the objects; at most 100.' }),
      },
      ids: (_root, { ids }, _context, info) => {
        if (ids.length > MAX_PAGE_SIZE) {
          const message = `Ensure this field has no more than ${MAX_PAGE_SIZE} elements.`;
          throw new ValidationError([{ path: 'ids', message }]);
        }
        return ids.map((id) => resolvableId(info, id));
      },
    }),
  );
}

/** Returns whether a type implements `Node`. */
function isNodeType({ schema }: GraphQLResolveInfo, typename: string): boolean {
  const type = schema.getType(typename);
  return isObjectType(type) && type.getInterfaces().some(({ name }) => name === 'Node');
}

/** Returns the global id; null when its type does not implement `Node`. */
function resolvableId(info: GraphQLResolveInfo, id: string): string | null {
  return isNodeType(info, decodeNodeId(id).typename) ? id : null;
}
