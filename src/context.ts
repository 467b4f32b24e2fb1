import type { KeyObject } from 'node:crypto';
import type { Feed } from './changes/feed.ts';
import type { TypingSignals } from './chat/typing.ts';
import type { Database } from './database/open.ts';
import type { AppError } from './errors.ts';

/** What a viewer knows of the server's rule for rows without an owner. */
interface Rights {
  /** Whether rows that nobody owns are everybody's (`ALLOW_ANONYMOUS`). */
  readonly sharesOwnerless: boolean;
}

/** A caller without credentials. */
export interface AnonymousViewer extends Rights {
  readonly kind: 'anonymous';
}

/** A caller whose credential was accepted for this request. */
export interface UserViewer extends Rights {
  readonly kind: 'user';
  readonly id: number;
  readonly username: string;
  readonly isStaff: boolean;
  readonly credential: Credential;
}

export type Viewer = AnonymousViewer | UserViewer;

/** What the caller signed the request with; ending it is what signing out means. */
export type Credential =
  | { readonly kind: 'session'; readonly id: number | null; readonly expiresAt: Date }
  | { readonly kind: 'key'; readonly id: number };

/** How credentials are issued. */
export interface TokenSettings {
  /** As a key object: a string would be tried as a public key of every format first, for each token. */
  readonly secret: KeyObject;
  readonly accessTokenLifeS: number;
  readonly refreshTokenLifeS: number;
  /** How many attempts to sign in with one name from one address may fail within five minutes. */
  readonly maxFailedSignIns: number;
}

/** What the services of every domain work with, whoever calls. */
export interface Services {
  readonly database: Database;
  readonly tokens: TokenSettings;
  /** Every committed change, as it comes. */
  readonly feed: Feed;
  readonly typing: TypingSignals;
  /** Writes what has to stay even where the present request fails: at once, or when the transaction around it is over. */
  readonly lastingly: (write: (database: Database) => Promise<void>) => Promise<void>;
}

/** What a request knows, the same for every door. */
export interface Context extends Services {
  readonly viewer: Viewer;
  /** Why the credential that came with the request was refused; null when it was accepted or none came. */
  readonly refusal: AppError | null;
  /** Names this request in the log and in answers to unexpected failures. */
  readonly requestId: string;
  /** Where the caller calls from: an IP address, empty where the door does not know. */
  readonly address: string;
  /** The position of the change log when the request came in: everything read for it includes what lies before. */
  readonly cursor: string;
  /** What the caller keeps open, where it is more than one answer. */
  readonly connection: Connection | null;
}

/** A socket or event stream, as far as operations on it may know. */
export interface Connection {
  /** Where an event stream that was interrupted wants to go on (`Last-Event-ID`); it overrules `after`. */
  readonly resumeAfter: string | null;
  /**
   * Puts another credential of the same user in the place of the one that it was opened with, and gives who that is; null where that
   * can't be. Fails with `INVALID_CREDENTIALS` when the token is not accepted or is another user's.
   */
  readonly renew: ((token: string) => Promise<UserViewer>) | null;
  /** Says that its reader is too slow, which ends it. */
  readonly overflow: () => void;
}
