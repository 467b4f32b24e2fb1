import { createSession, createTransport, type Session, type SessionState } from 'tidings-client';
import { afterEach, describe, expect, it, vi } from 'vitest';

const URL = 'http://server.test/graphql';
const KEY = `tidings:${URL}`;

/** As `localStorage`, which the tabs share. */
function sharedStorage() {
  const entries = new Map<string, string>();
  return {
    getItem: (key: string) => entries.get(key) ?? null,
    setItem: (key: string, value: string) => void entries.set(key, value),
    removeItem: (key: string) => void entries.delete(key),
  };
}

interface Sent {
  readonly query: string;
  readonly variables: { readonly token?: string; readonly input?: { readonly username: string } };
  readonly authorization: string | undefined;
}

const json = (body: object) =>
  new Response(JSON.stringify(body), { headers: { 'content-type': 'application/graphql-response+json' } });
const pairOf = (username: string) => ({
  __typename: 'TokenPair',
  token: `access of ${username}`,
  refreshToken: `refresh of ${username}`,
  user: { username },
});

/** A server that refuses each refresh, after `beforeRefusal`. */
function sessionsOf(beforeRefusal: () => Promise<void> = async () => undefined) {
  const sent: Sent[] = [];
  const send = (async (_url: string, init: RequestInit) => {
    const { query, variables } = JSON.parse(String(init.body)) as Sent;
    sent.push({ query, variables, authorization: (init.headers as Record<string, string>)['authorization'] });
    if (query.includes('obtainToken')) {
      return json({ data: { obtainToken: pairOf(variables.input?.username ?? '') } });
    }
    if (query.includes('refreshToken')) {
      await beforeRefusal();
      return json({ data: { refreshToken: { __typename: 'CredentialsError', message: 'refused' } } });
    }
    return json({ data: { destroyAuthToken: true } });
  }) as typeof fetch;
  const storage = sharedStorage();
  return { sent, storage, open: () => createSession({ url: URL, storage, fetch: send }) };
}

describe('a session that several tabs share', () => {
  it('should keep the tokens of a user who signed in while those of another were refused', async () => {
    const { storage, open } = sessionsOf(() => second.signIn('ben', 'password'));
    const [first, second] = [open(), open()];
    await first.signIn('ann', 'password');
    expect(await first.refresh('access of ann')).toBe('access of ben');
    expect(storage.getItem(KEY)).toContain('refresh of ben');
    first.ended('access of ann');
    expect(storage.getItem(KEY)).toContain('refresh of ben');
    first.ended('access of ben');
    expect(storage.getItem(KEY)).toBeNull();
  });

  it('should end at the server when another user signs in over it', async () => {
    const { sent, open } = sessionsOf();
    const session = open();
    await session.signIn('ann', 'password');
    await session.signIn('ben', 'password');
    await expect
      .poll(() => sent.filter(({ query }) => query.includes('destroyAuthToken')).map((each) => each.authorization))
      .toEqual(['Bearer access of ann']);
    expect(session.getState().username).toBe('ben');
  });
});

describe('a session of a page', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it('should sign in and out after it was closed', async () => {
    vi.stubGlobal('document', {});
    vi.stubGlobal('addEventListener', () => undefined);
    vi.stubGlobal('removeEventListener', () => undefined);
    const session = sessionsOf().open();
    session.close();
    await session.signIn('ann', 'password');
    await session.signOut();
    expect(session.getState().status).toBe('signed-out');
  });
});

describe('a transport with a session', () => {
  it('should go on as another user who signs in, and leave the session to them', async () => {
    let state: SessionState = { status: 'signed-in', username: 'ann' };
    const listeners = new Set<() => void>();
    const ended = vi.fn();
    const session: Session = {
      getState: () => state,
      subscribe: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      // The socket is not opened.
      getToken: () => new Promise(() => undefined),
      refresh: async () => null,
      signIn: async () => undefined,
      signOut: async () => undefined,
      ended,
      fetch,
      close: () => undefined,
    };
    const transport = createTransport({ url: URL, session });
    const error = vi.fn();
    transport.execute(() => ({ query: 'subscription { a }' }), { next: vi.fn(), error, complete: vi.fn() });
    const change = (username: string | null) => {
      state = { status: username === null ? 'signed-out' : 'signed-in', username };
      for (const listener of listeners) {
        listener();
      }
    };
    change('ben');
    expect(error.mock.calls.map(([{ name }]) => name)).toEqual(['SignedOutError']);
    expect(transport.getState().status).toBe('idle');
    change(null);
    expect(transport.getState().status).toBe('signed-out');
    expect(ended).not.toHaveBeenCalled();
    transport.close();
  });
});
