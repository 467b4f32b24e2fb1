/** The tokens of a session. */
export interface Tokens {
  readonly token: string;
  readonly refreshToken: string;
  /** When the access token is to be refreshed, in milliseconds since 1970; null when that is not known. */
  readonly refreshAt: number | null;
  readonly username: string;
}

/** What of the Web Storage API is used. */
export type TokenStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** Keeps the tokens. */
export interface TokenStore {
  readonly read: () => Tokens | null;
  readonly write: (tokens: Tokens | null) => void;
}

/** Keeps the tokens in a storage, which all tabs of a browser share, or without one in this process. */
export function createTokenStore(storage: TokenStorage | null, key: string): TokenStore {
  let kept: Tokens | null = null;
  if (!storage) {
    return {
      read: () => kept,
      write: (tokens) => {
        kept = tokens;
      },
    };
  }
  return {
    read: () => parseTokens(storage.getItem(key)),
    write: (tokens) => {
      if (tokens) {
        storage.setItem(key, JSON.stringify(tokens));
      } else {
        storage.removeItem(key);
      }
    },
  };
}

function parseTokens(text: string | null): Tokens | null {
  try {
    const value: unknown = JSON.parse(text ?? 'null');
    const { token, refreshToken, refreshAt, username } = (value ?? {}) as Partial<Tokens>;
    return typeof token === 'string' && typeof refreshToken === 'string'
      ? { token, refreshToken, refreshAt: typeof refreshAt === 'number' ? refreshAt : null, username: String(username) }
      : null;
  } catch {
    return null;
  }
}

/** Returns the storage of the browser; null elsewhere, and where it is disabled. */
export function browserStorage(): TokenStorage | null {
  try {
    return typeof document === 'undefined' ? null : localStorage;
  } catch {
    return null;
  }
}
