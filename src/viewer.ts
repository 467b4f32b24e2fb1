/** The part of a viewer that comes from the configuration. */
interface ViewerSettings {
  /** Whether all viewers share the rows without an owner (`ALLOW_ANONYMOUS`). */
  readonly sharesOwnerless: boolean;
}

/** A caller without credentials. */
export interface AnonymousViewer extends ViewerSettings {
  readonly kind: 'anonymous';
}

/** A caller whose credential was accepted for this request. */
export interface UserViewer extends ViewerSettings {
  readonly kind: 'user';
  readonly id: number;
  readonly username: string;
  readonly isStaff: boolean;
  readonly credential: Credential;
}

export type Viewer = AnonymousViewer | UserViewer;

/** The credential of a request. Signing out ends it. */
export type Credential =
  | {
      readonly kind: 'session';
      readonly id: number | null;
      readonly expiresAt: Date;
      /** Whether the session was sent as a cookie and not as an access token. */
      readonly byCookie: boolean;
    }
  | { readonly kind: 'key'; readonly id: number };

/** Returns whether the viewer is the user with this id. Prefer it to `viewer.id === id`: a result that depends on the comparison only can be shared by more viewers. */
export function isViewer(viewer: Viewer, userId: number | null): boolean {
  const reads = tracked.get(viewer);
  return reads ? reads.compareId(userId) : viewer.kind === 'user' && viewer.id === userId;
}

const tracked = new WeakMap<object, ViewerReads>();

/** A read of a property of the viewer, or a comparison of the viewer's id with this one. */
type Read = { readonly property: string | symbol } | { readonly isUser: number | null };

/**
 * Records the reads of a viewer by an execution. The result of the execution is the same for all viewers for whom each of these reads gives the same value.
 */
export class ViewerReads {
  readonly #viewer: Viewer;
  readonly #names = new Set<string | symbol>();
  readonly #reads: { readonly read: Read; readonly value: unknown }[] = [];

  private constructor(viewer: Viewer) {
    this.#viewer = viewer;
  }

  /** Returns a proxy of the viewer that records its reads. */
  static track(viewer: Viewer): { readonly viewer: Viewer; readonly reads: ViewerReads } {
    const reads = new ViewerReads(viewer);
    const proxy = new Proxy(viewer, {
      get: (_target, property) => reads.#record({ property }, property),
      has: (_target, property) => reads.#record({ property }, property) !== undefined,
      ownKeys: (target) => {
        const keys = Reflect.ownKeys(target);
        for (const property of keys) {
          reads.#record({ property }, property);
        }
        return keys;
      },
    });
    tracked.set(proxy, reads);
    return { viewer: proxy, reads };
  }

  /** Whether the execution read a property that identifies the user, so that its result cannot be shared with other users. */
  get isPersonal(): boolean {
    return this.#names.has('id') || this.#names.has('username') || this.#names.has('credential');
  }

  /** Returns whether an execution for this viewer would read the same values. */
  fits(viewer: Viewer): boolean {
    for (const { read, value } of this.#reads) {
      if (readOf(viewer, read) !== value) {
        return false;
      }
    }
    return true;
  }

  /** Returns a text that is equal for two viewers if these reads give equal values for both. */
  classOf(viewer: Viewer): string {
    // A credential is an object of one connection, so that its values cannot be compared.
    const user = viewer.kind === 'user' ? viewer.id : '';
    return this.#reads
      .map(({ read }) => readOf(viewer, read))
      .map((value) => (typeof value === 'object' ? `of ${user}` : String(value)))
      .join(' ');
  }

  compareId(userId: number | null): boolean {
    return this.#record({ isUser: userId }, `is ${userId}`) as boolean;
  }

  #record(read: Read, name: string | symbol): unknown {
    const value = readOf(this.#viewer, read);
    if (!this.#names.has(name)) {
      this.#names.add(name);
      this.#reads.push({ read, value });
    }
    return value;
  }
}

function readOf(viewer: Viewer, read: Read): unknown {
  return 'isUser' in read ? viewer.kind === 'user' && viewer.id === read.isUser : Reflect.get(viewer, read.property);
}
