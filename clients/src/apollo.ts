import {
  type ApolloCache,
  type ApolloClient,
  ApolloLink,
  type DocumentNode,
  type OperationVariables,
} from '@apollo/client';
import { CombinedGraphQLErrors } from '@apollo/client/errors';
import { HttpLink } from '@apollo/client/link/http';
import { print } from '@apollo/client/utilities';
import { Observable } from 'rxjs';
import { type ApplyOptions, applyChange, type ChangeEvent, eventOf } from './change.ts';
import { OperationError } from './errors.ts';
import { type FollowOptions, follow } from './follow.ts';
import { type ResumeOptions, resume } from './resume.ts';
import type { Transport } from './transport.ts';

/** Returns the link of an Apollo Client: subscriptions over the socket, which are resumed, and all other operations over HTTP with the credential. */
export function createLink(transport: Transport): ApolloLink {
  return ApolloLink.split(
    // The text: `OperationTypeNode` would have to be imported from graphql.
    ({ operationType }) => (operationType as string) === 'subscription',
    createSubscriptionLink(transport),
    new HttpLink({ uri: transport.url, fetch: transport.fetch }),
  );
}

/**
 * Returns a terminating link for subscriptions, which are resumed by the cursor of their last event. `context.onResync` of a subscription is called when missed
 * events can no longer be delivered: it loads the data again and returns its cursor.
 */
export function createSubscriptionLink(transport: Transport): ApolloLink {
  return new ApolloLink(
    (operation) =>
      new Observable<ApolloLink.Result>((observer) => {
        const { query, variables, operationName, extensions } = operation;
        const { onResync } = operation.getContext() as ResumeOptions;
        const request = { query: print(query), variables, operationName, extensions };
        const subscription = resume(
          transport,
          request,
          {
            next: (result) => observer.next(result as ApolloLink.Result),
            error: (error) => observer.error(toApolloError(error)),
            complete: () => observer.complete(),
          },
          { onResync },
        );
        return subscription.stop;
      }),
  );
}

/** Returns the error by which Apollo's own links report errors of the server. */
function toApolloError(error: Error): Error {
  return error instanceof OperationError
    ? new CombinedGraphQLErrors({ errors: error.errors as CombinedGraphQLErrors['errors'] })
    : error;
}

export interface ApolloSnapshotOptions<Variables extends OperationVariables = OperationVariables>
  extends ApplyOptions,
    FollowOptions {
  /** The query of the snapshot, which selects `cursor` beside the data. */
  readonly query: DocumentNode;
  readonly variables?: Variables | undefined;
  /** The subscription to changes of the same data, with the variable `$after`. Its objects have the fields that the query selects. */
  readonly subscription: DocumentNode;
  /** The variables of the subscription besides `after`. */
  readonly subscriptionVariables?: OperationVariables | undefined;
  /** Applies an event to the cache, in place of {@link applyToCache}. */
  readonly update?: ((cache: ApolloCache, event: ChangeEvent) => void) | undefined;
}

/**
 * Loads a query into the cache, and keeps it there up to date by a subscription, without a gap: each `useQuery` that shows the query shows the changes. When missed
 * changes can no longer be delivered, it loads the query again. Returns the function that ends it.
 */
export function snapshotThenStream(client: ApolloClient, options: ApolloSnapshotOptions): () => void {
  const { query, variables = {}, subscription, subscriptionVariables, update, ...rest } = options;
  const apply =
    update ?? ((cache: ApolloCache, event: ChangeEvent) => applyToCache(cache, event, { query, variables, ...rest }));
  return follow(rest, {
    load: async () => (await client.query({ query, variables, fetchPolicy: 'network-only' })).data,
    open: (after, onResync, sink) => {
      const changes = client.subscribe({
        query: subscription,
        variables: { ...subscriptionVariables, after },
        fetchPolicy: 'no-cache',
        context: { onResync },
      });
      const opened = changes.subscribe({
        next: ({ data, error }) => (error ? sink.error(error) : apply(client.cache, eventOf(data))),
        error: sink.error,
        complete: sink.complete,
      });
      return () => opened.unsubscribe();
    },
  });
}

export interface ApplyToCacheOptions extends ApplyOptions {
  readonly query: DocumentNode;
  readonly variables?: OperationVariables | undefined;
}

/**
 * Applies an event to a query in Apollo's cache. An object that was deleted for the subscription, since it may have moved to another list, is removed from the cache
 * when no other query has it.
 */
export function applyToCache(
  cache: ApolloCache,
  event: ChangeEvent,
  { query, variables, ...options }: ApplyToCacheOptions,
): void {
  cache.batch({
    update: () => {
      cache.updateQuery({ query, ...(variables && { variables }), overwrite: true }, (data) =>
        data === null ? undefined : applyChange(data, event, options),
      );
      if (event.action === 'DELETED') {
        cache.gc();
      }
    },
  });
}
