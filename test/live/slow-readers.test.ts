import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { SocketClient } from '../kit/socket.ts';
import { expectInOrder, type Flooded, follow, startFlooded, titlesOf } from './flood.ts';
import { EventStream } from './streams.ts';

/** Asks for the same text so often that few events fill what the kernel keeps for both ends of a connection: up to 36 MB on Linux. */
const WATCH_LARGE = `subscription ($after: String) {
  todoChanged(after: $after) { todo { title ${Array.from({ length: 30 }, (_, i) => `d${i}: description`).join(' ')} } }
}`;
const LARGE = 'x'.repeat(4000);
const CHUNK = 100;
const FLOOD = 8;
const CHUNKS = 200;
/** Longer than a reader may take nothing while others read on, and shorter than it is given to read why that was too long. */
const STALL_MS = 2_500;
/** Longer than a slow reader is given to read the last. */
const DEADLINE_MS = 10_000;

describe('a reader that stops to read', () => {
  let server: Flooded;
  let healthy: Awaited<ReturnType<typeof follow>>;
  let count = 0;

  beforeAll(async () => {
    const limits = { STREAM_MAX_EVENTS: '150', STREAM_MAX_BYTES: String(1024 ** 3) };
    server = await startFlooded({ ...limits, USER_MAX_SOCKETS: '2' });
  });
  afterAll(() => server.stop());
  afterEach(() => healthy.client.close());

  /** Writes at the pace of the reader that keeps up, which gets all of it in order. */
  async function pass(chunks: number, description = ''): Promise<void> {
    for (let chunk = 0; chunk < chunks; chunk += 1) {
      const titles = titlesOf(count, CHUNK);
      count += CHUNK;
      server.write(titles, description);
      await expectInOrder(healthy.events, titles);
    }
  }

  it('should get RESYNC_REQUIRED and be closed with 1013, if it is a socket, while others get everything', async () => {
    const { client: slow, events } = await follow(server, WATCH_LARGE);
    const other = slow.start('subscription { noteChanged { id } }');
    healthy = await follow(server);
    expect((await events.event()).todo.title).toBe('live');
    slow.raw.socket.pause();
    const first = count;
    await pass(FLOOD, LARGE);
    await sleep(STALL_MS);
    slow.raw.socket.resume();
    expect(await events.ended).toMatchObject([{ extensions: { code: 'RESYNC_REQUIRED' } }]);
    expect(await slow.closed).toEqual({ code: 1013, reason: 'The reader is too slow' });
    const received = events.results.drain();
    expect(received.length).toBeGreaterThan(0);
    expect(received.map(({ data }) => data.todoChanged.todo.title)).toEqual(titlesOf(first, received.length));
    expect(other.results.drain()).toEqual([]);
    await pass(CHUNKS - FLOOD);
  });

  it('should get RESYNC_REQUIRED and be completed, if it is an event stream, while others get everything', async () => {
    const { cursor } = await server.ann.gql('{ cursor }');
    const { authorization } = server.ann;
    const slow = await EventStream.open(server.url, {
      query: WATCH_LARGE,
      variables: { after: cursor },
      authorization,
    });
    healthy = await follow(server);
    while ((await slow.event()).todo.title !== 'live') {}
    const resume = slow.pause();
    const first = count;
    await pass(FLOOD, LARGE);
    await sleep(STALL_MS);
    resume();
    await slow.ended;
    const frames = slow.frames.drain();
    expect(frames.slice(-2)).toMatchObject([{ event: 'next' }, { event: 'complete' }]);
    const [last, ...received] = frames
      .slice(0, -1)
      .map(({ data }) => JSON.parse(data))
      .toReversed();
    expect(last).toMatchObject({ errors: [{ extensions: { code: 'RESYNC_REQUIRED' } }] });
    const titles = received.toReversed().map(({ data }) => data.todoChanged.todo.title);
    expect(titles).toEqual(titlesOf(first, titles.length));
    await pass(FLOOD);
  });

  it('should be dropped when it never reads again', async () => {
    const { client: slow } = await follow(server, WATCH_LARGE);
    slow.raw.socket.pause();
    healthy = await follow(server);
    await expect(SocketClient.open(server.url, server.ann.authorization)).rejects.toThrow('4429');
    await pass(FLOOD, LARGE);
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      try {
        await (await SocketClient.open(server.url, server.ann.authorization)).close();
        break;
      } catch (error) {
        // Its place is taken until it is dropped.
        expect(String(error)).toContain('4429');
        expect(Date.now()).toBeLessThan(deadline);
        await sleep(100);
      }
    }
    slow.raw.terminate();
  });
});

describe('a peer that is no longer there', () => {
  it('should be dropped when it does not answer, and its place be free again', async () => {
    const server = await startFlooded({ KEEP_ALIVE_MS: '300', USER_MAX_SOCKETS: '2' });
    try {
      const { client } = await follow(server);
      const url = `${server.url.replace('http', 'ws')}/graphql`;
      const silent = new WebSocket(url, ['graphql-transport-ws'], { autoPong: false });
      const closed = once(silent, 'close');
      await once(silent, 'open');
      silent.send(JSON.stringify({ type: 'connection_init', payload: { authorization: server.ann.authorization } }));
      await once(silent, 'message');
      await expect(SocketClient.open(server.url, server.ann.authorization)).rejects.toThrow('4429');
      expect((await closed)[0]).toBe(1006);
      await (await SocketClient.open(server.url, server.ann.authorization)).close();
      expect(await client.execute('{ __typename }')).toEqual({ data: { __typename: 'Query' } });
      await client.close();
    } finally {
      await server.stop();
    }
  });
});

describe('a server that stops', () => {
  it('should not wait for those who do not read', async () => {
    const server = await startFlooded();
    const { authorization } = server.ann;
    const { cursor } = await server.ann.gql('{ cursor }');
    const { client } = await follow(server);
    const idle = await follow(server, WATCH_LARGE);
    idle.client.raw.socket.pause();
    const variables = { after: cursor };
    const stream = await EventStream.open(server.url, { query: WATCH_LARGE, variables, authorization });
    stream.pause();
    server.write(titlesOf(0, 500), LARGE);
    await sleep(1000);
    expect(await server.stop()).toBe(0);
    expect(await client.closed).toMatchObject({ code: 1001 });
    idle.client.raw.terminate();
    await stream.close();
  });
});
