/** How a change affects the objects of a subscription. */
export type ChangeAction = 'CREATED' | 'UPDATED' | 'DELETED';

/** An event of a subscription to changes, with the changed object under the name of its kind: `todo`, `post`. */
export interface ChangeEvent {
  readonly action: ChangeAction;
  readonly id: string;
  readonly cursor: string;
}

/** An object with an id. */
export interface Identified {
  readonly id: string;
}

/** A page of a list as it was selected: `nodes`, `edges` or both. */
export interface ListPage {
  readonly nodes?: readonly Identified[] | undefined;
  readonly edges?: readonly { readonly node: Identified }[] | undefined;
  readonly totalCount?: number | undefined;
  readonly pageInfo?: { readonly hasNextPage?: boolean; readonly hasPreviousPage?: boolean } | undefined;
}

export interface ListOptions<Node extends Identified = Identified> {
  /** Where new objects belong: `end` for lists with the oldest object first, which is the default order, `start` for the others. */
  readonly insert?: 'start' | 'end' | undefined;
  /** Whether an object belongs to the list, for lists with a `filter`: the subscription also has events of other objects. */
  readonly belongs?: ((node: Node) => boolean) | undefined;
}

/** Returns the event of a subscription's data: the value of its only field. */
export function eventOf(data: unknown): ChangeEvent {
  const [event] = Object.values((data ?? {}) as Record<string, unknown>);
  if (typeof (event as Partial<ChangeEvent> | null)?.action !== 'string') {
    throw new TypeError('The event has no `action`: select `action cursor id` and the changed object.');
  }
  return event as ChangeEvent;
}

/** Returns the changed object of an event; null when it was deleted. */
export function objectOf<Node extends Identified>(event: ChangeEvent): Node | null {
  for (const [name, value] of Object.entries(event)) {
    if (typeof value === 'object' && value !== null && !['action', 'id', 'cursor'].includes(name)) {
      return value as Node;
    }
  }
  return null;
}

export interface ApplyOptions<Node extends Identified = Identified> extends ListOptions<Node> {
  /** The path of the list or object in the data, like `todos` or `todoList.todos`; by default the first field with a list, or else with an object. */
  readonly at?: string | undefined;
}

/** Returns the data of a query after a change of the list or object in it. An event that is applied twice changes nothing the second time. */
export function applyChange<Data, Node extends Identified = Identified>(
  data: Data,
  event: ChangeEvent,
  { at, ...options }: ApplyOptions<Node> = {},
): Data {
  if (event.id === undefined) {
    throw new TypeError(
      'The event has no `id`: select it, or apply events without one, like those of `inboxChanged`, by yourself.',
    );
  }
  const path = at?.split('.') ?? defaultPath(data);
  return path ? (replaceAt(data, path, (value) => applyToValue(value, event, options)) as Data) : data;
}

function applyToValue<Node extends Identified>(
  value: unknown,
  event: ChangeEvent,
  options: ListOptions<Node>,
): unknown {
  if (isList(value)) {
    return applyToList(value, event, options);
  }
  if ((value as Identified | null | undefined)?.id !== event.id) {
    return value;
  }
  return event.action === 'DELETED' ? null : { ...(value as object), ...objectOf(event) };
}

function isList(value: unknown): value is ListPage {
  return typeof value === 'object' && value !== null && ('nodes' in value || 'edges' in value);
}

function defaultPath(data: unknown): [string] | null {
  const fields = Object.entries(data ?? {});
  const field = fields.find(([, value]) => isList(value)) ?? fields.find(([, value]) => typeof value === 'object');
  return field ? [field[0]] : null;
}

function replaceAt(data: unknown, [name, ...rest]: readonly string[], change: (value: unknown) => unknown): unknown {
  if (name === undefined) {
    return change(data);
  }
  if (typeof data !== 'object' || data === null || !(name in data)) {
    return data;
  }
  return { ...data, [name]: replaceAt((data as Record<string, unknown>)[name], rest, change) };
}

/** Returns a list after a change: an object that is in it is replaced or removed, and a new one inserted, unless its place is on a page that is not loaded. */
export function applyToList<List extends ListPage, Node extends Identified = Identified>(
  list: List,
  event: ChangeEvent,
  { insert = 'end', belongs }: ListOptions<Node> = {},
): List {
  const node = event.action === 'DELETED' ? null : objectOf<Node>(event);
  const isPresent = idsOf(list).includes(event.id);
  if (!node || belongs?.(node) === false) {
    return isPresent ? withoutNode(list, event.id) : list;
  }
  if (isPresent) {
    return withNode(list, node);
  }
  const mayBeNew = event.action === 'CREATED' || belongs !== undefined;
  const isLoaded = !(insert === 'end' ? list.pageInfo?.hasNextPage : list.pageInfo?.hasPreviousPage);
  return mayBeNew && isLoaded ? inserted(list, node, insert) : list;
}

function idsOf({ nodes, edges }: ListPage): readonly string[] {
  return (nodes ?? edges?.map(({ node }) => node) ?? []).map(({ id }) => id);
}

function withoutNode<List extends ListPage>(list: List, id: string): List {
  const { nodes, edges, totalCount } = list;
  return {
    ...list,
    ...(nodes && { nodes: nodes.filter((node) => node.id !== id) }),
    ...(edges && { edges: edges.filter(({ node }) => node.id !== id) }),
    ...(totalCount !== undefined && { totalCount: Math.max(0, totalCount - 1) }),
  };
}

function withNode<List extends ListPage>(list: List, next: Identified): List {
  const { nodes, edges } = list;
  const merge = <Node extends Identified>(node: Node): Node => (node.id === next.id ? { ...node, ...next } : node);
  return {
    ...list,
    ...(nodes && { nodes: nodes.map(merge) }),
    ...(edges && {
      edges: edges.map((edge) => (edge.node.id === next.id ? { ...edge, node: merge(edge.node) } : edge)),
    }),
  };
}

function inserted<List extends ListPage>(list: List, node: Identified, insert: 'start' | 'end'): List {
  const { nodes, edges, totalCount } = list;
  const add = <Value>(values: readonly Value[], value: Value): readonly Value[] =>
    insert === 'start' ? [value, ...values] : [...values, value];
  // A new edge has no cursor of the list: pages are requested by `pageInfo`.
  const [sample] = edges ?? [];
  const edge = {
    ...(sample && '__typename' in sample ? { __typename: sample.__typename } : {}),
    ...(sample && 'cursor' in sample ? { cursor: '' } : {}),
    node,
  };
  return {
    ...list,
    ...(nodes && { nodes: add(nodes, node) }),
    ...(edges && { edges: add(edges, edge) }),
    ...(totalCount !== undefined && { totalCount: totalCount + 1 }),
  };
}
