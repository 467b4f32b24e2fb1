// What the Relay compiler makes of
//   query Todos { cursor todos(first: 100) @connection(key: "Todos_todos") { edges { node { id title } } } }
//   subscription TodoChanges($after: String) { todoChanged(after: $after) { action cursor id todo { id title } } }

const scalar = (name: string) => ({ alias: null, args: null, kind: 'ScalarField', name, storageKey: null });
const linked = (
  name: string,
  concreteType: string,
  plural: boolean,
  selections: readonly object[],
  args: unknown = null,
) => ({
  alias: null,
  args,
  concreteType,
  kind: 'LinkedField',
  name,
  plural,
  selections,
  storageKey: null,
});

const TODO = [scalar('id'), scalar('title')];
const PAGE = [
  linked('edges', 'TodoEdge', true, [linked('node', 'Todo', false, [...TODO, scalar('__typename')]), scalar('cursor')]),
  linked('pageInfo', 'PageInfo', false, [scalar('endCursor'), scalar('hasNextPage')]),
];
const FIRST = [{ kind: 'Literal', name: 'first', value: 100 }];

export const todosRequest = {
  kind: 'Request',
  fragment: {
    argumentDefinitions: [],
    kind: 'Fragment',
    metadata: null,
    name: 'Todos',
    selections: [
      scalar('cursor'),
      { ...linked('__Todos_todos_connection', 'TodoConnection', false, PAGE), alias: 'todos' },
    ],
    type: 'Query',
    abstractKey: null,
  },
  operation: {
    argumentDefinitions: [],
    kind: 'Operation',
    name: 'Todos',
    selections: [
      scalar('cursor'),
      { ...linked('todos', 'TodoConnection', false, PAGE, FIRST), storageKey: 'todos(first:100)' },
      {
        alias: null,
        args: FIRST,
        filters: null,
        handle: 'connection',
        key: 'Todos_todos',
        kind: 'LinkedHandle',
        name: 'todos',
      },
    ],
  },
  params: {
    cacheID: 'todos',
    id: null,
    metadata: { connection: [{ count: null, cursor: null, direction: 'forward', path: ['todos'] }] },
    name: 'Todos',
    operationKind: 'query',
    text: 'query Todos { cursor todos(first: 100) { edges { node { id title __typename } cursor } pageInfo { endCursor hasNextPage } } }',
  },
};

const AFTER = [{ defaultValue: null, kind: 'LocalArgument', name: 'after' }];
const CHANGE = [
  linked(
    'todoChanged',
    'TodoChange',
    false,
    [scalar('action'), scalar('cursor'), scalar('id'), linked('todo', 'Todo', false, TODO)],
    [{ kind: 'Variable', name: 'after', variableName: 'after' }],
  ),
];

export const changesRequest = {
  kind: 'Request',
  fragment: {
    argumentDefinitions: AFTER,
    kind: 'Fragment',
    metadata: null,
    name: 'TodoChanges',
    selections: CHANGE,
    type: 'Subscription',
    abstractKey: null,
  },
  operation: { argumentDefinitions: AFTER, kind: 'Operation', name: 'TodoChanges', selections: CHANGE },
  params: {
    cacheID: 'changes',
    id: null,
    metadata: {},
    name: 'TodoChanges',
    operationKind: 'subscription',
    text: 'subscription TodoChanges($after: String) { todoChanged(after: $after) { action cursor id todo { id title } } }',
  },
};
