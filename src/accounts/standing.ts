import type { Feed } from '../changes/feed.ts';
import type { IndexKey } from '../changes/watch.ts';
import type { Context, UserViewer } from '../context.ts';
import { UnauthenticatedError } from '../errors.ts';
import type { Call, ContextFactory } from './credentials.ts';

/** The longest time that a timer can wait, in milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** A caller who keeps something open: what is known of them, and how to stop watching their credential. */
export interface Admission {
  readonly context: Context;
  readonly release: () => void;
}

/**
 * Admits a caller to a connection that stays open. From then on `onEnd` is called, once, when the credential ends: by its time, by signing out,
 * by a new password, or because the account was closed, in whatever process that happened.
 */
export async function admit(
  contextOf: ContextFactory,
  call: Call,
  onEnd: (reason: UnauthenticatedError) => void,
): Promise<Admission> {
  const patient = { ...call, waits: true };
  const first = await contextOf(patient);
  if (first.viewer.kind === 'anonymous') {
    return { context: first, release: () => undefined };
  }
  const release = guard(first.feed, first.viewer, onEnd);
  // Once more: the credential may have ended after it was read and before it was watched.
  const context = await contextOf(patient);
  if (context.viewer.kind === 'anonymous') {
    release();
  }
  return { context, release };
}

function guard(feed: Feed, { id, credential }: UserViewer, onEnd: (reason: UnauthenticatedError) => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const end = (reason: string): void => {
    release();
    onEnd(new UnauthenticatedError(reason));
  };
  const keys: IndexKey[] = [{ model: 'User', column: 'id', value: id }];
  if (credential.id !== null) {
    keys.push({ model: credential.kind === 'key' ? 'AuthToken' : 'Session', column: 'id', value: credential.id });
  }
  const ignore = feed.listen(keys, ({ model, before, after }) => {
    if (model !== 'User') {
      end('The credential was ended.');
    } else if (!after?.['isActive']) {
      end('User account is disabled.');
    } else if (Number(before?.['credentialsChangedAt']) !== Number(after['credentialsChangedAt'])) {
      end('The password was changed.');
    }
  });
  const release = (): void => {
    clearTimeout(timer);
    ignore();
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
