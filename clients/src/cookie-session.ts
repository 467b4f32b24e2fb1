import { OperationError } from './errors.ts';
import { requestOverHttp } from './http-request.ts';
import { SIGN_IN, SIGN_OUT, VIEWER } from './operations.ts';
import type { SessionOptions, SessionState } from './session.ts';
import { sessionRequest } from './session-requests.ts';
import { createStore } from './store.ts';
import { openTabChannel } from './tabs.ts';
import type { SessionCore } from './token-session.ts';

const SIGNED_OUT: SessionState = { status: 'signed-out', username: null };

/** Returns the session of the browser's cookie. Its state is `unknown` until the server has been asked. */
export function createCookieSession(options: SessionOptions): SessionCore {
  const store = createStore<SessionState>({ status: 'unknown', username: null });
  const set = (next: SessionState): void => {
    const present = store.getState();
    if (next.status !== present.status || next.username !== present.username) {
      store.set(next);
    }
  };
  const send: typeof fetch = (input, init) => (options.fetch ?? fetch)(input, { ...init, credentials: 'include' });
  const ask = async (): Promise<void> => {
    try {
      const { viewer } = await requestOverHttp(send, options.url, { query: VIEWER });
      const username = (viewer as { username: string } | null)?.username ?? null;
      set(username === null ? SIGNED_OUT : { status: 'signed-in', username });
    } catch (error) {
      // A refused cookie; offline, the state stays what it was.
      if (error instanceof OperationError && error.code === 'UNAUTHENTICATED') {
        set(SIGNED_OUT);
      }
    }
  };
  const channel = openTabChannel(`tidings:${options.name ?? options.url}`, ask);
  const change = (next: SessionState): void => {
    set(next);
    channel.announce();
  };
  if (typeof document !== 'undefined') {
    void ask();
  }
  return {
    getState: store.getState,
    subscribe: store.subscribe,
    getToken: async () => null,
    refresh: async () => null,
    signIn: async (username, password) => {
      const { username: accepted } = await sessionRequest<{ __typename: string; username: string }>(
        { ...options, fetch: send },
        SIGN_IN,
        { input: { username, password } },
      );
      if (store.getState().status === 'signed-in') {
        // Subscriptions of the earlier session end with it.
        change(SIGNED_OUT);
      }
      change({ status: 'signed-in', username: accepted });
    },
    signOut: async () => {
      await requestOverHttp(send, options.url, { query: SIGN_OUT });
      change(SIGNED_OUT);
    },
    ended: () => change(SIGNED_OUT),
    close: channel.close,
  };
}
