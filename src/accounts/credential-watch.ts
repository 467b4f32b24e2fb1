import type { Feed } from '../changes/feed.ts';
import type { Context } from '../context.ts';
import { UnauthenticatedError } from '../errors.ts';
import type { UserViewer } from '../viewer.ts';
import type { Call, ContextFactory } from './credentials.ts';
import { userScope } from './scopes.ts';

/** The longest time that a timer can wait, in milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;

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
  const release = watchCredential(first.feed, first.viewer, onEnd);
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
  onEnd: (reason: UnauthenticatedError) => void,
): () => void {
  let timer: NodeJS.Timeout | undefined;
  const end = (reason: string): void => {
    release();
    onEnd(new UnauthenticatedError(reason));
  };
  const model = credential.kind === 'key' ? 'AuthToken' : 'Session';
  const ignore = feed.onAccess([userScope(id)], (change) => {
    if (change === null || (change.model === model && change.rowId === credential.id)) {
      end('The credential was ended.');
    } else if (change.model !== 'User') {
      return;
    } else if (!change.after?.['isActive']) {
      end('User account is disabled.');
    } else if (Number(change.before?.['credentialsChangedAt']) !== Number(change.after['credentialsChangedAt'])) {
      end('The password was changed.');
    }
  });
  const ignoreLoss = feed.whenLost(() => end('The credential has to be checked again.'));
  const release = (): void => {
    clearTimeout(timer);
    ignore();
    ignoreLoss();
  };
  const waitUntil = (time: number): void => {
    const left = time - Date.now();
    if (left <= 0) {
      end('Signature has expired.');
      return;
    }
    timer = setTimeout(() => waitUntil(time), Math.min(left, MAX_TIMER_MS));
    timer.unref();
  };
  if (credential.kind === 'session') {
    waitUntil(credential.expiresAt.getTime());
  }
  return release;
}
