import type { TokenFault } from './tokens.ts';

/** Why an access token is rejected: for a fault of the token, of its user or of its session. */
export type AccessTokenFault =
  | TokenFault
  | 'unknownUser'
  | 'otherUser'
  | 'inactiveUser'
  | 'sessionEnded'
  | 'sessionOver';

/** The documented sentences about an access token in a header. */
export const HEADER_FAULT_SENTENCES: Readonly<Record<AccessTokenFault, string>> = {
  expired: 'Signature has expired.',
  sessionOver: 'Signature has expired.',
  undecodable: 'Error decoding signature.',
  inapplicable: 'Incorrect authentication credentials.',
  incomplete: 'Invalid payload.',
  otherUser: 'Invalid payload.',
  unknownUser: 'Invalid signature.',
  inactiveUser: 'User account is disabled.',
  sessionEnded: 'Error decoding signature.',
};

/** The documented sentences about an access token that a client verifies or refreshes. */
export const VERIFICATION_FAULT_SENTENCES: Readonly<Record<AccessTokenFault, string>> = {
  ...HEADER_FAULT_SENTENCES,
  inapplicable: 'Error decoding signature.',
  unknownUser: "User doesn't exist.",
};

export const TOKEN_EXPIRED = 'The access token has expired. Refresh it, or sign in again.';
export const SESSION_OVER = 'The session has reached its longest duration. Sign in again.';
export const ACCOUNT_DEACTIVATED = 'The account is deactivated.';

/**
 * What GraphQL clients read about a token that was valid before: what happened, and what to do. At most 123 bytes each, the longest close reason of a
 * WebSocket (RFC 6455, section 5.5).
 */
export const FAULT_EXPLANATIONS: Partial<Readonly<Record<AccessTokenFault, string>>> = {
  expired: TOKEN_EXPIRED,
  sessionOver: SESSION_OVER,
  inactiveUser: ACCOUNT_DEACTIVATED,
  sessionEnded: 'The session has ended: signed out, ended elsewhere, or by a new password. Sign in again.',
};
