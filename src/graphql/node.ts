import type { Context } from '../context.ts';
import { MAX_PAGE_SIZE } from '../database/page.ts';
import { ValidationError } from '../errors.ts';
import type { Builder } from './builder.ts';
import { decodeNodeId } from './node-ids.ts';

type Row = { readonly id: number };

/** How the objects of one type are found for a viewer: null where the viewer sees none. */
export type FindNode = (context: Context, id: string) => Promise<Row | null | undefined>;

/** What a slice gives so that its objects can be fetched by `nodeId`. */
export function nodeOptions(find: FindNode) {
  return {
    id: { resolve: ({ id }: Row) => id },
    // Rows are found one by one, but batched: see loadBatched.
    loadManyWithoutCache: (ids: readonly string[], context: Context) =>
      Promise.all(ids.map(async (id) => (await find(context, id)) ?? null)),
  };
}

/** Adds `node` and `nodes`. Types that have no `nodeId` are unknown to them. */
export function defineNodeQueries(builder: Builder): void {
  const isNodeType = (typename: string): boolean => NODE_TYPES.has(typename);
  builder.queryField('node', (t) =>
    t.node({
      description: 'One object by its `nodeId`, of whatever type; null when there is none that the viewer may see.',
      args: { nodeId: t.arg.id({ required: true, description: 'The id of the object among all objects.' }) },
      id: (_root, { nodeId }) => (isNodeType(decodeNodeId(nodeId).typename) ? nodeId : null),
    }),
  );
  builder.queryField('nodes', (t) =>
    t.nodeList({
      description: 'Several objects by their `nodeId`s, in that order; null for each that the viewer may not see.',
      complexity: ({ nodeIds }) => ({ field: 1, multiplier: nodeIds.length }),
      args: {
        nodeIds: t.arg.idList({
          required: true,
          description: 'The ids of the objects among all objects; at most 100.',
        }),
      },
      ids: (_root, { nodeIds }) => {
        if (nodeIds.length > MAX_PAGE_SIZE) {
          const message = `Ensure this field has no more than ${MAX_PAGE_SIZE} elements.`;
          throw new ValidationError([{ path: 'nodeIds', message }]);
        }
        return nodeIds.map((nodeId) => (isNodeType(decodeNodeId(nodeId).typename) ? nodeId : null));
      },
    }),
  );
}

const NODE_TYPES: ReadonlySet<string> = new Set([
  'User',
  'TodoList',
  'Todo',
  'Post',
  'ChatSession',
  'ChatMessage',
  'Note',
]);
