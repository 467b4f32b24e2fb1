/** Runs work of one name at a time: in one tab of the browser, where it has Web Locks, and otherwise in this process. */
export function createLock(name: string): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    if (typeof navigator !== 'undefined' && navigator.locks) {
      return navigator.locks.request(name, work) as ReturnType<typeof work>;
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
  return {
    announce: () => channel.postMessage('changed'),
    close: () => {
      removeEventListener('pageshow', onChange);
      channel.close();
    },
  };
}
