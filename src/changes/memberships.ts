import type { Change, RowImage } from './change.ts';
import { scopeName } from './scopes.ts';

/** A model whose rows each make a user a member of a group. */
export interface MembershipSource {
  readonly model: string;
  /** The column that holds the group's id. */
  readonly group: string;
  /** The column that holds the user's id. */
  readonly user: string;
}

/** A kind of group: a scope like `chat:7` is visible to the users who are members by any of the sources. */
export interface MembershipRule {
  /** The prefix of the groups' scopes. */
  readonly prefix: string;
  readonly sources: readonly MembershipSource[];
}

/** Memberships to load: all of a group, or all of a user. */
export interface MembershipLoad {
  readonly rule: MembershipRule;
  readonly of: 'group' | 'user';
  readonly id: number;
}

/** One row that makes a user a member of a group, read for a load of that group or of that user. */
export interface MembershipRow {
  readonly of: MembershipLoad['of'];
  readonly prefix: string;
  readonly model: string;
  readonly group: number;
  readonly user: number;
}

/** The users of a group, or the groups of a user, kept current until it is released. */
export interface MembershipSet {
  /** Whether the id is in the set at present, by a row of any model or of the given one. */
  has(id: number, model?: string): boolean;
  readonly isEmpty: boolean;
  ids(): readonly number[];
  /** Ends the use of the set; further calls have no effect. */
  release(): void;
}

class Entry {
  readonly load: MembershipLoad;
  /** For each model, the number of its rows for each id in the set. */
  counts = new Map<string, Map<number, number>>();
  uses = 0;
  isLoaded = false;
  readonly whenLoaded: Promise<void>;
  resolve: () => void = () => undefined;
  reject: (error: Error) => void = () => undefined;

  constructor(load: MembershipLoad) {
    this.load = load;
    this.whenLoaded = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // The callers that wait handle a rejection; without any, it must not count as unhandled.
    this.whenLoaded.catch(() => undefined);
  }

  add(model: string, id: number, count: 1 | -1): void {
    const counts = this.counts.get(model) ?? new Map<number, number>();
    this.counts.set(model, counts);
    const sum = (counts.get(id) ?? 0) + count;
    if (sum > 0) {
      counts.set(id, sum);
    } else {
      counts.delete(id);
    }
  }

  has(id: number, model?: string): boolean {
    if (model !== undefined) {
      return this.counts.get(model)?.has(id) ?? false;
    }
    for (const counts of this.counts.values()) {
      if (counts.has(id)) {
        return true;
      }
    }
    return false;
  }

  ids(): number[] {
    return [...new Set([...this.counts.values()].flatMap((counts) => [...counts.keys()]))];
  }
}

/**
 * An in-memory index of group memberships, for the groups and users that the subscriptions of this process need. An entry is read in the snapshot of a poll
 * of the log and kept current by the access changes of later polls, so that no event costs a query for each subscriber.
 */
export class Memberships {
  readonly #rules: readonly MembershipRule[];
  readonly #entries = new Map<string, Entry>();
  readonly #requestPoll: () => void;
  #pending = new Set<Entry>();

  /** `requestPoll` is called when memberships have to be loaded. */
  constructor(rules: readonly MembershipRule[], requestPoll: () => void) {
    this.#rules = rules;
    this.#requestPoll = requestPoll;
  }

  /** The number of groups and users in the index. */
  get size(): number {
    return this.#entries.size;
  }

  /** Returns the users of a group. */
  useGroup(prefix: string, id: number): Promise<MembershipSet> {
    return this.#use(this.#load(prefix, 'group', id));
  }

  /** Returns the groups of a user. */
  useUser(prefix: string, id: number): Promise<MembershipSet> {
    return this.#use(this.#load(prefix, 'user', id));
  }

