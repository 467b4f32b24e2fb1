import { expect } from 'vitest';
import type { TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { RawSocket } from '../kit/socket.ts';

export type Frame = Readonly<Record<string, unknown>>;

const NOBODY = 'nobody has this id';
const LAST = 'the last of all';

/** A client of `/ws/subscribe/`. Nothing is acknowledged there, so it asks for an error to know that all before it was dealt with. */
export class LiveClient {
  readonly raw: RawSocket;
  readonly #app: TestApp;

  private constructor(app: TestApp, raw: RawSocket) {
    this.#app = app;
    this.raw = raw;
  }

  static async open(app: TestApp, person: Person = app.anonymous, query = ''): Promise<LiveClient> {
    const { authorization } = person;
    const raw = new RawSocket(`${app.url}/ws/subscribe/${query}`, { headers: authorization ? { authorization } : {} });
    await raw.opened;
    return new LiveClient(app, raw);
  }

  /** Sends frames and waits until the server has dealt with them; expects it to have nothing to say. */
  async quietly(...frames: readonly unknown[]): Promise<void> {
    for (const frame of [...frames, { request_id: NOBODY, unsubscribe: true }]) {
      this.raw.send(frame);
    }
    expect(await this.next()).toMatchObject({ type: 'error', request_id: NOBODY });
  }

  /** Sends a frame and gives the next one that comes. */
  ask(frame: unknown): Promise<Frame> {
    this.raw.send(frame);
    return this.next();
  }

  next(): Promise<Frame> {
    return this.raw.nextJson();
  }

  /** Expects that no committed change so far leads to another frame than those that were read. */
  async calm(): Promise<void> {
    expect(await this.received()).toEqual([]);
  }

  /** What comes for everything that was sent or committed so far. */
  async received(): Promise<Frame[]> {
    // A subscription that begins now has the feed catch up; the frame of a later change arrives after all earlier ones.
    this.raw.send({ type: 'subscribe', id: LAST, model: 'notes.Note', action: 'list' });
    this.raw.send({ request_id: NOBODY, unsubscribe: true });
    const before = await this.#until(({ request_id }) => request_id === NOBODY);
    const rest: Frame[] = [];
    // Twice: the events of other subscriptions of the same socket that were committed before the first may arrive after it.
    for (let round = 0; round < 2; round += 1) {
      await this.#app.app.services.database.note.create({
        data: { title: LAST, description: '', priority: 0, createdAt: '', createdBy: '' },
      });
      rest.push(...(await this.#until(({ id }) => id === LAST)));
    }
    this.raw.send({ type: 'unsubscribe', id: LAST });
    this.raw.send({ request_id: NOBODY, unsubscribe: true });
    return [...before, ...rest, ...(await this.#until(({ request_id }) => request_id === NOBODY))];
  }

  async #until(isLast: (frame: Frame) => boolean): Promise<Frame[]> {
    const frames: Frame[] = [];
    for (let frame = await this.next(); !isLast(frame); frame = await this.next()) {
      frames.push(frame);
    }
    return frames;
  }

  async close(): Promise<void> {
    this.raw.socket.close();
    await this.raw.closed;
  }
}

export const FIRST = 'first';
export const SECOND = 'second';
export type Generation = typeof FIRST | typeof SECOND;

/** How the two generations say the same. */
export const SPEECH = {
  [FIRST]: {
    idField: 'request_id',
    row: (id: unknown, model: string, value: unknown, more: object = {}) => ({ request_id: id, model, value, ...more }),
    ofList: (id: unknown, model: string, list: unknown, more: object = {}) => ({
      request_id: id,
      model,
      group_by: 'list_id',
      value: list,
      ...more,
    }),
    unsubscribe: (id: unknown) => ({ request_id: id, unsubscribe: true }),
    unknown: { type: 'error', code: 400, message: 'Attempted to unsubscribe for request ID before subscribing.' },
  },
  [SECOND]: {
    idField: 'id',
    row: (id: unknown, model: string, value: unknown, more: object = {}) => ({
      type: 'subscribe',
      id,
      model,
      action: 'retrieve',
      lookup_by: value,
      ...more,
    }),
    ofList: (id: unknown, model: string, list: unknown, more: object = {}) => ({
      type: 'subscribe',
      id,
      model,
      action: 'list',
      view_kwargs: { list },
      ...more,
    }),
    unsubscribe: (id: unknown) => ({ type: 'unsubscribe', id }),
    unknown: { type: 'error', code: 404, message: 'Attempted to unsubscribe for request ID before subscribing.' },
  },
} as const;

/** A broadcast in the style of a generation. */
export function broadcast(
  generation: Generation,
  id: unknown,
  model: string,
  action: 'CREATED' | 'UPDATED' | 'DELETED',
  instance: object,
): object {
  return { type: 'broadcast', [SPEECH[generation].idField]: id, model, action, instance };
}
