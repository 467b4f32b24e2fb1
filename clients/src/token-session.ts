import { expiryOf } from './jwt.ts';
import { END_SESSION, OBTAIN_TOKEN, REFRESH_TOKEN } from './operations.ts';
import type { Session, SessionOptions, SessionState } from './session.ts';
import { isRefusal, sessionRequest } from './session-requests.ts';
import { createStore } from './store.ts';
import { createLock, openTabChannel } from './tabs.ts';
import { browserStorage, createTokenStore, type Tokens } from './token-store.ts';

/** The time before its expiry at which an access token is refreshed, in milliseconds, or a tenth of its life if that is shorter. */
const MARGIN_MS = 10_000;

interface TokenPair {
  readonly __typename: string;
  readonly token: string;
  readonly refreshToken: string;
  readonly user: { readonly username: string };
}

/** A session without the `fetch` that is made of it. */
export type SessionCore = Omit<Session, 'fetch'>;

/** Returns a session of access and refresh tokens, which all tabs of a browser share. */
export function createTokenSession(options: SessionOptions): SessionCore {
  const name = `tidings:${options.name ?? options.url}`;
  const tokens = createTokenStore(options.storage === undefined ? browserStorage() : options.storage, name);
  const lock = createLock(name);
  const store = createStore<SessionState>(stateOf(tokens.read()));
  const show = (): void => {
    const next = stateOf(tokens.read());
    const present = store.getState();
    if (next.status !== present.status || next.username !== present.username) {
      store.set(next);
    }
  };
  const channel = openTabChannel(name, show);
  const keep = (next: Tokens | null): void => {
    tokens.write(next);
    channel.announce();
    show();
  };

  /** Returns the tokens after a refresh by this or another tab; null when the session has ended. */
  const refreshed = (refused: string): Promise<Tokens | null> =>
    lock(async () => {
      const present = tokens.read();
      if (!present || present.token !== refused) {
        return present;
      }
      try {
        const pair = await sessionRequest<TokenPair>(options, REFRESH_TOKEN, { token: present.refreshToken });
        // The user may have signed out meanwhile.
        const isCurrent = tokens.read()?.refreshToken === present.refreshToken;
        keep(isCurrent ? tokensOf(pair) : tokens.read());
      } catch (error) {
        if (!isRefusal(error)) {
          throw error;
        }
        // The user may have signed in again meanwhile.
        if (tokens.read()?.refreshToken === present.refreshToken) {
          keep(null);
        }
      }
      return tokens.read();
    });
  const refresh = async (refused: string): Promise<string | null> => (await refreshed(refused))?.token ?? null;
  const getToken = async (): Promise<string | null> => {
    const present = tokens.read();
    return present && isExpiring(present) ? refresh(present.token) : (present?.token ?? null);
  };
  return {
    getState: store.getState,
    subscribe: store.subscribe,
    getToken,
    refresh,
    signIn: async (username, password) => {
      const pair = await sessionRequest<TokenPair>(options, OBTAIN_TOKEN, { input: { username, password } });
      const earlier = tokens.read();
      if (earlier) {
        // Subscriptions of the earlier session end with it.
        keep(null);
      }
      keep(tokensOf(pair));
      if (earlier) {
        // Nobody can sign out of it any more. When the server is not reached, it ends when its tokens expire.
        endSession(options, earlier).catch(() => undefined);
      }
    },
    signOut: async () => {
      const present = tokens.read();
      keep(null);
      if (present) {
        await endSession(options, present);
      }
    },
    ended: (refused) => {
      if (refused === undefined || tokens.read()?.token === refused) {
        keep(null);
      }
    },
    close: channel.close,
  };
}

/** Ends a session at the server. */
async function endSession(options: SessionOptions, { token, refreshToken }: Tokens): Promise<void> {
  const end = (accessToken: string): Promise<unknown> =>
    sessionRequest(options, END_SESSION, {}, { headers: { authorization: `Bearer ${accessToken}` } });
  try {
    await end(token).catch(async (error: unknown) => {
      if (!isRefusal(error)) {
        throw error;
      }
      // The access token may have expired, and the session not.
      const pair = await sessionRequest<TokenPair>(options, REFRESH_TOKEN, { token: refreshToken });
      await end(pair.token);
    });
  } catch (error) {
    // A session that has ended already need not be ended.
    if (!isRefusal(error)) {
      throw error;
    }
  }
}

function tokensOf({ token, refreshToken, user }: TokenPair): Tokens {
  const expiresAt = expiryOf(token);
  const marginMs = Math.min(MARGIN_MS, ((expiresAt ?? 0) - Date.now()) / 10);
  return { token, refreshToken, refreshAt: expiresAt === null ? null : expiresAt - marginMs, username: user.username };
}

function isExpiring({ refreshAt }: Tokens): boolean {
  return refreshAt !== null && Date.now() >= refreshAt;
}

function stateOf(tokens: Tokens | null): SessionState {
  return { status: tokens ? 'signed-in' : 'signed-out', username: tokens?.username ?? null };
}
