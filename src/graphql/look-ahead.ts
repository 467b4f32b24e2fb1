import {
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLResolveInfo,
  Kind,
  type SelectionSetNode,
} from 'graphql';

type Fragments = Readonly<Record<string, FragmentDefinitionNode>>;

/** What was found for a field of a document; documents are kept, so each is looked at once. */
const asked = new WeakMap<FieldNode, Map<string, boolean>>();

/** Whether an operation asks for a field of the objects of the connection that is being resolved, in whatever way that stands in it. */
export function asksOfNodes({ fieldNodes, fragments }: GraphQLResolveInfo, field: string): boolean {
  return fieldNodes.some((node) => {
    const known = asked.get(node) ?? new Map<string, boolean>();
    asked.set(node, known);
    const found = known.get(field) ?? leadsTo(node.selectionSet, field, fragments);
    known.set(field, found);
    return found;
  });
}

/** The fields of a connection through which its objects are reached. */
const WAYS: ReadonlySet<string> = new Set(['edges', 'node', 'nodes']);

function leadsTo(
  selections: SelectionSetNode | undefined,
  field: string,
  fragments: Fragments,
  isNode = false,
): boolean {
  return (selections?.selections ?? []).some((selection) => {
    if (selection.kind !== Kind.FIELD) {
      const inside = selection.kind === Kind.FRAGMENT_SPREAD ? fragments[selection.name.value] : selection;
      return leadsTo(inside?.selectionSet, field, fragments, isNode);
    }
    const name = selection.name.value;
    return isNode
      ? name === field
      : WAYS.has(name) && leadsTo(selection.selectionSet, field, fragments, name !== 'edges');
  });
}
