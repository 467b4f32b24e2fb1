export type { Credentials } from './authorized-fetch.ts';
export {
  type ApplyOptions,
  applyChange,
  applyToList,
  type ChangeAction,
  type ChangeEvent,
  eventOf,
  type ListOptions,
  type ListPage,
  objectOf,
} from './change.ts';
export type { ConnectionState, ConnectionStatus } from './connection-state.ts';
export type { OperationDocument } from './document.ts';
export { ConnectionError, OperationError, type ResponseError, SignedOutError } from './errors.ts';
export { type ResumableOptions, resumable } from './resumable.ts';
export { createSession, type Session, type SessionOptions, type SessionState } from './session.ts';
export { type LiveData, type SnapshotThenStreamOptions, snapshotThenStream } from './snapshot.ts';
export type { Store } from './store.ts';
export type { TokenStorage } from './token-store.ts';
export { createTransport, type Transport, type TransportOptions } from './transport.ts';
