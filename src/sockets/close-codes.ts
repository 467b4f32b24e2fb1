/** The codes with which the server closes sockets: those of RFC 6455 and, above 4000, those of graphql-transport-ws and our own. */
export const CloseCode = {
  goingAway: 1001,
  internalError: 1011,
  /** The client reads too slowly, or there are too many subscriptions. */
  tryAgainLater: 1013,
  /** The cursor is malformed. */
  badRequest: 4400,
  /** The credential is missing. */
  unauthorized: 4401,
  /** The credential is refused or has ended, or its user has no access to the subject of the socket. */
  forbidden: 4403,
  /** The change log no longer contains all changes since the cursor. */
  resyncRequired: 4410,
  /** The user has too many open sockets. */
  tooMany: 4429,
} as const;
