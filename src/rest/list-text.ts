import { Readable } from 'node:stream';
import type { JsonLayout } from '../database/json-sql.ts';

/** A list whose items are read while they are sent, because it can be too long for memory. */
export interface LongList {
  /** Returns the items as JSON, separated by commas, in chunks. */
  readonly items: (layout: JsonLayout) => AsyncIterable<string>;
  /** The name of the list in a response that is an object, and the members before it. Without a name, the response is the list. */
  readonly name?: string;
  readonly head?: Readonly<Record<string, unknown>>;
}

/** Writes values as JSON, and converts existing JSON to the same format. */
export interface JsonWriter {
  readonly write: (value: unknown) => string;
  readonly encode: (json: string) => string;
}

/** Marks the position of the items in the JSON around them. */
const PLACEHOLDER = 'the items';

/** Yields the JSON of a list in chunks, in the layout of `write`. */
export async function* listText(
  { items, name, head }: LongList,
  { write, encode }: JsonWriter,
): AsyncGenerator<string> {
  const around = (list: readonly unknown[]) => write(name === undefined ? list : { ...head, [name]: list });
  const [open = '', close = ''] = around([PLACEHOLDER]).split(JSON.stringify(PLACEHOLDER));
  const [lineBreak = ''] = /\n *$/.exec(open) ?? [];
  const [, indent = ''] = /\n( *)$/.exec(write([PLACEHOLDER]).split(JSON.stringify(PLACEHOLDER))[0] ?? '') ?? [];
  let isFirst = true;
  for await (const chunk of items({ lineBreak, indent })) {
    yield (isFirst ? open : `,${lineBreak}`) + encode(chunk);
    isFirst = false;
  }
  yield isFirst ? around([]) : close;
}

/** The number of characters up to which a list is sent as a whole. */
const MAX_BUFFERED_LENGTH = 512 * 1024;

/** Returns the payload of a list: a buffer, with a known length, for a short list, otherwise a stream of chunks. */
export async function listPayload(chunks: AsyncGenerator<string>): Promise<Buffer | Readable> {
  let start = '';
  while (start.length < MAX_BUFFERED_LENGTH) {
    const { done, value } = await chunks.next();
    if (done) {
      return Buffer.from(start);
    }
    start += value;
  }
  return Readable.from(startingWith(start, chunks), { objectMode: false });
}

async function* startingWith(start: string, chunks: AsyncGenerator<string>): AsyncGenerator<string> {
  yield start;
  yield* chunks;
}
