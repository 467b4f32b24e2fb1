import { Connection } from 'rabbitmq-client';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { describeWith } from '../kit/present.ts';
import { PikaConsumer, type PrivateBroker, privateBroker, produce, Wire } from './rabbit.ts';
import { Room } from './room.ts';
import { type OwnDatabase, ownDatabase } from './shell.ts';

/** How long the long outage lasts, in seconds. */
const OUTAGE_S = Number(process.env['TIDINGS_OUTAGE_S'] ?? 30);
const LOAD_INTERVAL_MS = 10;
const DEADLINE_MS = 60_000;

describeWith('rabbitmq', 'an outage of the broker', (brokerUrl) => {
  describeWith('pika', 'seen by a consumer in Python', (python) => {
    let broker: PrivateBroker;
    let wire: Wire;
    let database: OwnDatabase;
    let app: TestApp;
    let room: Room;
    const consumers: PikaConsumer[] = [];

    const listen = async (...uris: string[]): Promise<PikaConsumer> => {
      const consumer = await PikaConsumer.start(python, broker.url, ...uris);
      consumers.push(consumer);
      return consumer;
    };
    const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
    /** Sends messages by all transports until it is stopped. */
    const talk = (rooms: readonly Room[]): (() => Promise<void>) => {
      let talking = true;
      const running = (async () => {
        for (let round = 0; talking; round++) {
          for (const [index, place] of rooms.entries()) {
            const said = `${round} in ${index}`;
            const ways = [() => place.sayByGraphQL(said), () => place.sayByRest(said), () => place.sayBySql(said)];
            await ways[round % ways.length]?.();
          }
          await pause(LOAD_INTERVAL_MS);
        }
      })();
      return () => {
        talking = false;
        return running;
      };
    };

    beforeEach(async () => {
      broker = await privateBroker(brokerUrl);
      wire = await Wire.open(broker.url);
      database = await ownDatabase();
    });
    afterEach(async () => {
      await Promise.all(consumers.splice(0).map((consumer) => consumer.stop()));
      await room.close();
      await app.close();
      await database.remove();
      await wire.cut();
      await broker.remove();
    });
    const begin = async (): Promise<void> => {
      app = await startApp({ ...database.env, AMQP_URL: wire.url });
      room = await Room.open(database.env.DATABASE_URL, [await app.signUp('ann'), await app.signUp('ben')]);
    };

    it('should lose and reorder nothing when connections break again and again under load', async () => {
      await begin();
      const other = await Room.open(database.env.DATABASE_URL, room.people);
      const consumer = await listen(room.uri, other.uri);
      const stop = talk([room, other]);
      for (let round = 0; round < 5; round++) {
        await pause(300);
        await wire.cut();
        await pause(100 * round);
        await wire.restore();
      }
      await stop();
      const committed = await room.committed();
      await consumer.waitFor(committed.length);
      expect(consumer.said).toEqual(committed);
      await other.close();
    });

    it(
      `should lose and reorder nothing when the broker is away for ${OUTAGE_S} s under load`,
      async () => {
        await begin();
        const consumer = await listen(room.uri);
        const stop = talk([room]);
        await consumer.waitFor(20);
        await wire.cut();
        const before = consumer.arrivals.length;
        await pause(OUTAGE_S * 1000);
        expect(consumer.arrivals.length - before).toBeLessThan(20);
        await wire.restore();
        await consumer.waitFor((await room.committed()).length);
        await stop();
        const committed = await room.committed();
        await consumer.waitFor(committed.length);
        expect(committed.length).toBeGreaterThan(OUTAGE_S * 5);
        expect(consumer.said).toEqual(committed);
      },
      OUTAGE_S * 1000 + DEADLINE_MS,
    );

    it(
      'should take messages of other programs over once each, in their order, while connections break',
      async () => {
        await begin();
        const texts = [...Array(500).keys()].map((index) => `from outside ${index}`);
        const messages = texts.map((message, index) => ({
          id: String(index),
          text: JSON.stringify({ uri: room.uri, username: 'ben', message }),
        }));
        await produce(python, broker.url, 'tidings.chat.inbound', messages);
        const taken = async (): Promise<number> => (await room.committed()).length;
        for (const count of [50, 150, 300, texts.length]) {
          await expect.poll(taken, { timeout: DEADLINE_MS }).toBeGreaterThanOrEqual(count);
          await wire.cut();
          await wire.restore();
        }
        expect(await room.committed()).toEqual(texts);
      },
      DEADLINE_MS,
    );

    it('should start and serve without a broker, and publish when there is one', async () => {
      await wire.cut();
      await begin();
      const consumer = await listen(room.uri);
      await room.sayByRest('nobody there?');
      await room.sayByGraphQL('well then');
      await wire.restore();
      await consumer.waitFor(2);
      expect(consumer.said).toEqual(['nobody there?', 'well then']);
    });

    it('should stop while the broker is away, and publish what is left after the next start', async () => {
      await begin();
      const consumer = await listen(room.uri);
      await room.sayByRest('before');
      await consumer.waitFor(1);
      await wire.cut();
      await room.sayByRest('during');
      await app.app.close();
      await wire.restore();
      const again = await startApp({ ...database.env, AMQP_URL: wire.url });
      await consumer.waitFor(2);
      expect(consumer.said).toEqual(['before', 'during']);
      await again.close();
    });

    it('should wait for those who listened before when the broker comes back without its exchanges', async () => {
      await begin();
      const silent = await Room.open(database.env.DATABASE_URL, room.people);
      const first = await listen(room.uri);
      await silent.sayByRest('0');
      await room.sayByRest('1');
      await first.waitFor(1);
      await wire.cut();
      await first.stop();
      // What a broker that starts anew forgets: exchanges that are not durable, and with them who listened.
      const program = new Connection(broker.url);
      await program.exchangeDelete({ exchange: room.uri });
      await program.exchangeDelete({ exchange: silent.uri });
      await program.close();
      for (const said of ['2', '3', '4', '5']) {
        await room.sayByRest(said);
        await silent.sayByRest(said);
      }
      await wire.restore();
      await pause(3_000);
      const second = await listen(room.uri);
      await second.waitFor(4);
      expect(second.said).toEqual(['2', '3', '4', '5']);
      await silent.close();
    });
  });
});
