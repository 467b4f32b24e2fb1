/** A list that is too long to be held in memory: its items are written as they are read, a batch at a time. */
export interface LongList {
  readonly batches: () => AsyncIterable<readonly unknown[]>;
  /** Where the answer is an object with the list as its last member: that member's name, and the members before it. */
  readonly name?: string;
  readonly head?: Readonly<Record<string, unknown>>;
}

const PLACE = 'the items';

/** The JSON of a list in pieces, one for each batch, laid out as `write` lays out any value. */
export async function* listText(
  { batches, name, head }: LongList,
  write: (value: unknown) => string,
): AsyncGenerator<string> {
  const around = (list: readonly unknown[]) => write(name === undefined ? list : { ...head, [name]: list });
  const [open = '', close = ''] = around([PLACE]).split(JSON.stringify(PLACE));
  // A batch is written at once, as a list of its own; where the items stand deeper, their lines are moved there.
  const [ownOpen = '', ownClose = ''] = write([PLACE]).split(JSON.stringify(PLACE));
  const [lineBreak = ''] = /\n *$/.exec(open) ?? [];
  const [ownLineBreak = ''] = /\n *$/.exec(ownOpen) ?? [];
  let isFirst = true;
  for await (const batch of batches()) {
    if (batch.length > 0) {
      const items = write(batch).slice(ownOpen.length, -ownClose.length);
      const placed =
        lineBreak === ownLineBreak ? items : items.replaceAll('\n', lineBreak.replace(ownLineBreak.slice(1), ''));
      yield (isFirst ? open : `,${lineBreak}`) + placed;
      isFirst = false;
    }
  }
  yield isFirst ? around([]) : close;
}
