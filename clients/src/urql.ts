import {
  type Client,
  type DocumentInput,
  type Exchange,
  type ExecutionResult,
  makeErrorResult,
  makeOperation,
  makeResult,
  type Operation,
  type OperationResult,
} from '@urql/core';
import { makeFetchBody } from '@urql/core/internal';
import { filter, make, merge, mergeMap, onEnd, pipe, type Source, subscribe, takeUntil } from 'wonka';
import { type ApplyOptions, applyChange, type ChangeEvent, eventOf } from './change.ts';
import { OperationError } from './errors.ts';
import { type FollowOptions, follow } from './follow.ts';
import { type ResumeOptions, resume } from './resume.ts';
import type { Transport } from './transport.ts';

type Variables = Record<string, unknown>;

/**
 * Returns the exchange for subscriptions, which are resumed by the cursor of their last event. `onResync` in the context of a subscription is called when missed
 * events can no longer be delivered: it loads the data again and returns its cursor.
 */
export function createExchange(transport: Transport): Exchange {
  return ({ client, forward }) =>
    (operations$) => {
      const results$ = pipe(
        operations$,
        filter(({ kind }) => kind === 'subscription'),
        mergeMap((operation) =>
          pipe(
            resultsOf(transport, operation, () =>
              client.reexecuteOperation(makeOperation('teardown', operation, operation.context)),
            ),
            takeUntil(
              pipe(
                operations$,
                filter(({ kind, key }) => kind === 'teardown' && key === operation.key),
              ),
            ),
          ),
        ),
      );
      const forwarded$ = pipe(
        operations$,
        filter(({ kind }) => kind !== 'subscription'),
        forward,
      );
      return merge([results$, forwarded$]);
    };
}

/** Rather than `subscriptionExchange`, which repeats the data of the last event in the result with an error. */
function resultsOf(transport: Transport, operation: Operation, onComplete: () => void): Source<OperationResult> {
  const { query = '', variables, operationName, extensions } = makeFetchBody(operation);
  const { onResync } = operation.context as ResumeOptions;
  const request = { query, variables: variables as Variables | undefined, operationName, extensions };
  return make<OperationResult>(({ next, complete }) => {
    const end = (): void => {
      complete();
      onComplete();
    };
    const subscription = resume(
      transport,
      request,
      {
        next: (result) => next(makeResult(operation, result as ExecutionResult)),
        error: (error) => {
          const { errors } = error instanceof OperationError ? error : {};
          next(errors ? makeResult(operation, { errors } as ExecutionResult) : makeErrorResult(operation, error));
          end();
        },
        complete: end,
      },
      { onResync },
    );
    return subscription.stop;
  });
}

export interface UrqlSnapshotOptions<Data> extends ApplyOptions, FollowOptions {
  /** The query of the snapshot, which selects `cursor` beside the data. */
  readonly query: DocumentInput<Data, Variables>;
  readonly variables?: Variables | undefined;
  /** The subscription to changes of the same data, with the variable `$after`. Its objects have the fields that the query selects. */
  readonly subscription: DocumentInput<unknown, Variables>;
  /** The variables of the subscription besides `after`. */
  readonly subscriptionVariables?: Variables | undefined;
  /** Called with the data of the snapshot and after each change, for clients without Graphcache. */
  readonly onData?: ((data: Data, event: ChangeEvent | null) => void) | undefined;
}

/**
 * Loads a query, and follows its changes by a subscription, without a gap. With Graphcache and `changeUpdates`, each `useQuery` that shows the query shows the
 * changes; without it, `onData` receives them. When missed changes can no longer be delivered, it loads the query again. Returns the function that ends it.
 */
export function snapshotThenStream<Data>(client: Client, options: UrqlSnapshotOptions<Data>): () => void {
  const { query, variables = {}, subscription, subscriptionVariables, onData, ...rest } = options;
  let present: Data | undefined;
  return follow(rest, {
    load: async () => {
      const { data, error } = await client.query(query, variables, { requestPolicy: 'network-only' }).toPromise();
      if (error || !data) {
        throw error?.networkError ?? new OperationError(error?.graphQLErrors ?? []);
      }
      present = data;
      onData?.(data, null);
      return data;
    },
    open: (after, onResync, sink) => {
      const changes = client.subscription(subscription, { ...subscriptionVariables, after }, { onResync } as object);
      const { unsubscribe } = pipe(
        changes,
        onEnd(sink.complete),
        subscribe(({ data, error }) => {
          if (error) {
            sink.error(error.networkError ?? new OperationError(error.graphQLErrors));
          } else if (data && present && onData) {
            const event = eventOf(data);
            present = applyChange(present, event, rest);
            onData(present, event);
          }
        }),
      );
      return unsubscribe;
    },
  });
}
