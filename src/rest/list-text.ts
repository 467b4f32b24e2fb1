import { Readable } from 'node:stream';
import type { JsonLayout } from '../database/json-sql.ts';

/** A list that is too long to be held in memory: its items are read while they are sent. */
export interface LongList {
  /** The items as JSON, separated by commas, in pieces. */
  readonly items: (layout: JsonLayout) => AsyncIterable<string>;
  /** Where the answer is an object with the list as its last member: that member's name, and the members before it. */
  readonly name?: string;
  readonly head?: Readonly<Record<string, unknown>>;
}

/** How a value becomes JSON, and what is done to JSON that was made elsewhere. */
export interface JsonWriter {
  readonly write: (value: unknown) => string;
  readonly encode: (json: string) => string;
}

const PLACE = 'the items';

/** The JSON of a list in pieces, laid out as `write` lays out any value. */
export async function* listText(
  { items, name, head }: LongList,
  { write, encode }: JsonWriter,
): AsyncGenerator<string> {
  const around = (list: readonly unknown[]) => write(name === undefined ? list : { ...head, [name]: list });
  const [open = '', close = ''] = around([PLACE]).split(JSON.stringify(PLACE));
  const [lineBreak = ''] = /\n *$/.exec(open) ?? [];
  const [, indent = ''] = /\n( *)$/.exec(write([PLACE]).split(JSON.stringify(PLACE))[0] ?? '') ?? [];
  let isFirst = true;
  for await (const piece of items({ lineBreak, indent })) {
    yield (isFirst ? open : `,${lineBreak}`) + encode(piece);
    isFirst = false;
  }
  yield isFirst ? around([]) : close;
}

/** How many characters of a list may be held, so that short ones are sent whole. */
const MAX_WHOLE = 512 * 1024;

/** What is sent of a list: all of it when it is short, which costs less and tells its length, otherwise the pieces at the reader's pace. */
export async function listPayload(pieces: AsyncGenerator<string>): Promise<Buffer | Readable> {
  let start = '';
  while (start.length < MAX_WHOLE) {
    const { done, value } = await pieces.next();
    if (done) {
      return Buffer.from(start);
    }
    start += value;
  }
  return Readable.from(startingWith(start, pieces), { objectMode: false });
}

async function* startingWith(start: string, pieces: AsyncGenerator<string>): AsyncGenerator<string> {
  yield start;
  yield* pieces;
}
