import { afterEach, beforeEach, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { describeWith } from '../kit/present.ts';
import { startProcess } from '../kit/process.ts';
import { PikaConsumer, type PrivateBroker, privateBroker } from './rabbit.ts';
import { Room } from './room.ts';
import { type OwnDatabase, ownDatabase } from './shell.ts';

describeWith('rabbitmq', 'the position up to which chat was published', (brokerUrl) => {
  describeWith('pika', 'seen by a consumer in Python', (python) => {
    let broker: PrivateBroker;
    let database: OwnDatabase;
    let app: TestApp;
    let room: Room;
    let consumer: PikaConsumer;

    beforeEach(async () => {
      broker = await privateBroker(brokerUrl);
      database = await ownDatabase();
      app = await startApp(database.env);
      room = await Room.open(database.env.DATABASE_URL, [await app.signUp('ann'), await app.signUp('ben')]);
      consumer = await PikaConsumer.start(python, broker.url, room.uri);
    });
    afterEach(async () => {
      await consumer.stop();
      await room.close();
      await app.close();
      await database.remove();
      await broker.remove();
    });
    const startAgain = (): Promise<TestApp> => startApp({ ...database.env, AMQP_URL: broker.url });

    it('should begin at the end of the log when a broker is configured for the first time', async () => {
      await room.sayBySql('long ago');
      const connected = await startAgain();
      await room.sayBySql('now');
      await consumer.waitFor(1);
      expect(consumer.said).toEqual(['now']);
      await connected.close();
    });

    it('should be kept across restarts: nothing is left out, and nothing comes twice', async () => {
      for (let round = 0; round < 3; round++) {
        const connected = await startAgain();
        await room.sayBySql(`up ${round}`);
        await connected.close();
        await room.sayBySql(`down ${round}`);
      }
      const connected = await startAgain();
      await room.sayBySql('last');
      await consumer.waitFor(7);
      expect(consumer.said).toEqual(await room.committed());
      expect(consumer.arrivals).toHaveLength(7);
      await connected.close();
    });

    it('should keep up with a log in which nobody chats', async () => {
      const connected = await startAgain();
      const { cursor } = app.app.services.feed;
      await app.anonymous.gql(`mutation { createTodo(input: { title: "Say nothing" }) { __typename } }`);
      const stored = async (): Promise<string | undefined> =>
        (await app.app.services.database.logPosition.findFirst())?.cursor;
      expect(await stored()).toBe(cursor);
      await expect.poll(stored, { timeout: 10_000 }).not.toBe(cursor);
      await connected.close();
    });

    it('should be given up loudly when the log no longer reaches back to it', async () => {
      const connected = await startAgain();
      await room.sayBySql('in time');
      await consumer.waitFor(1);
      await connected.close();
      await room.sayBySql('forgotten');
      await room.sayBySql('the oldest that is kept');
      await room.sayBySql('kept');
      await room.shell.execute(
        `DELETE FROM "Change" WHERE "seq" < (SELECT max("seq") - 1 FROM "Change" WHERE "model" = 'ChatMessage')`,
      );
      const server = await startProcess({ ...database.env, AMQP_URL: broker.url });
      await consumer.waitFor(3);
      expect(server.output()).toContain('CHAT MESSAGES MAY BE MISSING');
      await room.sayBySql('afterwards');
      await consumer.waitFor(4);
      expect(consumer.said).toEqual(['in time', 'the oldest that is kept', 'kept', 'afterwards']);
      expect(await server.stop()).toMatchObject({ code: 0 });
    });
  });
});
