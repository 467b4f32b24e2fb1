/** A list that is too long to be held in memory: its items are written as they are read, a batch at a time. */
export interface LongList {
  readonly batches: () => AsyncIterable<readonly unknown[]>;
  /** Where the answer is an object with the list as its last member: that member's name, and the members before it. */
  readonly name?: string;
  readonly head?: Readonly<Record<string, unknown>>;
}

/** How many items are written at once: of the longest posts, some two megabytes. */
const ITEMS_AT_ONCE = 20;

const PLACE = 'the items';

/** The JSON of a list in pieces, laid out as `write` lays out any value. */
export async function* listText(
  { batches, name, head }: LongList,
  write: (value: unknown) => string,
): AsyncGenerator<string> {
  const around = (list: readonly unknown[]) => write(name === undefined ? list : { ...head, [name]: list });
  const [open = '', close = ''] = around([PLACE]).split(JSON.stringify(PLACE));
  // Several items are written at once, as a list of their own; where they stand deeper, their lines are moved there.
  const [ownOpen = '', ownClose = ''] = write([PLACE]).split(JSON.stringify(PLACE));
  const [lineBreak = ''] = /\n *$/.exec(open) ?? [];
  const [ownLineBreak = ''] = /\n *$/.exec(ownOpen) ?? [];
  let isFirst = true;
  for await (const batch of batches()) {
    for (let start = 0; start < batch.length; start += ITEMS_AT_ONCE) {
      const items = write(batch.slice(start, start + ITEMS_AT_ONCE)).slice(ownOpen.length, -ownClose.length);
      const placed =
        lineBreak === ownLineBreak ? items : items.replaceAll('\n', lineBreak.replace(ownLineBreak.slice(1), ''));
      yield (isFirst ? open : `,${lineBreak}`) + placed;
      isFirst = false;
    }
  }
  yield isFirst ? around([]) : close;
}
