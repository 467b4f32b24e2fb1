import { afterEach, beforeEach, expect, it } from 'vitest';
import { Person } from '../kit/person.ts';
import { describeWith } from '../kit/present.ts';
import { type ServerProcess, startProcess } from '../kit/process.ts';
import { PikaConsumer, type PrivateBroker, privateBroker } from './rabbit.ts';
import { Room } from './room.ts';
import { type OwnDatabase, ownDatabase } from './shell.ts';

const LOAD_INTERVAL_MS = 10;

describeWith('rabbitmq', 'several processes that share a database', (brokerUrl) => {
  describeWith('pika', 'seen by a consumer in Python', (python) => {
    let broker: PrivateBroker;
    let database: OwnDatabase;
    let holder: ServerProcess;
    let heir: ServerProcess;
    let room: Room;
    let consumer: PikaConsumer;

    const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
    const start = (): Promise<ServerProcess> => startProcess({ ...database.env, AMQP_URL: broker.url });
    const signUp = async (username: string): Promise<Person> => {
      const nobody = new Person(heir.url, null, '');
      const input = { username, password: 'a good long password' };
      await nobody.gql(`mutation ($input: SignUpInput!) { signUp(input: $input) { __typename } }`, { input });
      return nobody.signIn(username, input.password);
    };
    /** Talks over the process that stays, and past all of them, until it is stopped. */
    const talk = (): (() => Promise<void>) => {
      let talking = true;
      const running = (async () => {
        for (let round = 0; talking; round++) {
          await (round % 2 ? room.sayBySql(`${round}`) : room.sayByRest(`${round}`));
          await pause(LOAD_INTERVAL_MS);
        }
      })();
      return () => {
        talking = false;
        return running;
      };
    };
    /** Stops a process, but not in the middle of a write, which would keep all others from writing to a SQLite file. */
    const standStill = async ({ pid }: ServerProcess): Promise<void> => {
      for (;;) {
        process.kill(pid, 'SIGSTOP');
        await pause(LOAD_INTERVAL_MS);
        if (await room.shell.isWritable()) {
          return;
        }
        process.kill(pid, 'SIGCONT');
      }
    };
    const expectAll = async (): Promise<void> => {
      const committed = await room.committed();
      await consumer.waitFor(committed.length);
      expect(consumer.said).toEqual(committed);
    };

    beforeEach(async () => {
      broker = await privateBroker(brokerUrl);
      database = await ownDatabase();
      holder = await start();
      heir = await start();
      room = await Room.open(database.env.DATABASE_URL, [await signUp('ann'), await signUp('ben')]);
      consumer = await PikaConsumer.start(python, broker.url, room.uri);
    });
    afterEach(async () => {
      await consumer.stop();
      await room.close();
      await Promise.all([holder.stop('SIGKILL'), heir.stop('SIGKILL')]);
      await database.remove();
      await broker.remove();
    });

    it('should publish from one of them, and from another one when it is killed', async () => {
      const first = await room.holder();
      expect(first).toBeDefined();
      const stop = talk();
      await consumer.waitFor(50);
      expect(consumer.arrivals).toHaveLength(consumer.distinct.length);
      await holder.stop('SIGKILL');
      await pause(1_000);
      expect(await room.holder()).toBe(first);
      await expect.poll(() => room.holder(), { timeout: 10_000 }).not.toBe(first);
      await consumer.waitFor(consumer.distinct.length + 50);
      await stop();
      await expectAll();
    });

    it('should hand over at once when it is stopped', async () => {
      const first = await room.holder();
      const stop = talk();
      await consumer.waitFor(20);
      expect(await holder.stop('SIGTERM')).toMatchObject({ code: 0 });
      // It gave the lease back and did not leave it to run out.
      expect(await room.holder()).not.toBe(first);
      await consumer.waitFor(consumer.distinct.length + 20);
      await stop();
      await expectAll();
    });

    it('should publish from one of them again after it stood still so long that another one took over', async () => {
      const first = await room.holder();
      const stop = talk();
      await consumer.waitFor(20);
      await standStill(holder);
      await expect.poll(() => room.holder(), { timeout: 12_000 }).not.toBe(first);
      const second = await room.holder();
      await consumer.waitFor(consumer.distinct.length + 20);
      process.kill(holder.pid, 'SIGCONT');
      await pause(1_000);
      const arrived = consumer.arrivals.length;
      const distinct = consumer.distinct.length;
      await pause(1_000);
      expect(consumer.arrivals.length - arrived).toBe(consumer.distinct.length - distinct);
      expect(await room.holder()).toBe(second);
      await stop();
      await expectAll();
      expect(holder.output()).toContain('amqp:chat');
    });
  });
});
