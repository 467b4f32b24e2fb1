import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { Transform } from 'node:stream';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { privateDatabase } from '../kit/app.ts';
import { Person } from '../kit/person.ts';
import { type ServerProcess, startProcess } from '../kit/process.ts';

const POSTS = 300_000;
const MAX_RESIDENT_KIB = 250 * 1024;
const TIMEOUT_MS = 300_000;
const PASSWORD = 'a good long password';
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{6})?Z$/;
/** How much more than before a server that has nothing to do may compute in a second, in ticks of 10 ms; one that goes on reading takes all. */
const MORE_TICKS = 20;
const SECOND_MS = 1000;
/** How long a server may take to notice that a reader has left. */
const DEADLINE_S = 10;

const contentOf = (id: number | string): string =>
  `What post number ${id} has to say, in a sentence or two of the usual length: as much as fits on one line, no more.`;

const database = privateDatabase();
let server: ServerProcess;
let saidAtStart: string;
let idleTicks: number;
let ann: Person;

beforeAll(async () => {
  // Before the server's first start: nothing of it has to be logged, or pruned.
  const file = new Sqlite(database.path);
  file.exec(`
    INSERT INTO "Post" ("title", "content")
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${POSTS})
    SELECT 'Post ' || n, replace('${contentOf('#')}', '#', n) FROM numbers
  `);
  file.close();
  server = await startProcess({ DATABASE_URL: `file:${database.path}` });
  const visitor = new Person(server.url, null, '');
  await visitor.gql(`mutation { signUp(input: { username: "ann", password: "${PASSWORD}" }) { __typename } }`);
  ann = await visitor.signIn('ann', PASSWORD);
  saidAtStart = server.output();
  await pause(SECOND_MS);
  idleTicks = await ticksOfSecond();
}, 120_000);
afterAll(async () => {
  await server.stop();
  database.remove();
});

/** The most memory that the server has had at any time, in KiB. */
const peak = (): number => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]);

/** What the server has computed so far, in ticks. */
function ticks(): number {
  const fields = readFileSync(`/proc/${server.pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

async function ticksOfSecond(): Promise<number> {
  const before = ticks();
  await pause(SECOND_MS);
  return ticks() - before;
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Expects that the server does no more work for clients that have disconnected, and keeps nothing in memory for them. */
async function expectIdle(): Promise<void> {
  let computed = Number.POSITIVE_INFINITY;
  for (let second = 0; second < DEADLINE_S && computed > idleTicks + MORE_TICKS; second += 1) {
    computed = await ticksOfSecond();
  }
  expect(computed).toBeLessThanOrEqual(idleTicks + MORE_TICKS);
  const file = new Sqlite(database.path, { timeout: 5000 });
  // A statement that still reads would keep the log from being emptied.
  const [{ busy }] = file.pragma('wal_checkpoint(TRUNCATE)') as [{ busy: number }];
  file.close();
  expect(busy).toBe(0);
  expect((await ann.fetch('/api/posts/1/')).status).toBe(200);
  expect(peak()).toBeLessThan(MAX_RESIDENT_KIB);
  expect(server.output()).toBe(saidAtStart);
}

async function openList(): Promise<IncomingMessage> {
  const asked = request(`${server.url}/api/posts/`, {
    agent: false,
    headers: { authorization: ann.authorization ?? '' },
  });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  return response;
}

/** The elements of an array of flat objects, as text, while it comes: nothing of it is kept. */
function elements(response: IncomingMessage): AsyncIterable<string> {
  const lines = new Transform({
    decodeStrings: false,
    transform: (chunk: string, _encoding, done) => done(null, chunk.replaceAll('},{', '},\n{')),
  });
  // A border between two elements may lie between two chunks as well; then the line has both.
  return createInterface({ input: response.setEncoding('utf8').pipe(lines) });
}

/** Holds the list against what it must be; gives how many posts it was. */
async function countInOrder(response: IncomingMessage): Promise<number> {
  let count = 0;
  let first = true;
  let ending = '';
  for await (const line of elements(response)) {
    const text = first ? line.replace(/^\[/, '') : line;
    expect(first ? line.startsWith('[{') : line.startsWith('{'), line.slice(0, 100)).toBe(true);
    first = false;
    ending = text.at(-1) ?? '';
    for (const post of JSON.parse(`[${text.slice(0, -1)}]`)) {
      count += 1;
      const { id, title, content, created_at, updated_at } = post;
      const isRight = id === count && title === `Post ${count}` && content === contentOf(count);
      if (!isRight || ![created_at, updated_at].every((time) => TIME.test(time)) || Object.keys(post).length !== 5) {
        throw new Error(`${JSON.stringify(post)} came in place ${count}.`);
      }
    }
  }
  expect(ending).toBe(']');
  return count;
}

describe('a list of a million posts', () => {
  it('should be streamed in order, in little memory, while others are served', { timeout: TIMEOUT_MS }, async () => {
    const before = peak();
    const begun = performance.now();
    const counting = countInOrder(await openList());
    let served = 0;
    let over = false;
    const serving = (async () => {
      while (!over) {
        expect((await ann.fetch('/api/posts?limit=5&ordering=id')).status).toBe(200);
        served += 1;
        await pause(200);
      }
    })();
    const count = await counting;
    over = true;
    await serving;
    const seconds = Math.round((performance.now() - begun) / 1000);
    process.stdout.write(
      `${count} posts in ${seconds} s: ${Math.round(before / 1024)} MiB before, ${Math.round(peak() / 1024)} MiB at most\n`,
    );
    expect(count).toBe(POSTS);
    expect(served).toBeGreaterThan(1);
    expect(peak()).toBeLessThan(MAX_RESIDENT_KIB);
  });

  it('should stop for a client that disconnects half-way', { timeout: TIMEOUT_MS }, async () => {
    const before = ticks();
    const reader = await openList();
    let count = 0;
    for await (const line of elements(reader)) {
      count += line.split('"id":').length - 1;
      if (count >= POSTS / 2) {
        break;
      }
    }
    expect(count).toBeLessThan(POSTS);
    const half = ticks() - before;
    reader.destroy();
    await expectIdle();
    // One that went on for nobody would compute as much again.
    expect(ticks() - before - half).toBeLessThan(half / 2);
  });

  it('should wait for clients that pause, and stop for those that disconnect', { timeout: TIMEOUT_MS }, async () => {
    const readers = await Promise.all(Array.from({ length: 20 }, openList));
    for (const reader of readers) {
      await once(reader, 'readable');
    }
    await pause(SECOND_MS);
    for (const reader of readers) {
      reader.destroy();
    }
    await expectIdle();
  });
});
