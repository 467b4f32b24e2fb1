import { LRUCache } from 'lru-cache';
import type { Change } from '../changes/change.ts';
import type { Feed } from '../changes/feed.ts';
import type { IdentityCache } from '../context.ts';
import type { UserViewer } from '../viewer.ts';
import { userOfScope } from './scopes.ts';

/** The memory that the cached identities may take, in bytes. */
const MAX_BYTES = 16 * 1024 * 1024;
/** The memory that an identity takes in addition to its credential, in bytes. */
const ENTRY_BYTES = 600;
/** How long an identity is cached, in milliseconds: a bound on the effect of a change that the log fails to report. */
const MAX_AGE_MS = 60_000;
/** How long a user's identities are not cached after this process began to change them, in milliseconds: longer than any transaction. */
const SUSPENSION_MS = 60_000;
/** How many users may be suspended at once. Ending a credential costs its user too much for anybody to reach this number. */
const MAX_SUSPENDED = 100_000;

/**
 * Caches the viewers of the credentials that this process accepted lately. It removes an identity when the log reports a change of the user, the session or the
 * key, and when this process begins such a change. While the feed is behind the log, it serves nothing.
 */
export class Identities implements IdentityCache {
  readonly #feed: Feed;
  readonly #byCredential: LRUCache<string, UserViewer>;
  readonly #credentialsOf = new Map<number, Set<string>>();
  readonly #suspended = new LRUCache<number, true>({ max: MAX_SUSPENDED, ttl: SUSPENSION_MS });
  /** Counts the events that may have changed an identity: an identity that was read across such an event is not cached. */
  #generation = 0;

  constructor(feed: Feed) {
    this.#feed = feed;
    this.#byCredential = new LRUCache({
      maxSize: MAX_BYTES,
      sizeCalculation: (_viewer, credential) => ENTRY_BYTES + credential.length,
      ttl: MAX_AGE_MS,
      dispose: ({ id }, credential) => this.#unlink(id, credential),
    });
    feed.onAnyAccess((change) => this.#onAccessChange(change));
    feed.onLogReset(() => this.#clear());
  }

  /** How many credentials were found in the cache, and how many were not. */
  readonly counts = { hit: 0, miss: 0 };

  find(credential: string): UserViewer | undefined {
    const viewer = this.#findCurrent(credential);
    this.counts[viewer ? 'hit' : 'miss'] += 1;
    return viewer;
  }

  #findCurrent(credential: string): UserViewer | undefined {
    if (!this.#feed.isCurrent) {
      return undefined;
    }
    const viewer = this.#byCredential.get(credential);
    if (viewer?.credential.kind === 'session' && viewer.credential.expiresAt.getTime() <= Date.now()) {
      return undefined;
    }
    return viewer;
  }

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
