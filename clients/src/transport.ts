import { createAuthorizedFetch } from './authorized-fetch.ts';
import { Connection } from './connection.ts';
import type { ConnectionOptions, ConnectionState } from './connection-state.ts';
import {
  type OperationDocument,
  type OperationRequest,
  type OperationVariables,
  type ParsedDocument,
  textOf,
} from './document.ts';
import { OperationError, type ResponseError, type SignedOutError } from './errors.ts';
import { type OperationResponse, requestOverHttp } from './http-request.ts';
import type { Session } from './session.ts';
import type { Store } from './store.ts';

export interface TransportOptions extends ConnectionOptions {
  /** Where the credential comes from, in place of `getToken` and `refresh`. */
  readonly session?: Session | undefined;
  /** The `fetch` that sends queries and mutations; by default that of the platform. */
  readonly fetch?: typeof fetch | undefined;
  /** Makes the text of documents that do not have it, like those of gql.tada: `print` of the package graphql. */
  readonly print?: ((document: never) => string) | undefined;
}

/** Receives the results of an operation. Nothing follows an error or the completion. */
export interface ResultSink<Result = OperationResponse> {
  readonly next: (result: Result) => void;
  readonly error: (error: Error) => void;
  readonly complete: () => void;
}

/** A subscription that can be paused. Each call of `pause` is followed by one of `restart`. */
export interface Pausable {
  readonly pause: () => void;
  readonly restart: () => void;
}

/** A server: its socket, which all subscriptions share, and its endpoint for queries and mutations. */
export interface Transport extends Store<ConnectionState> {
  /** A `fetch` that sends the credential, and repeats a request with a refreshed token when the present one is refused. */
  readonly fetch: typeof fetch;
  readonly url: string;
  /** Returns the text of an operation. */
  readonly textOf: (document: string | string | ParsedDocument) => string;
  /** Sends a query or a mutation by HTTP and returns its data; throws an {@link OperationError}. */
  readonly request: <Data = Record<string, unknown>, Variables extends OperationVariables = OperationVariables>(
    document: OperationDocument<Data, Variables>,
    variables?: Variables,
    signal?: AbortSignal,
  ) => Promise<Data>;
  /**
   * Sends an operation over the socket, again after each loss of the connection. The request is a function, so that a subscription can be resumed where it
   * was. Returns the function that ends it.
   */
  readonly execute: (request: () => OperationRequest, sink: ResultSink) => () => void;
  /** Reports `catching-up` until the returned function is called. */
  readonly hold: () => () => void;
  /**
   * Runs work while no subscription delivers events, and then resumes the subscriptions where they were. It is for loading a further page of a list: the page may
   * be older than events that arrive while it is loaded, and the events are then applied to the list with the page.
   */
  readonly whilePaused: <Result>(work: () => Promise<Result>) => Promise<Result>;
  /** Adds a subscription that `whilePaused` pauses. Returns the function that removes it. */
  readonly addPausable: (subscription: Pausable) => () => void;
  /** Ends a connection whose token the server refused for an operation, and opens one with another token. Returns false without a token. */
  readonly refuseToken: () => boolean;
  /** Opens a new socket with the present credential, after the user signed in. A transport with a `session` does so by itself. */
  readonly reconnect: () => void;
  /** Ends all subscriptions and closes the socket. */
  readonly close: () => void;
}

/** Returns a transport. It opens a socket when the first subscription begins, and closes it a few seconds after the last one has ended. */
export function createTransport({ session, print, ...options }: TransportOptions): Transport {
  const credentials = session ?? options;
  const url = options.url;
  const onSignedOut = (error: SignedOutError): void => {
    session?.ended(connection.token);
    options.onSignedOut?.(error);
  };
  const connection = new Connection({
    ...options,
    onSignedOut,
    getToken: credentials.getToken,
    refresh: credentials.refresh,
  });
  const send =
    session?.fetch ?? createAuthorizedFetch({ ...options, onSignedOut: (reason) => connection.signOut(reason) });
  const unsubscribe = session && followSession(session, connection);
  const pausables = new Set<Pausable>();
  return {
    ...connection.state,
    url,
    fetch: send,
    textOf: (document) => textOf(document, print),
    request: async <Data, Variables extends OperationVariables>(
      document: OperationDocument<Data, Variables>,
      variables?: Variables,
      signal?: AbortSignal,
    ) => (await requestOverHttp(send, url, { query: textOf(document, print), variables }, signal)) as Data,
    execute: (request, sink) => execute(connection, request, sink),
    hold: () => connection.hold(),
    reconnect: () => connection.reconnect(),
    whilePaused: async (work) => {
      const paused = [...pausables];
      const release = connection.hold();
      for (const subscription of paused) {
        subscription.pause();
      }
      try {
        return await work();
      } finally {
        release();
        for (const subscription of paused) {
          subscription.restart();
        }
      }
    },
    addPausable: (subscription) => {
      pausables.add(subscription);
      return () => {
        pausables.delete(subscription);
      };
    },
    refuseToken: () => connection.refuseToken(),
    close: () => {
      unsubscribe?.();
      connection.close();
    },
  };
}

/** Ends the subscriptions of a user who signs out, and sends the credential of one who signs in. */
function followSession(session: Session, connection: Connection): () => void {
  let { username } = session.getState();
  return session.subscribe(() => {
    const earlier = username;
    ({ username } = session.getState());
    if (earlier !== null && earlier !== username) {
      // Reported to the session, it would end that of the user who has signed in meanwhile.
      connection.endOperations('The user signed out.');
    }
    if (username !== null) {
      connection.reconnect();
    }
  });
}

function execute(connection: Connection, request: () => OperationRequest, sink: ResultSink): () => void {
  let stopSocket: () => void = () => undefined;
  let isOver = false;
  const finish = (report?: () => void): void => {
    if (!isOver) {
      isOver = true;
      unregister();
      stopSocket();
      report?.();
    }
  };
  const unregister = connection.register((error) => finish(() => sink.error(error)));
  const send = async (): Promise<void> => {
    const client = await connection.prepare();
    if (isOver) {
      return;
    }
    stopSocket = client.subscribe<Record<string, unknown>>(latest(request), {
      next: (result) => {
        connection.received();
        if (!isOver) {
          deliver(sink, result as OperationResponse);
        }
      },
      error: (cause) => {
        if (Array.isArray(cause)) {
          finish(() => sink.error(new OperationError(cause as ResponseError[])));
        } else if (!isOver) {
          begin();
        }
      },
      complete: () => finish(sink.complete),
    });
  };
  const begin = (): void => {
    send().catch((error: unknown) => finish(() => sink.error(error as Error)));
  };
  begin();
  return () => finish();
}

/** Returns a payload that reads the request whenever it is sent: graphql-ws sends it again when the server closes a socket with 1000. */
function latest(request: () => OperationRequest) {
  return {
    get query() {
      return request().query;
    },
    get variables() {
      return request().variables as Record<string, unknown> | undefined;
    },
    get operationName() {
      return request().operationName;
    },
    get documentId() {
      return request().documentId;
    },
    get extensions() {
      return request().extensions;
    },
  };
}

/** Passes a result on. An exception of the receiver is reported by the platform, since graphql-ws would close the socket of all. */
function deliver(sink: ResultSink, result: OperationResponse): void {
  try {
    sink.next(result);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
