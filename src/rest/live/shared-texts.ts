/** How many texts are remembered: as many as the readers of one event may lie apart while they are live. */
const REMEMBERED = 256;

/** Makes what many sockets send for one event once for all of them. */
export class SharedTexts {
  readonly #texts = new Map<string, Promise<string | null>>();

  /** The text of this name; the first to ask has it made. */
  get(name: string, make: () => Promise<string | null>): Promise<string | null> {
    const known = this.#texts.get(name);
    if (known) {
      return known;
    }
    const text = make();
    this.#texts.set(name, text);
    // What failed is tried again by the next who asks.
    text.catch(() => this.#texts.delete(name));
    if (this.#texts.size > REMEMBERED) {
      const [oldest = name] = this.#texts.keys();
      this.#texts.delete(oldest);
    }
    return text;
  }
}
