import { Connection } from 'rabbitmq-client';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { describeWith } from '../kit/present.ts';
import { PikaConsumer, type PrivateBroker, privateBroker } from './rabbit.ts';
import { insertion, Room } from './room.ts';
import { type OwnDatabase, ownDatabase } from './shell.ts';

describeWith('rabbitmq', 'chat messages on their way out', (brokerUrl) => {
  describeWith('pika', 'to a consumer in Python', (python) => {
    let broker: PrivateBroker;
    let database: OwnDatabase;
    let app: TestApp;
    let room: Room;
    const consumers: PikaConsumer[] = [];

    const listen = async (...uris: string[]): Promise<PikaConsumer> => {
      const consumer = await PikaConsumer.start(python, broker.url, ...uris);
      consumers.push(consumer);
      return consumer;
    };

    beforeAll(async () => {
      broker = await privateBroker(brokerUrl);
      database = await ownDatabase();
      app = await startApp({ ...database.env, AMQP_URL: broker.url });
      room = await Room.open(database.env.DATABASE_URL, [await app.signUp('ann'), await app.signUp('ben')]);
    });
    afterEach(async () => {
      await Promise.all(consumers.splice(0).map((consumer) => consumer.stop()));
    });
    afterAll(async () => {
      await room.close();
      await app.close();
      await database.remove();
      await broker.remove();
    });

    it('should carry the frame of the chat socket, a message id and the time', async () => {
      const consumer = await listen(room.uri);
      await room.sayByGraphQL('  Grüße 👋\nfrom here ', room.people[1]);
      await consumer.waitFor(1);
      const [arrival] = consumer.arrivals;
      expect(arrival).toMatchObject({ exchange: room.uri, routingKey: '', contentType: 'application/json' });
      expect(arrival?.text).toBe(
        `{"user":{"id":2,"username":"ben","email":"","first_name":"","last_name":""},"message":"  Grüße 👋\\nfrom here "}`,
      );
      expect(arrival?.id).toMatch(/^[0-9a-f]{16}:\d+-[0-9a-z]+$/);
      expect(Math.abs(Date.now() / 1000 - (arrival?.timestamp ?? 0))).toBeLessThan(10);
      expect(arrival?.headers).toEqual({ message_id: arrival?.id, timestamp: arrival?.timestamp });
    });

    it('should bring what is said by GraphQL, REST and SQL in the order of the commits, each once', async () => {
      const other = await Room.open(database.env.DATABASE_URL, room.people);
      const before = (await room.committed()).length;
      const consumer = await listen(room.uri, other.uri);
      const rounds = [...Array(40).keys()];
      await Promise.all([
        ...rounds.map((round) => room.sayByGraphQL(`graphql ${round}`, room.people[round % 2])),
        ...rounds.map((round) => other.sayByRest(`rest ${round}`, room.people[round % 2])),
        (async () => {
          for (const round of rounds) {
            await (round % 2 ? room : other).sayBySql(`sql ${round} a`, `sql ${round} b`, `sql ${round} c`);
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        })(),
      ]);
      await consumer.waitFor(200);
      expect(consumer.said).toEqual((await room.committed()).slice(before));
      expect(consumer.arrivals).toHaveLength(200);
      await other.close();
    });

    it('should bring messages and chats that were deleted before they were published', async () => {
      const doomed = await Room.open(database.env.DATABASE_URL, room.people);
      const consumer = await listen(doomed.uri, room.uri);
      await doomed.shell.execute(
        insertion(doomed.uri, 'last words'),
        `DELETE FROM "ChatSession" WHERE "uri" = '${doomed.uri}'`,
      );
      await room.sayByRest('still here');
      await consumer.waitFor(2);
      expect(consumer.arrivals.map(({ exchange }) => exchange)).toEqual([doomed.uri, room.uri]);
      expect(consumer.said).toEqual(['last words', 'still here']);
      await doomed.close();
    });

    it('should leave out what no exchange can carry, and go on', async () => {
      const reserved = await Room.open(database.env.DATABASE_URL, room.people);
      await reserved.shell.execute(`UPDATE "ChatSession" SET "uri" = 'amq.reserved' WHERE "uri" = '${reserved.uri}'`);
      const consumer = await listen(room.uri);
      await reserved.shell.execute(insertion('amq.reserved', 'to nowhere'));
      await room.sayByRest('to everybody');
      await consumer.waitFor(1);
      expect(consumer.said).toEqual(['to everybody']);
      await reserved.close();
    });

    it('should use an exchange that somebody declared in another way', async () => {
      const odd = await Room.open(database.env.DATABASE_URL, room.people);
      const program = new Connection(broker.url);
      const arrived: unknown[] = [];
      const consumer = program.createConsumer(
        {
          queue: '',
          queueOptions: { exclusive: true },
          exchanges: [{ exchange: odd.uri, type: 'fanout', durable: true }],
          queueBindings: [{ exchange: odd.uri, routingKey: '' }],
        },
        ({ body }) => {
          arrived.push(body.message);
        },
      );
      await new Promise<void>((resolve) => consumer.once('ready', resolve));
      await odd.sayByRest('one');
      await odd.sayByRest('two');
      await expect.poll(() => arrived, { timeout: 10_000 }).toEqual(['one', 'two']);
      await consumer.close();
      await program.close();
      await odd.close();
    });
  });
});
