import type { Feed } from '../changes/feed.ts';
import type { Context } from '../context.ts';
import { UnauthenticatedError } from '../errors.ts';
import type { Credential, UserViewer } from '../viewer.ts';
import type { Call, ContextFactory } from './credentials.ts';
import { DEACTIVATED, EXPIRED, OVER } from './fault-sentences.ts';
import { userScope } from './scopes.ts';

/** The longest time that a timer can wait, in milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** How long before its end a cookie is no longer renewed, in milliseconds: it ends by the time that no session exceeds. */
const MIN_RENEWAL_MS = 100;

const CHECK_AGAIN = 'The credential has to be checked again.';

type Expiring = Pick<Extract<Credential, { kind: 'session' }>, 'expiresAt' | 'byCookie'>;

/** The authenticated caller of a connection that stays open. */
export interface AuthenticatedConnection {
  readonly context: Context;
  /** Stops the watch over the credential. */
  readonly release: () => void;
}

/**
 * Authenticates the caller of a connection that stays open. From then on `onEnd` is called, once, when the credential ends: by its time, by signing out,
 * by a new password, or because the account was closed, in whatever process that happened.
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
  const release = watchCredential(first.feed, first.viewer, () => contextOf(waiting), onEnd);
  // Once more: the credential may have ended after it was read and before it was watched.
  const context = await contextOf(waiting);
  if (context.viewer.kind === 'anonymous') {
    release();
  }
  return { context, release };
}

function watchCredential(
  feed: Feed,
  { id, credential }: UserViewer,
  authenticate: () => Promise<Context>,
  onEnd: (reason: UnauthenticatedError) => void,
): () => void {
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  const end = (reason: string, explanation = reason): void => {
    if (!isOver) {
      release();
      onEnd(new UnauthenticatedError(reason, explanation));
    }
  };
  const model = credential.kind === 'key' ? 'AuthToken' : 'Session';
  const ignore = feed.onAccess([userScope(id)], (change) => {
    if (change === null || (change.model === model && change.rowId === credential.id)) {
      end('The credential was ended.');
    } else if (change.model !== 'User') {
      return;
    } else if (!change.after?.['isActive']) {
      end('User account is disabled.', DEACTIVATED);
    } else if (Number(change.before?.['credentialsChangedAt']) !== Number(change.after['credentialsChangedAt'])) {
      end('The password was changed.');
    }
  });
  const ignoreLoss = feed.whenLost(() => end(CHECK_AGAIN));
  const release = (): void => {
    isOver = true;
    clearTimeout(timer);
    ignore();
    ignoreLoss();
  };
  const waitFor = (delayMs: number, then: () => void): void => {
    timer = setTimeout(then, Math.min(delayMs, MAX_TIMER_MS));
    timer.unref();
  };
  const waitUntil = ({ expiresAt, byCookie }: Expiring): void => {
    const left = expiresAt.getTime() - Date.now();
    if (left <= 0) {
      end('Signature has expired.', byCookie ? OVER : EXPIRED);
    } else if (byCookie && left > MIN_RENEWAL_MS) {
      waitFor(left / 2, () => void renew().catch(() => end(CHECK_AGAIN)));
    } else {
      waitFor(left, () => waitUntil({ expiresAt, byCookie }));
    }
  };
  // A session of a cookie lasts while it is used, and an open connection uses it.
  const renew = async (): Promise<void> => {
    const { viewer, refusal } = await authenticate();
    if (isOver) {
      return;
    }
    if (viewer.kind === 'user' && viewer.credential.kind === 'session') {
      waitUntil(viewer.credential);
    } else {
      end(refusal?.message ?? CHECK_AGAIN, refusal?.explanation);
    }
  };
  if (credential.kind === 'session') {
    waitUntil(credential);
  }
  return release;
}
