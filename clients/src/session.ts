import { type AuthorizedFetchOptions, createAuthorizedFetch } from './authorized-fetch.ts';
import { createCookieSession } from './cookie-session.ts';
import type { Store } from './store.ts';
import { createTokenSession } from './token-session.ts';
import type { TokenStorage } from './token-store.ts';

export interface SessionState {
  /** `unknown` only in the mode `cookie`, until the server has said whether the cookie of the browser is valid. */
  readonly status: 'signed-in' | 'signed-out' | 'unknown';
  /** The name of the user who is signed in; null otherwise. */
  readonly username: string | null;
}

export interface SessionOptions {
  /** The URL of the GraphQL endpoint, or its path. */
  readonly url: string;
  /**
   * - `cookie`: the server sets a cookie that no script can read: for pages of the server's host. Nothing is stored by the page.
   * - `token`, the default: tokens that the page or program keeps.
   */
  readonly mode?: 'cookie' | 'token' | undefined;
  /** Where tokens are kept: by default `localStorage` in browsers, which the tabs share; null for the memory of this page or program. */
  readonly storage?: TokenStorage | null | undefined;
  /** Distinguishes sessions of several servers on one page; by default the URL. */
  readonly name?: string | undefined;
  readonly fetch?: typeof fetch | undefined;
}

/** Who is signed in, in all tabs of the browser. */
export interface Session extends Store<SessionState> {
  /** Signs in. Throws an {@link OperationError} with the code `CREDENTIALS` when the username or password is wrong, `RATE_LIMITED` after too many attempts. */
  readonly signIn: (username: string, password: string) => Promise<void>;
  /** Signs out in all tabs, and ends the session at the server. It rejects when the server was not reached: the session then ends when its tokens expire. */
  readonly signOut: () => Promise<void>;
  /** Returns an access token that is valid for some time, refreshed if necessary; null without a session, and in the mode `cookie`. */
  readonly getToken: () => Promise<string | null>;
  /** Returns an access token other than the refused one; null when the session has ended. Of all tabs, one refreshes. */
  readonly refresh: (refused: string) => Promise<string | null>;
  /**
   * Reports that the server no longer accepts the credential: the session ends in all tabs. With `refused`, the access token that is not accepted or null
   * without one, a session that has other tokens meanwhile goes on.
   */
  readonly ended: (refused?: string | null) => void;
  /** A `fetch` that sends the credential of the session. */
  readonly fetch: typeof fetch;
  /** Stops listening to other tabs. The session stays valid. */
  readonly close: () => void;
}

/** Returns the session of a page or program, which is signed in if an earlier page of the same browser was. */
export function createSession(options: SessionOptions): Session {
  const session = options.mode === 'cookie' ? createCookieSession(options) : createTokenSession(options);
  const fetchOptions: AuthorizedFetchOptions = {
    getToken: session.getToken,
    refresh: session.refresh,
    fetch: options.fetch,
    sendCookies: options.mode === 'cookie',
    onSignedOut: (_reason, refused) => session.ended(refused),
  };
  return { ...session, fetch: createAuthorizedFetch(fetchOptions) };
}
