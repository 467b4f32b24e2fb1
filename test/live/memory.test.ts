import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SocketClient } from '../kit/socket.ts';
import { expectInOrder, type Flooded, follow, startFlooded, titlesOf, WATCH } from './flood.ts';
import { EventStream } from './streams.ts';

/** A hundred thousand events take a while on a busy machine. */
const DEADLINE_MS = 180_000;

let server: Flooded;

beforeAll(async () => {
  // Bounded, so that what is not collected yet is not taken for what is kept.
  server = await startFlooded({ NODE_OPTIONS: '--max-old-space-size=128' });
});
afterAll(() => server.stop());

describe('the memory of the server', () => {
  const residentMegabytes = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]) / 1024;

  it(
    'should not grow with the events that pass readers who never read',
    async () => {
      const { client, events } = await follow(server);
      const { cursor } = await server.ann.gql('{ cursor }');
      const neglected: SocketClient[] = [];
      const neglect = async (after: string | null): Promise<void> => {
        const slow = await SocketClient.open(server.url, server.ann.authorization);
        slow.start(WATCH, { after });
        slow.raw.socket.pause();
        neglected.push(slow);
      };
      await neglect(null);
      await neglect(cursor);
      const request = { query: WATCH, variables: { after: cursor }, authorization: server.ann.authorization };
      const stream = await EventStream.open(server.url, request);
      stream.pause();

      const passed: number[] = [];
      for (let chunk = 0; chunk < 200; chunk += 1) {
        const titles = titlesOf(chunk * 500, 500);
        server.write(titles, 'x'.repeat(200));
        await expectInOrder(events, titles);
        if (chunk % 25 === 0) {
          await neglect(null);
        }
        if (chunk % 100 === 99) {
          passed.push(residentMegabytes());
        }
      }
      const [half = 0, whole = 0] = passed;
      expect(whole - half).toBeLessThan(40);
      for (const slow of neglected) {
        slow.raw.terminate();
      }
      await stream.close();
      await client.close();
    },
    DEADLINE_MS,
  );
});
