/** Returns when an access token expires, in milliseconds of this machine's clock; null for API keys and other tokens that do not say. */
export function expiryOf(token: string): number | null {
  const claims = claimsOf(token);
  const { exp, iat } = claims ?? {};
  if (typeof exp !== 'number') {
    return null;
  }
  const now = Date.now();
  // No token is valid for longer than from its issue: so a clock that is behind does not put the refresh off.
  return typeof iat === 'number' ? Math.min(exp * 1000, now + (exp - iat) * 1000) : exp * 1000;
}

/** Returns for how long an access token is valid from its issue, in milliseconds; null when it does not say. */
export function lifeOf(token: string): number | null {
  const { exp, iat } = claimsOf(token) ?? {};
  return typeof exp === 'number' && typeof iat === 'number' ? (exp - iat) * 1000 : null;
}

function claimsOf(token: string): { exp?: unknown; iat?: unknown } | null {
  const [, payload] = token.split('.');
  if (payload === undefined) {
    return null;
  }
  try {
    const claims: unknown = JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/')));
    return typeof claims === 'object' ? claims : null;
  } catch {
    return null;
  }
}
