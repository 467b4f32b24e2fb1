import {
  ConnectionHandler,
  type Environment,
  fetchQuery,
  type GraphQLResponse,
  type GraphQLTaggedNode,
  type INetwork,
  Network,
  Observable,
  type RecordSourceSelectorProxy,
  type RequestParameters,
  requestSubscription,
  type Variables,
} from 'relay-runtime';
import { type ChangeAction, eventOf } from './change.ts';
import type { OperationRequest } from './document.ts';
import { type FollowOptions, follow } from './follow.ts';
import { type ResumeOptions, resume } from './resume.ts';
import type { ResultSink, Transport } from './transport.ts';

/**
 * Returns the network of a Relay environment: queries and mutations over HTTP with the credential, and subscriptions over the socket, which are resumed by the
 * cursor of their last event. `onResync` in the `cacheConfig.metadata` of a subscription is called when missed events can no longer be delivered.
 */
export function createNetwork(transport: Transport): INetwork {
  return Network.create(
    (request, variables) =>
      Observable.create<GraphQLResponse>((sink) => {
        const controller = new AbortController();
        fetchResponse(transport, requestOf(request, variables), controller.signal).then(
          (response) => {
            sink.next(response);
            sink.complete();
          },
          (error: Error) => controller.signal.aborted || sink.error(error),
        );
        return () => controller.abort();
      }),
    (request, variables, { metadata }) =>
      Observable.create<GraphQLResponse>(
        (sink) => resume(transport, requestOf(request, variables), sink as ResultSink, metadata as ResumeOptions).stop,
      ),
  );
}

/** Types whose `id` is that of another object: the one that changed, or that is no longer there. */
const REFERRING_TYPES = /Change$|^LeftChat$/;

/** `getDataID` of a Relay environment. Without it, Relay takes an event for an object of its own with the id of the changed object. */
export function getDataID(value: { readonly id?: string }, typename: string): string | undefined {
  return REFERRING_TYPES.test(typename) ? undefined : value.id;
}

function requestOf({ id, text, name }: RequestParameters, variables: Variables): OperationRequest {
  return text ? { query: text, operationName: name, variables } : { query: '', documentId: id ?? name, variables };
}

/** Returns a response as it is: Relay reads its errors. */
async function fetchResponse(
  { fetch: send, url }: Transport,
  { query, ...rest }: OperationRequest,
  signal: AbortSignal,
): Promise<GraphQLResponse> {
  const response = await send(url, {
    method: 'POST',
    headers: { accept: 'application/graphql-response+json, application/json', 'content-type': 'application/json' },
    body: JSON.stringify({ ...(query && { query }), ...rest }),
    signal,
  });
  const type = response.headers.get('content-type') ?? '';
  if (!type.includes('json')) {
    throw new TypeError(`${response.url} answered with ${response.status}, and not with a GraphQL response.`);
  }
  return (await response.json()) as GraphQLResponse;
}

export interface RelayListOptions {
  /** The ids of the connections that show the objects: `__id` of a connection, or `ConnectionHandler.getConnectionID(…)`. */
  readonly connections: readonly string[] | (() => readonly string[]);
  /** Where new objects belong: `end` for lists with the oldest object first, which is the default order, `start` for the others. */
  readonly insert?: 'start' | 'end' | undefined;
}

export interface RelaySnapshotOptions extends FollowOptions, Partial<RelayListOptions> {
  /** The query of the snapshot, which selects `cursor` beside the data. */
  readonly query: GraphQLTaggedNode;
  readonly variables?: Variables | undefined;
  /** The subscription to changes of the same data, with the variable `$after`. */
  readonly subscription: GraphQLTaggedNode;
  /** The variables of the subscription besides `after`. */
  readonly subscriptionVariables?: Variables | undefined;
  /** Applies an event to the store, in place of {@link applyToStore}. */
  readonly updater?: ((store: RecordSourceSelectorProxy) => void) | undefined;
}

/**
 * Loads a query into the store, and keeps it there up to date by a subscription, without a gap: each component that shows the data shows the changes. When missed
 * changes can no longer be delivered, it loads the query again. Returns the function that ends it.
 */
export function snapshotThenStream(environment: Environment, options: RelaySnapshotOptions): () => void {
  const {
    query,
    variables = {},
    subscription,
    subscriptionVariables,
    connections = [],
    insert,
    updater,
    ...rest
  } = options;
  return follow(rest, {
    load: () => fetchQuery(environment, query, variables, { fetchPolicy: 'network-only' }).toPromise(),
    open: (after, onResync, sink) => {
      const opened = requestSubscription(environment, {
        subscription,
        variables: { ...subscriptionVariables, after },
        cacheConfig: { metadata: { onResync } },
        onError: sink.error,
        onCompleted: sink.complete,
        updater: (store, data) => (updater ? updater(store) : applyToStore(store, data, { connections, insert })),
      });
      return () => opened.dispose();
    },
  });
}

/** Applies the event of a subscription to connections in Relay's store. A deleted object stays in other connections: it may have moved to one of them. */
export function applyToStore(
  store: RecordSourceSelectorProxy,
  data: unknown,
  { connections, insert = 'end' }: RelayListOptions,
): void {
  const { action, id }: { action: ChangeAction; id: string } = eventOf(data);
  const [field = ''] = Object.keys(data as object);
  const node = store.getRootField(field as never)?.getLinkedRecord(field.replace(/Changed$/, ''));
  const ids = typeof connections === 'function' ? connections() : connections;
  const records = ids.flatMap((connection) => store.get(connection) ?? []);
  if (action === 'DELETED' || !node) {
    for (const record of records) {
      ConnectionHandler.deleteNode(record, id);
    }
    return;
  }
  for (const record of records) {
    const edges = record.getLinkedRecords('edges') ?? [];
    const isPresent = edges.some((edge) => edge?.getLinkedRecord('node')?.getDataID() === node.getDataID());
    const pageInfo = record.getLinkedRecord('pageInfo');
    const isLoaded = !pageInfo?.getValue(insert === 'end' ? 'hasNextPage' : 'hasPreviousPage');
    if (!isPresent && action === 'CREATED' && isLoaded) {
      const edge = ConnectionHandler.createEdge(store, record, node, `${node.getType()}Edge`);
      (insert === 'end' ? ConnectionHandler.insertEdgeAfter : ConnectionHandler.insertEdgeBefore)(record, edge);
    }
  }
}
