import { wait } from './backoff.ts';

/** The time after which a tab sees what another one wrote to `localStorage`, in milliseconds: tabs are processes of their own, and locks do not wait for it. */
const STORAGE_DELAY_MS = 50;

/** Runs work of one name at a time: in one tab of the browser, where it has Web Locks, and otherwise in this process. */
export function createLock(name: string): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve();
  return async (work) => {
    if (typeof navigator !== 'undefined' && navigator.locks) {
      const { held = [] } = await navigator.locks.query();
      const isHeld = held.some((lock) => lock.name === name);
      return navigator.locks.request(name, async () => {
        await (isHeld && wait(STORAGE_DELAY_MS));
        return work();
      });
    }
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  };
}

/** Reports to the other tabs that something has changed. */
export interface TabChannel {
  readonly announce: () => void;
  readonly close: () => void;
}

/** Opens a channel between the tabs of a browser, and calls back when another tab announces a change. */
export function openTabChannel(name: string, onChange: () => void): TabChannel {
  if (typeof document === 'undefined' || typeof BroadcastChannel === 'undefined') {
    return { announce: () => undefined, close: () => undefined };
  }
  const channel = new BroadcastChannel(name);
  channel.onmessage = onChange;
  // A page that the browser kept while the user was on another one has missed the announcements.
  addEventListener('pageshow', onChange);
  // The announcement of a change in `localStorage` can arrive before the change.
  addEventListener('storage', onChange);
  let isClosed = false;
  return {
    // A closed channel throws, and a session that is closed stays usable.
    announce: () => isClosed || channel.postMessage('changed'),
    close: () => {
      isClosed = true;
      removeEventListener('pageshow', onChange);
      removeEventListener('storage', onChange);
      channel.close();
    },
  };
}
