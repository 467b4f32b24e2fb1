/** What a viewer knows of the server's rule for rows without an owner. */
interface Rights {
  /** Whether rows that nobody owns are everybody's (`ALLOW_ANONYMOUS`). */
  readonly sharesOwnerless: boolean;
}

/** A caller without credentials. */
export interface AnonymousViewer extends Rights {
  readonly kind: 'anonymous';
}

/** A caller whose credential was accepted for this request. */
export interface UserViewer extends Rights {
  readonly kind: 'user';
  readonly id: number;
  readonly username: string;
  readonly isStaff: boolean;
  readonly credential: Credential;
}

export type Viewer = AnonymousViewer | UserViewer;

/** What the caller signed the request with; ending it is what signing out means. */
export type Credential =
  | {
      readonly kind: 'session';
      readonly id: number | null;
      readonly expiresAt: Date;
      /** Whether it came as a cookie, not as an access token. */
      readonly byCookie: boolean;
    }
  | { readonly kind: 'key'; readonly id: number };

/** Whether the viewer is the user with this id. Prefer this to `viewer.id === id`: a result that read only the answer can be shared more widely. */
export function isViewer(viewer: Viewer, userId: number | null): boolean {
  const reads = tracked.get(viewer);
  return reads ? reads.compareId(userId) : viewer.kind === 'user' && viewer.id === userId;
}

const tracked = new WeakMap<object, ViewerReads>();

/** A property of the viewer that was read, or a comparison of the viewer with the user of this id. */
type Read = { readonly property: string | symbol } | { readonly isUser: number | null };

/**
 * What an execution read of its viewer. Its result is the same for every viewer for whom each of these reads gives the same value, whatever
 * else differs between them.
 */
export class ViewerReads {
  readonly #viewer: Viewer;
  readonly #names = new Set<string | symbol>();
  readonly #reads: { readonly read: Read; readonly value: unknown }[] = [];

  private constructor(viewer: Viewer) {
    this.#viewer = viewer;
  }

  /** A viewer that behaves as the given one and whose reads are recorded. */
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

  /** Whether the execution read who exactly the viewer is, so that its result is good for this user alone. */
  get isPersonal(): boolean {
    return this.#names.has('id') || this.#names.has('username') || this.#names.has('credential');
  }

  /** Whether an execution for this viewer would have read the same values. */
  fits(viewer: Viewer): boolean {
    for (const { read, value } of this.#reads) {
      if (readOf(viewer, read) !== value) {
        return false;
      }
    }
    return true;
  }

  /** A text that is equal for the viewers whom these reads do not tell apart. */
  classOf(viewer: Viewer): string {
    // A credential is an object, which only one connection has.
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
