/** Why the server closes a socket: the codes of RFC 6455 and, above 4000, those that graphql-transport-ws has made common. */
export const CloseCode = {
  goingAway: 1001,
  internalError: 1011,
  /** The reader is too slow, or there are too many subscriptions. */
  tryAgainLater: 1013,
  /** The cursor is malformed. */
  badRequest: 4400,
  /** There is no credential. */
  unauthorized: 4401,
  /** The credential is refused or has ended, or its user has no right to what the socket is about. */
  forbidden: 4403,
  /** The log does not reach back to the cursor. */
  resyncRequired: 4410,
  /** The user has as many sockets as are allowed. */
  tooMany: 4429,
} as const;
