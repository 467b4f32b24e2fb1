import { LRUCache } from 'lru-cache';
import { type Viewer, ViewerReads } from '../viewer.ts';
import type { StreamEvent } from './filter.ts';
import { Item, type ItemOrigin, Result } from './result.ts';

/** How many batches of events are rendered at the same time. */
const MAX_RENDERING = 8;
/** How long results are kept after the last subscription has caught up, in milliseconds: after an outage the next one is soon there. */
const KEEP_MS = 5_000;

/** Makes the texts that are sent for events. */
export interface Renderer<Event extends StreamEvent = StreamEvent> {
  /** Renderers of equal keys make the same texts of the same events, for viewers for whom they read the same. */
  readonly key: string;
  /**
   * Makes the text of each event; null where nothing is sent for it. Everything that depends on who receives it is read from `viewer`, so that the
   * text can be shared with the viewers for whom these reads give the same.
   */
  render(events: readonly Event[], viewer: Viewer): Promise<readonly (string | null)[]>;
}

/** A rendering that runs, and who waits for it. */
interface Rendering {
  readonly waiters: ((error: Error | null) => void)[];
}

/** The subscriptions that share results, and the events that wait for them. */
export class ResultGroup {
  readonly #store: ResultStore;
  readonly #renderer: Renderer;
  readonly #items = new Map<string, Item>();
  readonly #renderings = new Map<string, Rendering>();
  /** What the last rendering read: viewers for whom it would read the same are expected to share the next result. */
  #lastReads: ViewerReads | null = null;
  #members = 0;
  #catchingUp = 0;
  #sweepTimer: NodeJS.Timeout | null = null;

  constructor(store: ResultStore, renderer: Renderer) {
    this.#store = store;
    this.#renderer = renderer;
  }

  get key(): string {
    return this.#renderer.key;
  }

  join(): void {
    this.#members += 1;
  }

  leave(): void {
    this.#members -= 1;
    if (this.#members === 0) {
      clearTimeout(this.#sweepTimer ?? undefined);
      this.#sweepTimer = null;
      this.#sweep();
      this.#store.remove(this);
    }
  }

  /** Keeps results that were taken by everybody who waited: a subscription that catches up may come to them later. */
  beginCatchingUp(): void {
    this.#catchingUp += 1;
  }

  endCatchingUp(): void {
    this.#catchingUp -= 1;
    if (this.#catchingUp === 0 && this.#items.size > 0) {
      this.#sweepTimer ??= setTimeout(() => this.#sweep(), KEEP_MS).unref();
    }
  }

  /** The item of an event: the one that other subscriptions of the group wait for or have taken, where there is one. */
  item(event: StreamEvent, origin: ItemOrigin): Item {
    return this.#items.get(event.key) ?? new Item(this, event, origin);
  }

  /** Counts one more subscription that has the item in its queue. */
  retain(item: Item): void {
    if (item.waiting === 0) {
      this.#store.addWaiting(item.size);
      this.#items.set(item.event.key, item);
    }
    item.waiting += 1;
  }

  /** Counts one less, and forgets what nobody waits for any more. */
  release(item: Item): void {
    item.waiting -= 1;
    if (item.waiting > 0) {
      return;
    }
    this.#store.addWaiting(-item.size);
    if ((this.#catchingUp === 0 && !this.#sweepTimer) || !item.hasResults) {
      this.#items.delete(item.event.key);
      this.#store.drop(item);
    }
  }

  /** Forgets the results of an item for which there is no room; they are rendered anew for whoever still needs them. */
  evict(item: Item): void {
    item.clear();
    if (item.waiting === 0) {
      this.#items.delete(item.event.key);
    }
  }

  /** Has the items rendered that a viewer needs, and calls back when it is worth looking again. */
  request(items: readonly Item[], viewer: Viewer, onDone: (error: Error | null) => void): void {
    const viewers = this.#lastReads?.classOf(viewer) ?? '';
    const running = this.#renderings.get(viewers);
    if (running) {
      running.waiters.push(onDone);
      return;
    }
    const rendering: Rendering = { waiters: [onDone] };
    this.#renderings.set(viewers, rendering);
    const missing = items.filter((item) => !item.find(viewer));
    this.#store
      .whenFree(() => this.#render(missing, viewer))
      .then(
        () => null,
        (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
      )
      .then((error) => {
        this.#renderings.delete(viewers);
        for (const waiter of rendering.waiters) {
          waiter(error);
        }
      });
  }

  /** Forgets the results that nobody waits for, when no subscription has caught up for a while. */
  #sweep(): void {
    this.#sweepTimer = null;
    if (this.#catchingUp > 0) {
      return;
    }
    for (const [key, item] of this.#items) {
      if (item.waiting === 0) {
        this.#items.delete(key);
        this.#store.drop(item);
      }
    }
  }

  async #render(items: readonly Item[], viewer: Viewer): Promise<void> {
    const tracking = ViewerReads.track(viewer);
    const texts = await this.#renderer.render(
      items.map(({ event }) => event),
      tracking.viewer,
    );
    this.#lastReads = tracking.reads;
    for (const [index, item] of items.entries()) {
      item.add(new Result(texts[index] ?? null, tracking.reads), viewer);
      this.#store.keep(item);
    }
  }
}

/** The results of all groups of this process, bounded in bytes. */
export class ResultStore {
  readonly #groups = new Map<string, ResultGroup>();
  readonly #cache: LRUCache<Item, true>;
  readonly #queue: (() => void)[] = [];
  #rendering = 0;
  #waitingBytes = 0;
  /** How many events were rendered. */
  rendered = 0;

  /** `maxBytes` bounds the results; the events that wait in queues are only counted here. */
  constructor(maxBytes: number) {
    this.#cache = new LRUCache<Item, true>({
      maxSize: maxBytes,
      dispose: (_value, item, reason) => {
        if (reason === 'evict') {
          item.group.evict(item);
        }
      },
    });
  }

  /** The bytes of the events that wait for subscriptions; one that waits for many counts once. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** The bytes of the results that are kept. */
  get resultBytes(): number {
    return this.#cache.calculatedSize;
  }

  /** The group of all subscriptions with an equal renderer. */
  group(renderer: Renderer): ResultGroup {
    const group = this.#groups.get(renderer.key) ?? new ResultGroup(this, renderer);
    this.#groups.set(renderer.key, group);
    return group;
  }

  remove(group: ResultGroup): void {
    this.#groups.delete(group.key);
  }

  addWaiting(bytes: number): void {
    this.#waitingBytes += bytes;
  }

  keep(item: Item): void {
    this.rendered += 1;
    // One that is larger than the bound is not taken: it stays with its item until those who wait have it.
    this.#cache.set(item, true, { size: item.bytes });
  }

  drop(item: Item): void {
    this.#cache.delete(item);
  }

  /** Starts the work as soon as fewer than the allowed number of renderings run. */
  async whenFree<Value>(work: () => Promise<Value>): Promise<Value> {
    if (this.#rendering >= MAX_RENDERING) {
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    } else {
      this.#rendering += 1;
    }
    try {
      return await work();
    } finally {
      const next = this.#queue.shift();
      if (next) {
        next();
      } else {
        this.#rendering -= 1;
      }
    }
  }
}
