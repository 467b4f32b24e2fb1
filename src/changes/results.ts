import { LRUCache } from 'lru-cache';
import { type Viewer, ViewerReads } from '../viewer.ts';
import type { StreamEvent } from './filter.ts';
import { Item, type ItemOrigin, Result } from './result.ts';

/** The number of batches of events that are rendered at the same time. */
const MAX_CONCURRENT_RENDERINGS = 8;
/** How long results stay cached after the last subscription has caught up, in milliseconds: after an outage, others resume soon after it. */
const RESULT_RETENTION_MS = 5_000;

/** Makes the texts that are sent for events. */
export interface Renderer<Event extends StreamEvent = StreamEvent> {
  /** Renderers with equal keys return the same texts for the same events and for viewers of whom they read the same values. */
  readonly key: string;
  /**
   * Returns the text of each event; null for an event that is not sent. Everything that depends on the receiver has to be read from `viewer`: the reads
   * decide with which other viewers the text is shared.
   */
  render(events: readonly Event[], viewer: Viewer): Promise<readonly (string | null)[]>;
}

/** A rendering in progress, with the callbacks of the deliveries that wait for it. */
interface Rendering {
  readonly waiters: ((error: Error | null) => void)[];
}

/** The subscriptions that share results, and the items in their queues. */
export class ResultGroup {
  readonly #store: ResultStore;
  readonly #renderer: Renderer;
  readonly #items = new Map<string, Item>();
  readonly #renderings = new Map<string, Rendering>();
  /** The reads of the last rendering: viewers for whom they give the same values probably share the next result, too. */
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

  /** Counts a subscription that catches up. While there is one, results stay cached after all queues have sent them, since its replay may reach them later. */
  beginCatchingUp(): void {
    this.#catchingUp += 1;
  }

  endCatchingUp(): void {
    this.#catchingUp -= 1;
    if (this.#catchingUp === 0 && this.#items.size > 0) {
      this.#sweepTimer ??= setTimeout(() => this.#sweep(), RESULT_RETENTION_MS).unref();
    }
  }

  /** Returns the item of an event: the one that other subscriptions of the group have queued or sent, if it is still cached. */
  item(event: StreamEvent, origin: ItemOrigin): Item {
    return this.#items.get(event.key) ?? new Item(this, event, origin);
  }

  /** Counts a subscription that queues the item. */
  retain(item: Item): void {
    if (item.waiting === 0) {
      this.#store.addWaiting(item.size);
      this.#items.set(item.event.key, item);
    }
    item.waiting += 1;
  }

  /** Counts a subscription that no longer has the item queued, and drops an item that no queue and no replay needs. */
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

  /** Drops the results of an item that the cache evicted; they are rendered again for the queues that still hold it. */
  evict(item: Item): void {
    item.clear();
    if (item.waiting === 0) {
      this.#items.delete(item.event.key);
    }
  }

  /** Renders the items that have no result for the viewer yet, and calls back when that, or an equal rendering in progress, has ended. */
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
      .runRendering(() => this.#render(missing, viewer))
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

  /** Drops the items that are in no queue, unless a subscription has begun to catch up since. */
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
      this.#store.cache(item);
    }
  }
}

/** The result cache of this process: the results of all groups, bounded in bytes. */
export class ResultStore {
  readonly #groups = new Map<string, ResultGroup>();
  readonly #cache: LRUCache<Item, true>;
  readonly #queue: (() => void)[] = [];
  #rendering = 0;
  #waitingBytes = 0;
  /** The number of events that were rendered. */
  rendered = 0;

  /** `maxBytes` bounds the cached results; queued events are only counted here. */
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

  /** The bytes of queued events; an event in several queues counts once. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** The bytes of the cached results. */
  get resultBytes(): number {
    return this.#cache.calculatedSize;
  }

  /** Returns the group of all subscriptions whose renderers have an equal key. */
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

  cache(item: Item): void {
    this.rendered += 1;
    // The cache does not take an item that is larger than its bound. Its results stay with the item until all queues have sent it.
    this.#cache.set(item, true, { size: item.bytes });
  }

  drop(item: Item): void {
    this.#cache.delete(item);
  }

  /** Runs the rendering once fewer than {@link MAX_CONCURRENT_RENDERINGS} run. */
  async runRendering<Value>(render: () => Promise<Value>): Promise<Value> {
    if (this.#rendering >= MAX_CONCURRENT_RENDERINGS) {
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    } else {
      this.#rendering += 1;
    }
    try {
      return await render();
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
