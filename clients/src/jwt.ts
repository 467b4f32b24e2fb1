/**
 * Returns when an access token expires, in milliseconds since 1970. Null for API keys and other tokens that do not say, and for tokens that have expired by the
 * clock of this machine: a token in use is valid, so that the clock is wrong.
 */
export function expiryOf(token: string): number | null {
  const [, payload] = token.split('.');
  if (payload === undefined) {
    return null;
  }
  try {
    const claims: unknown = JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/')));
    const { exp } = (claims ?? {}) as { exp?: unknown };
    return typeof exp === 'number' && exp * 1000 > Date.now() ? exp * 1000 : null;
  } catch {
    return null;
  }
}
