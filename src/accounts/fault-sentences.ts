import type { TokenFault } from './tokens.ts';

/** Why an access token is no proof: its own fault, or that of whom it names. */
export type ProofFault = TokenFault | 'unknownUser' | 'otherUser' | 'inactiveUser' | 'ended' | 'over';

/** Sentences of the originals for an access token in a header. */
export const HEADER_SENTENCES: Readonly<Record<ProofFault, string>> = {
  expired: 'Signature has expired.',
  over: 'Signature has expired.',
  undecodable: 'Error decoding signature.',
  inapplicable: 'Incorrect authentication credentials.',
  incomplete: 'Invalid payload.',
  otherUser: 'Invalid payload.',
  unknownUser: 'Invalid signature.',
  inactiveUser: 'User account is disabled.',
  ended: 'Error decoding signature.',
};

/** Sentences of the originals for whoever asks about an access token. */
export const QUESTION_SENTENCES: Readonly<Record<ProofFault, string>> = {
  ...HEADER_SENTENCES,
  inapplicable: 'Error decoding signature.',
  unknownUser: "User doesn't exist.",
};

export const EXPIRED = 'The access token has expired. Refresh it, or sign in again.';
export const OVER = 'The session has lasted as long as sessions may. Sign in again.';
export const DEACTIVATED = 'The account is deactivated.';

/**
 * What clients of GraphQL are told of a token that was good once: what has happened, and what to do. At most 123 bytes, the longest reason for closing a
 * WebSocket.
 */
export const EXPLANATIONS: Partial<Readonly<Record<ProofFault, string>>> = {
  expired: EXPIRED,
  over: OVER,
  inactiveUser: DEACTIVATED,
  ended: 'The session has ended: signed out, ended elsewhere, or by a new password. Sign in again.',
};
