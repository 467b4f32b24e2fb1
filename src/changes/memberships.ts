import type { Change, RowImage } from './change.ts';
import { scopeName } from './scopes.ts';

/** Which rows say that a user belongs to a group. */
export interface MembershipSource {
  readonly model: string;
  /** The column that holds the group's id. */
  readonly group: string;
  /** The column that holds the user's id. */
  readonly user: string;
}

/** A kind of group: a scope like `chat:7` is visible to the users that any of its sources names. */
export interface MembershipRule {
  /** The prefix of the groups' scopes. */
  readonly prefix: string;
  readonly sources: readonly MembershipSource[];
}

/** Memberships that somebody here needs and that are not known yet: all of a group, or all of a user. */
export interface MembershipLoad {
  readonly rule: MembershipRule;
  readonly of: 'group' | 'user';
  readonly id: number;
}

/** That a user belongs to a group, by one row, read for a load of that group or of that user. */
export interface MembershipRow {
  readonly of: MembershipLoad['of'];
  readonly prefix: string;
  readonly model: string;
  readonly group: number;
  readonly user: number;
}

/** The users of a group, or the groups of a user, for as long as it is in use. */
export interface MembershipSet {
  /** Whether the id is in the set at present: by a row of any model, or of the given one. */
  has(id: number, model?: string): boolean;
  readonly isEmpty: boolean;
  ids(): readonly number[];
  /** Says that it is no longer needed; calling it again changes nothing. */
  release(): void;
}

class Entry {
  readonly load: MembershipLoad;
  /** For each model, the ids that its rows put into the set, with the number of those rows. */
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
    // A failure is reported to those who wait for it; there may be none any more.
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
 * Who belongs to which group, kept in memory for the groups and users that somebody here is subscribed to. An entry is read at the instant of a
 * poll of the log and kept current by the access changes of the polls that follow, so that no event costs a query for each subscriber.
 */
export class Memberships {
  readonly #rules: readonly MembershipRule[];
  readonly #entries = new Map<string, Entry>();
  readonly #requestPoll: () => void;
  #pending = new Set<Entry>();

  /** `requestPoll` is called when there is something to load. */
  constructor(rules: readonly MembershipRule[], requestPoll: () => void) {
    this.#rules = rules;
    this.#requestPoll = requestPoll;
  }

  /** How many groups and users are held. */
  get size(): number {
    return this.#entries.size;
  }

  /** The users of a group. */
  useGroup(prefix: string, id: number): Promise<MembershipSet> {
    return this.#use(this.#load(prefix, 'group', id));
  }

  /** The groups of a user. */
  useUser(prefix: string, id: number): Promise<MembershipSet> {
    return this.#use(this.#load(prefix, 'user', id));
  }

  /** Takes what has to be loaded with the next poll. */
  takeLoads(): MembershipLoad[] {
    const loads = [...this.#pending].map(({ load }) => load);
    this.#pending = new Set();
    return loads;
  }

  /** Puts back what a poll could not load. */
  putBack(loads: readonly MembershipLoad[]): void {
    for (const load of loads) {
      const entry = this.#entries.get(keyOf(load));
      if (entry) {
        this.#pending.add(entry);
      }
    }
  }

  /** Takes over what a poll has loaded. */
  loaded(loads: readonly MembershipLoad[], rows: readonly MembershipRow[]): void {
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
   * Applies a change that decides about access.
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

  /** Has everything read anew, since a change of it could not be read. */
  reload(): void {
    this.#pending = new Set(this.#entries.values());
    this.#requestPoll();
  }

  /** Fails whoever waits for something to be loaded. */
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
      throw new Error(`No slice declares memberships of ${prefix}.`);
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
      // What is not loaded yet will be, with this change in it.
      if (entry?.isLoaded) {
        entry.add(model, id, count);
      }
    }
  }
}

function keyOf({ rule, of, id }: MembershipLoad): string {
  return `${of} ${scopeName(rule.prefix, id)}`;
}
