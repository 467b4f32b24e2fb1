import { randomUUID } from 'node:crypto';
import type { ChangeEvent } from '../changes/filter.ts';
import type { Renderer } from '../changes/results.ts';
import type { Context } from '../context.ts';
import { retryDuringOutage } from '../database/outages.ts';
import type { Viewer } from '../viewer.ts';
import type { AnyLegacyModel } from './model.ts';

/** Renders the instances of events for the clients of `/ws/subscribe/`. */
export class InstanceRenderer implements Renderer<ChangeEvent> {
  readonly key: string;
  readonly #model: AnyLegacyModel;
  readonly #context: Context;

  constructor(model: AnyLegacyModel, context: Context) {
    this.key = `/ws/subscribe/ ${model.name}`;
    this.#model = model;
    this.#context = context;
  }

  render(events: readonly ChangeEvent[], viewer: Viewer): Promise<(string | null)[]> {
    const context: Context = {
      ...this.#context,
      viewer,
      requestId: randomUUID(),
      delivery: this.#context.feed.loop.loaderScope,
    };
    return Promise.all(events.map((event) => this.#instanceOf(event, context)));
  }

  async #instanceOf({ id, row }: ChangeEvent, context: Context): Promise<string | null> {
    if (row === null) {
      return JSON.stringify({ pk: id, id });
    }
    const instance = await retryDuringOutage(context.database, async () => {
      const current = row === 'current' ? await this.#model.load?.(context, id) : row;
      // A row image in the log has the columns of its model.
      return current ? this.#model.instance(current as never, context) : null;
    });
    return instance === null ? null : JSON.stringify(instance);
  }
}