  /** Removes and returns the pending loads, for the next poll. */
  takeLoads(): MembershipLoad[] {
    const loads = [...this.#pending].map(({ load }) => load);
    this.#pending = new Set();
    return loads;
  }

  /** Makes the loads of a failed poll pending again. */
  requeue(loads: readonly MembershipLoad[]): void {
    for (const load of loads) {
      const entry = this.#entries.get(keyOf(load));
      if (entry) {
        this.#pending.add(entry);
      }
    }
  }

  /** Replaces the entries of loads by the rows that a poll has read. */
  applyLoads(loads: readonly MembershipLoad[], rows: readonly MembershipRow[]): void {
    const entries = new Map<string, Entry>();
    for (const load of loads) {
      const entry = this.#entries.get(keyOf(load));
      if (entry) {
        entry.counts = new Map();
        entries.set(keyOf(load), entry);
      }
    }
    for (const { of, prefix, model, group, user } of rows) {
      const [owner, member] = of === 'group' ? [group, user] : [user, group];
      entries.get(`${of} ${scopeName(prefix, owner)}`)?.add(model, member, 1);
    }
    for (const entry of entries.values()) {
      entry.isLoaded = true;
      entry.resolve();
    }
  }

  /**
   * Applies an access change to the entries.
   *
   * @throws {UnreadableChangeError}
   */
  apply(change: Change): void {
    for (const { prefix, sources } of this.#rules) {
      for (const source of sources) {
        if (source.model === change.model) {
          this.#add(prefix, source, change.before, -1);
          this.#add(prefix, source, change.after, 1);
        }
      }
    }
  }

  /** Makes all entries pending, since an access change could not be read. */
  reload(): void {
    this.#pending = new Set(this.#entries.values());
    this.#requestPoll();
  }

  /** Rejects the callers that wait for a load. */
  fail(error: Error): void {
    for (const entry of this.#entries.values()) {
      if (!entry.isLoaded) {
        entry.reject(error);
      }
    }
  }

  #load(prefix: string, of: MembershipLoad['of'], id: number): MembershipLoad {
    const rule = this.#rules.find((each) => each.prefix === prefix);
    if (!rule) {
      throw new Error(`No slice declares memberships with the prefix ${prefix}.`);
    }
    return { rule, of, id };
  }

  async #use(load: MembershipLoad): Promise<MembershipSet> {
    const key = keyOf(load);
    const entry = this.#entries.get(key) ?? new Entry(load);
    this.#entries.set(key, entry);
    entry.uses += 1;
    if (entry.uses === 1) {
      this.#pending.add(entry);
      this.#requestPoll();
    }
    let isReleased = false;
    const release = (): void => {
      if (!isReleased) {
        isReleased = true;
        this.#release(key, entry);
      }
    };
    try {
      await entry.whenLoaded;
    } catch (error) {
      release();
      throw error;
    }
    return {
      has: (id, model) => entry.has(id, model),
      get isEmpty() {
        return entry.ids().length === 0;
      },
      ids: () => entry.ids(),
      release,
    };
  }

  #release(key: string, entry: Entry): void {
    entry.uses -= 1;
    if (entry.uses === 0) {
      this.#entries.delete(key);
      this.#pending.delete(entry);
    }
  }

  #add(prefix: string, { model, group, user }: MembershipSource, row: RowImage | null, count: 1 | -1): void {
    if (row === null) {
      return;
    }
    const [groupId, userId] = [row[group] as number, row[user] as number];
    for (const [key, id] of [
      [`group ${scopeName(prefix, groupId)}`, userId],
      [`user ${scopeName(prefix, userId)}`, groupId],
    ] as const) {
      const entry = this.#entries.get(key);
      // A pending load reads a snapshot that includes this change.
      if (entry?.isLoaded) {
        entry.add(model, id, count);
      }
    }
  }
}

function keyOf({ rule, of, id }: MembershipLoad): string {
  return `${of} ${scopeName(rule.prefix, id)}`;
}
