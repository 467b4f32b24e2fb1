import { useSyncExternalStore } from 'react';
import type { ConnectionState } from 'tidings-client';
import { transport } from './server.ts';

/** Says whether the list shows the changes of others at this moment. */
export function Connection() {
  const state = useSyncExternalStore(transport.subscribe, transport.getState);
  return <p role="status">{wordsFor(state)}</p>;
}

function wordsFor({ status, reason, retryAt }: ConnectionState): string {
  switch (status) {
    case 'idle':
      return 'Not connected';
    case 'connecting':
      return 'Connecting …';
    case 'catching-up':
      return 'Receiving changes …';
    case 'live':
      return 'Live';
    case 'offline':
      return `Offline, next attempt at ${new Date(retryAt ?? 0).toLocaleTimeString()}`;
    case 'signed-out':
      return 'Signed out';
    case 'failed':
      return `Not connected: ${reason}`;
  }
}
