import {
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLResolveInfo,
  Kind,
  type SelectionSetNode,
} from 'graphql';

type Fragments = Readonly<Record<string, FragmentDefinitionNode>>;

/** The results for the fields of a document, by name. Documents are cached, so each is searched once. */
const selected = new WeakMap<FieldNode, Map<string, boolean>>();

/** Returns whether an operation selects a field of the nodes of the connection that is being resolved, in fragments too. */
export function selectsNodeField({ fieldNodes, fragments }: GraphQLResolveInfo, field: string): boolean {
  return fieldNodes.some((node) => {
    const results = selected.get(node) ?? new Map<string, boolean>();
    selected.set(node, results);
    const result = results.get(field) ?? selectsField(node.selectionSet, field, fragments);
    results.set(field, result);
    return result;
  });
}

/** The fields between a connection and its nodes. */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set(['edges', 'node', 'nodes']);

function selectsField(
  selections: SelectionSetNode | undefined,
  field: string,
  fragments: Fragments,
  isNode = false,
): boolean {
  return (selections?.selections ?? []).some((selection) => {
    if (selection.kind !== Kind.FIELD) {
      const inside = selection.kind === Kind.FRAGMENT_SPREAD ? fragments[selection.name.value] : selection;
      return selectsField(inside?.selectionSet, field, fragments, isNode);
    }
    const name = selection.name.value;
    return isNode
      ? name === field
      : CONNECTION_FIELDS.has(name) && selectsField(selection.selectionSet, field, fragments, name !== 'edges');
  });
}
