import type { KeyObject } from 'node:crypto';
import type { Feed } from './changes/feed.ts';
import type { Signals } from './changes/signals.ts';
import type { Config, WriteLimits } from './config/config.ts';
import type { Database } from './database/client.ts';
import type { ReadContext } from './database/read-context.ts';
import type { AppError } from './errors.ts';
import type { Mailer } from './mail/mailer.ts';
import type { RequestRecord, Telemetry } from './telemetry.ts';
import type { UserViewer, Viewer } from './viewer.ts';

/** A secret of the server, which signs tokens and links. */
export interface SigningKey {
  /** The `kid` of the tokens that it signs; it reveals nothing about the key. */
  readonly id: string;
  /** A key object, since the library would try to parse a string as a public key of each format for each token. */
  readonly key: KeyObject;
}

/** The secrets of the server, which change when the operator rotates them. Read them for each use. */
export interface SigningKeys {
  /** The key that signs. */
  readonly signing: SigningKey;
  /** The keys whose tokens and links are accepted: the one that signs, and after it the other ones. */
  readonly accepted: readonly SigningKey[];
}

/** The settings for issuing credentials. */
export interface TokenSettings {
  readonly keys: SigningKeys;
  readonly accessTokenLifeS: number;
  readonly refreshTokenLifeS: number;
  /** The longest life of a session, which refreshing does not extend, in seconds. */
  readonly sessionLifeS: number;
  /** The number of failed attempts within five minutes to sign in with one name from one address, or to confirm a password with one credential. */
  readonly maxFailedSignIns: number;
  /** The number of failed attempts with one name from all addresses, or with all credentials of a user. */
  readonly maxFailedSignInsPerName: number;
  /** The number of failed attempts from one address with any name. */
  readonly maxFailedSignInsPerAddress: number;
}

/** The settings for resetting passwords and verifying email addresses. */
export interface RecoverySettings {
  /** Sends the links; null when mail is not configured. */
  readonly mailer: Mailer | null;
  readonly links: Config['auth']['links'];
}

/** The API of a request: GraphQL over any transport, or REST. */
export type RequestSource = 'GRAPHQL' | 'REST';

/** A cache of the viewers of the credentials that this process accepted recently. */
export interface IdentityCache {
  /** Returns the viewer of a credential from the cache; undefined when it has to be read from the database. */
  find(credential: string): UserViewer | undefined;
  /** Reads the viewer of a credential and caches it for a minute, or `maxAgeMs`, unless it may already be out of date. */
  read(credential: string, read: () => Promise<UserViewer>, maxAgeMs?: number): Promise<UserViewer>;
  /**
   * Bypasses the cache for a user for a minute. Call it before a write that ends a credential or changes a property of {@link UserViewer}, so that the next
   * request reads it from the database: the log reports the change only after the commit.
   */
  suspend(userId: number): void;
}

/** The users who have open connections to this process: WebSockets and event streams. */
export interface ConnectedUsers {
  has(userId: number): boolean;
  /** Calls back for each user who opens their first connection or closes their last one; returns the function that removes the listener. */
  onChange(listener: (userId: number, isConnected: boolean) => void): () => void;
}

/** The dependencies of the services of all domains, independent of the caller. */
export interface Services {
  readonly database: Database;
  readonly tokens: TokenSettings;
  readonly writeLimits: WriteLimits;
  readonly recovery: RecoverySettings;
  /** The viewers of the credentials that were accepted recently. */
  readonly identities: IdentityCache;
  /** The feed of committed changes. */
  readonly feed: Feed;
  /** The messages between the processes of the server that are not stored. */
  readonly signals: Signals;
  /** The users who have open connections to this process. */
  readonly connectedUsers: ConnectedUsers;
  /** The log, metrics and traces. */
  readonly telemetry: Telemetry;
}

/** The context of a request, the same for all transports. */
export interface Context extends Services, ReadContext {
  readonly viewer: Viewer;
  /** The error with which the credential of the request was refused; null when it was accepted or the request has none. */
  readonly refusal: AppError | null;
  /** The session cookie of the request and of its response; null on transports without cookies. */
  readonly cookie: SessionCookie | null;
  /** Identifies the request in log lines and in responses to unexpected failures. */
  readonly requestId: string;
  /** The IPv4 address or the /64 network of the IPv6 address of the caller; empty when the transport does not know it. */
  readonly address: string;
  /** The `User-Agent` header of the request; undefined when it has none. */
  readonly userAgent: string | undefined;
  readonly source: RequestSource;
  /** The request or operation, as the log and the metrics describe it; null for work that is reported as part of another one. */
  readonly record: RequestRecord | null;
  /** The position of the change log when the request arrived: all rows that are read for the request include the changes before it. */
  readonly cursor: string;
  /** The socket or event stream of the operation; null for a single HTTP request. */
  readonly connection: TransportConnection | null;
}

/** The session cookie of a request and of its response. */
export interface SessionCookie {
  /** The value in the request, or in the response once it was written; undefined when there is none. */
  readonly value: string | undefined;
  /** The error with which cookies of the request are refused, since it may be cross-site (CSRF); null when it may use and set a cookie. */
  readonly refusal: AppError | null;
  /** Sets the cookie in the response, or clears it when called with null; null on sockets and event streams, where results have no headers. */
  readonly write: ((cookie: NewCookie | null) => void) | null;
}

/** A session cookie to set. */
export interface NewCookie {
  readonly value: string;
  /** When the browser deletes it. */
  readonly expiresAt: Date;
}

/** The socket or event stream of an operation. */
export interface TransportConnection {
  /** The cursor of the last event that the client of an event stream received (`Last-Event-ID`); it takes precedence over `after`. */
  readonly resumeAfter: string | null;
  /**
   * Replaces the credential of the connection by another one of the same user; returns the user. Throws `INVALID_CREDENTIALS` when the token is refused or
   * belongs to another user. Null for a transport that does not support it.
   */
  readonly renew: ((token: string) => Promise<UserViewer>) | null;
}

/** The dependencies of signing in: the services, and the address and the program of the caller if they are known. */
export type Caller = Services & Partial<Pick<Context, 'address' | 'userAgent' | 'source' | 'requestId'>>;
