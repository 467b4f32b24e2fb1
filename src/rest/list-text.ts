/** A list that is too long to be held in memory: its items are written as they are read, a batch at a time. */
export interface LongList {
  readonly batches: () => AsyncIterable<readonly unknown[]>;
  /** Where the answer is an object with the list as its last member: that member's name, and the members before it. */
  readonly name?: string;
  readonly head?: Readonly<Record<string, unknown>>;
}

/** How many characters are sent at once. */
const CHUNK = 16_384;

const PLACE = 'the items';

/** The JSON of a list in pieces, laid out as `write` lays out any value. */
export async function* listText(
  { batches, name, head }: LongList,
  write: (value: unknown) => string,
): AsyncGenerator<string> {
  const around = (list: readonly unknown[]) => write(name === undefined ? list : { ...head, [name]: list });
  const [open = '', close = ''] = around([PLACE]).split(JSON.stringify(PLACE));
  const [lineBreak = ''] = /\n *$/.exec(open) ?? [];
  let text = '';
  let first = true;
  for await (const batch of batches()) {
    for (const item of batch) {
      text += (first ? open : `,${lineBreak}`) + write(item).replaceAll('\n', lineBreak);
      first = false;
      if (text.length > CHUNK) {
        yield text;
        text = '';
      }
    }
  }
  yield first ? around([]) : text + close;
}
