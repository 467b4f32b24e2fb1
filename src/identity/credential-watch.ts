import type { RowChange } from '../changes/change.ts';
import type { Feed } from '../changes/feed.ts';
import type { Context } from '../context.ts';
import { UnauthenticatedError } from '../errors.ts';
import type { Credential, UserViewer } from '../viewer.ts';
import type { Call, ContextFactory } from './credentials.ts';
import { ACCOUNT_DEACTIVATED, HEADER_FAULT_SENTENCES, SESSION_OVER, TOKEN_EXPIRED } from './fault-sentences.ts';
import { userScope } from './scopes.ts';

/** The longest delay of `setTimeout`, in milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** A cookie session with less time left is not renewed: it has reached the longest life of a session. In milliseconds. */
const MIN_RENEWAL_MS = 100;

const CHECK_AGAIN = 'The credential could not be checked. Connect again.';

type Expiring = Pick<Extract<Credential, { kind: 'session' }>, 'expiresAt' | 'byCookie'>;

/** The authenticated caller of a connection that stays open. */
export interface AuthenticatedConnection {
  readonly context: Context;
  /** Stops watching the credential. */
  readonly release: () => void;
}

/**
 * Authenticates the caller of a connection that stays open. Afterwards `onEnd` is called once, when the credential expires, or when any process ends it by
 * signing out, by a new password or by deactivating the account.
 */
export async function authenticateConnection(
  contextOf: ContextFactory,
  call: Call,
  onEnd: (reason: UnauthenticatedError) => void,
): Promise<AuthenticatedConnection> {
  const waiting = { ...call, waits: true };
  const first = await contextOf(waiting);
  if (first.viewer.kind === 'anonymous') {
    return { context: first, release: () => undefined };
  }
  const watch = new CredentialWatch(first.feed, first.viewer, () => contextOf(waiting), onEnd);
  // A second time: the credential may have ended after it was read and before it was watched.
  const context = await contextOf(waiting);
  if (context.viewer.kind === 'anonymous') {
    watch.release();
  }
  return { context, release: () => watch.release() };
}

/** Watches one credential until it ends, and then reports that once. */
class CredentialWatch {
  readonly #authenticate: () => Promise<Context>;
  readonly #onEnd: (reason: UnauthenticatedError) => void;
  readonly #stopListening: readonly (() => void)[];
  #timer: NodeJS.Timeout | undefined;
  #isReleased = false;

  constructor(
    feed: Feed,
    { id, credential }: UserViewer,
    authenticate: () => Promise<Context>,
    onEnd: (reason: UnauthenticatedError) => void,
  ) {
    this.#authenticate = authenticate;
    this.#onEnd = onEnd;
    this.#stopListening = [
      feed.onAccess([userScope(id)], (change) => this.#onAccessChange(credential, change)),
      feed.onLogReset(() => this.#end(CHECK_AGAIN)),
    ];
    if (credential.kind === 'session') {
      this.#endAtExpiry(credential);
    }
  }

  release(): void {
    this.#isReleased = true;
    clearTimeout(this.#timer);
    for (const stop of this.#stopListening) {
      stop();
    }
  }

  #onAccessChange({ kind, id }: Credential, change: RowChange | null): void {
    if (change === null || (change.model === (kind === 'key' ? 'AuthToken' : 'Session') && change.rowId === id)) {
      this.#end('The credential was ended.');
    } else if (change.model !== 'User') {
      return;
    } else if (!change.after?.['isActive']) {
      this.#end(HEADER_FAULT_SENTENCES.inactiveUser, ACCOUNT_DEACTIVATED);
    } else if (Number(change.before?.['credentialsChangedAt']) !== Number(change.after['credentialsChangedAt'])) {
      this.#end('The password was changed.');
    }
  }

  #endAtExpiry({ expiresAt, byCookie }: Expiring): void {
    const leftMs = expiresAt.getTime() - Date.now();
    if (leftMs <= 0) {
      this.#end(HEADER_FAULT_SENTENCES.expired, byCookie ? SESSION_OVER : TOKEN_EXPIRED);
    } else if (byCookie && leftMs > MIN_RENEWAL_MS) {
      this.#schedule(leftMs / 2, () => void this.#renew().catch(() => this.#end(CHECK_AGAIN)));
    } else {
      this.#schedule(leftMs, () => this.#endAtExpiry({ expiresAt, byCookie }));
    }
  }

  /** Authenticates again. An open connection counts as use of a cookie session, and use prolongs it. */
  async #renew(): Promise<void> {
    const { viewer, refusal } = await this.#authenticate();
    if (this.#isReleased) {
      return;
    }
    if (viewer.kind === 'user' && viewer.credential.kind === 'session') {
      this.#endAtExpiry(viewer.credential);
    } else {
      this.#end(refusal?.message ?? CHECK_AGAIN, refusal?.explanation);
    }
  }

  #schedule(delayMs: number, callback: () => void): void {
    this.#timer = setTimeout(callback, Math.min(delayMs, MAX_TIMER_MS));
    this.#timer.unref();
  }

  #end(reason: string, explanation = reason): void {
    if (!this.#isReleased) {
      this.release();
      this.#onEnd(new UnauthenticatedError(reason, explanation));
    }
  }
}
