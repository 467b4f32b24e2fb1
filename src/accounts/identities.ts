import { LRUCache } from 'lru-cache';
import type { Change } from '../changes/change.ts';
import type { Feed } from '../changes/feed.ts';
import type { UserViewer } from '../viewer.ts';
import { userOfScope } from './scopes.ts';

/** The bytes that identities may take. */
const MAX_BYTES = 16 * 1024 * 1024;
/** What an identity takes beside its credential, in bytes. */
const ENTRY_BYTES = 600;
/** How long an identity is kept, in milliseconds: a bound on what the log could fail to report. */
const MAX_AGE_MS = 60_000;
/** How long a user's identities are read from the database after this process began to change them, in milliseconds: longer than any transaction lasts. */
const SUSPENSION_MS = 60_000;
/** How many users may be suspended at once; ending a credential costs its user more than any flood could afford. */
const MAX_SUSPENDED = 100_000;

/**
 * Whose the credentials are that this process accepted lately. An identity is forgotten when the log reports a change of the user, the session or the key,
 * and when this process begins to write one. While the feed does not know of all commits up to a moment ago, nothing is served from memory.
 */
export class Identities {
  readonly #feed: Feed;
  readonly #byCredential: LRUCache<string, UserViewer>;
  readonly #credentialsOf = new Map<number, Set<string>>();
  readonly #suspended = new LRUCache<number, true>({ max: MAX_SUSPENDED, ttl: SUSPENSION_MS });
  /** Counts what may have changed an identity: one that was read meanwhile is not kept. */
  #generation = 0;

  constructor(feed: Feed) {
    this.#feed = feed;
    this.#byCredential = new LRUCache({
      maxSize: MAX_BYTES,
      sizeCalculation: (_viewer, credential) => ENTRY_BYTES + credential.length,
      ttl: MAX_AGE_MS,
      dispose: ({ id }, credential) => this.#unlink(id, credential),
    });
    feed.onEveryAccess((change) => this.#onAccessChange(change));
    feed.whenLost(() => this.#clear());
  }

  /** The viewer whom a credential belongs to, without asking the database; undefined when that has to be asked. */
  find(credential: string): UserViewer | undefined {
    if (!this.#feed.isCurrent) {
      return undefined;
    }
    const viewer = this.#byCredential.get(credential);
    if (viewer?.credential.kind === 'session' && viewer.credential.expiresAt.getTime() <= Date.now()) {
      return undefined;
    }
    return viewer;
  }

  /** Reads the viewer whom a credential belongs to, and keeps the answer for a minute, or `maxAgeMs`, unless it may be out of date already. */
  async read(credential: string, read: () => Promise<UserViewer>, maxAgeMs = MAX_AGE_MS): Promise<UserViewer> {
    const generation = this.#generation;
    const viewer = await read();
    if (generation === this.#generation && this.#feed.isCurrent && !this.#suspended.has(viewer.id)) {
      this.#byCredential.set(credential, viewer, { ttl: Math.min(MAX_AGE_MS, maxAgeMs) });
      const credentials = this.#credentialsOf.get(viewer.id) ?? new Set();
      this.#credentialsOf.set(viewer.id, credentials.add(credential));
    }
    return viewer;
  }

  /**
   * Has the identities of a user read from the database for a minute. Call it before a write that ends a credential or changes what a {@link UserViewer}
   * holds, so that the next request sees it: the log reports it only after the commit.
   */
  suspend(userId: number): void {
    this.#generation += 1;
    this.#suspended.set(userId, true);
    this.#forget(userId);
  }

  #onAccessChange(change: Change): void {
    this.#generation += 1;
    for (const scope of [change.scope, change.otherScope]) {
      const userId = scope === null ? null : userOfScope(scope);
      if (userId !== null) {
        this.#forget(userId);
      }
    }
  }

  #forget(userId: number): void {
    for (const credential of this.#credentialsOf.get(userId) ?? []) {
      this.#byCredential.delete(credential);
    }
  }

  #clear(): void {
    this.#generation += 1;
    this.#byCredential.clear();
  }

  #unlink(userId: number, credential: string): void {
    const credentials = this.#credentialsOf.get(userId);
    if (credentials?.delete(credential) && credentials.size === 0) {
      this.#credentialsOf.delete(userId);
    }
  }
}
