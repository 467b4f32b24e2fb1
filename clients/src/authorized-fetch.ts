/** Where the access token comes from. */
export interface Credentials {
  /** Returns the present access token or API key; null without one. Called for each request and each connection. */
  readonly getToken?: (() => string | null | Promise<string | null>) | undefined;
  /**
   * Returns a token other than `refused`, which the server no longer accepts or will soon not accept; null when the user has to sign in again. It throws when
   * that is not known, for example offline: it is then called again.
   */
  readonly refresh?: ((refused: string) => string | null | Promise<string | null>) | undefined;
}

export interface AuthorizedFetchOptions extends Credentials {
  readonly fetch?: typeof fetch | undefined;
  /** Sends the session cookie with each request, also to another origin. */
  readonly sendCookies?: boolean | undefined;
  /** Called when a token or cookie is refused and cannot be refreshed. */
  readonly onSignedOut?: ((reason: string, refused: string | null) => void) | undefined;
}

const UNAUTHENTICATED = 401;
/** Without the first of these types, a GraphQL server reports a refused token with the status 200. */
const ACCEPT = 'application/graphql-response+json, application/json;q=0.9, */*;q=0.1';

/** Returns a `fetch` that sends the access token, and repeats a request once with a refreshed token when it is answered with 401. */
export function createAuthorizedFetch(options: AuthorizedFetchOptions): typeof fetch {
  const { getToken, refresh, sendCookies, onSignedOut } = options;
  const send = (input: RequestInfo | URL, init: RequestInit | undefined, token: string | null): Promise<Response> => {
    const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined));
    if (!headers.has('accept')) {
      headers.set('accept', ACCEPT);
    }
    if (token !== null) {
      headers.set('authorization', `Bearer ${token}`);
    }
    const sent = { ...init, headers, ...(sendCookies && { credentials: 'include' as const }) };
    return (options.fetch ?? fetch)(input instanceof Request ? input.clone() : input, sent);
  };
  return async (input, init) => {
    const token = (await getToken?.()) ?? null;
    const response = await send(input, init, token);
    // Without a credential, 401 says that the operation needs one.
    if (response.status !== UNAUTHENTICATED || (token === null && !sendCookies)) {
      return response;
    }
    const next = token === null || !refresh ? null : await refresh(token);
    if (next === null || next === token) {
      onSignedOut?.('The server no longer accepts the credential.', token);
      return response;
    }
    return send(input, init, next);
  };
}
