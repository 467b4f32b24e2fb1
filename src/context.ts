import type { KeyObject } from 'node:crypto';
import type { Identities } from './accounts/identities.ts';
import type { RecoverySettings } from './accounts/recovery.ts';
import type { Feed } from './changes/feed.ts';
import type { TypingSignals } from './chat/typing.ts';
import type { AnswerBudget } from './database/answer-budget.ts';
import type { Database } from './database/open.ts';
import type { AppError } from './errors.ts';
import type { UserViewer, Viewer } from './viewer.ts';

/** How credentials are issued. */
export interface TokenSettings {
  /** As a key object: a string would be tried as a public key of every format first, for each token. */
  readonly secret: KeyObject;
  readonly accessTokenLifeS: number;
  readonly refreshTokenLifeS: number;
  /** How long a session lasts at the most, however often it is refreshed. */
  readonly sessionLifeS: number;
  /** How many attempts to sign in with one name from one address, or to confirm a password with one credential, may fail within five minutes. */
  readonly maxFailedSignIns: number;
  /** The same with one name from any address, or with all credentials of a user. */
  readonly maxFailedSignInsPerName: number;
  /** The same from one address with any name. */
  readonly maxFailedSignInsPerAddress: number;
}

/** How often something that costs nobody a credential may be done within a time. */
export interface WriteLimits {
  /** How many todos, lists and notes callers without a credential may write from one address within five minutes. */
  readonly maxAnonymousPerAddress: number;
  /** How many accounts may be made from one address within an hour. */
  readonly maxSignUpsPerAddress: number;
  /** How many mails may be asked for from one address within an hour. */
  readonly maxMailsPerAddress: number;
  /** How many mails may be asked for with one name, and sent to one email address, within an hour. */
  readonly maxMailsPerUser: number;
}

/** How a request came: by a GraphQL operation, whatever its transport, or by a REST path. */
export type RequestSource = 'GRAPHQL' | 'REST';

/** What the services of every domain work with, whoever calls. */
export interface Services {
  readonly database: Database;
  readonly tokens: TokenSettings;
  readonly writeLimits: WriteLimits;
  readonly recovery: RecoverySettings;
  /** Whose the credentials are that were accepted lately. */
  readonly identities: Identities;
  /** Every committed change, as it comes. */
  readonly feed: Feed;
  readonly typing: TypingSignals;
}

/** What a request knows, the same for every transport. */
export interface Context extends Services {
  readonly viewer: Viewer;
  /** Why the credential that came with the request was refused; null when it was accepted or none came. */
  readonly refusal: AppError | null;
  /** The session cookie of the request and of its answer; null on connections that carry none. */
  readonly cookie: SessionCookie | null;
  /** Names this request in the log and in answers to unexpected failures. */
  readonly requestId: string;
  /** The IP address of the caller, of IPv6 the network of 64 bits; empty where the transport does not know it. */
  readonly address: string;
  /** What the operation may still read and answer. */
  readonly answer: AnswerBudget;
  /** The `User-Agent` header of the request; undefined where there is none. */
  readonly userAgent: string | undefined;
  readonly source: RequestSource;
  /** The position of the change log when the request arrived: everything that is read for it includes the changes before. */
  readonly cursor: string;
  /** The connection that stays open, where the operation came over one. */
  readonly connection: Connection | null;
  /**
   * Present where an event is executed for its subscribers: they may see the object that it is about, and executions with the same value share
   * the rows that hang on it.
   */
  readonly delivery?: object;
}

/** The session cookie that came with a request, and the one that goes with the answer. */
export interface SessionCookie {
  /** Its value, that of the answer once one was written; undefined when there is none. */
  readonly value: string | undefined;
  /** Why the request may neither use a cookie nor have one set: nothing shows that a page of ours made it. Null when it may. */
  readonly refusal: AppError | null;
  /** Sets the cookie by the answer, or clears it for null; null where an answer has no headers of its own: on sockets and event streams. */
  readonly write: ((cookie: NewCookie | null) => void) | null;
}

/** A session cookie that a browser keeps. */
export interface NewCookie {
  readonly value: string;
  /** When the browser forgets it. */
  readonly expiresAt: Date;
}

/** A socket or event stream, as far as operations on it may know. */
export interface Connection {
  /** The cursor at which an event stream was interrupted (`Last-Event-ID`); it takes precedence over `after`. */
  readonly resumeAfter: string | null;
  /**
   * Replaces the credential that it was opened with by another one of the same user, who is returned; null where that is not possible.
   * Fails with `INVALID_CREDENTIALS` when the token is not accepted or is another user's.
   */
  readonly renew: ((token: string) => Promise<UserViewer>) | null;
}
