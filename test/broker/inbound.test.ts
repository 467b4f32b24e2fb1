import { afterAll, beforeAll, expect, it } from 'vitest';
import { INBOUND_LIFE_MS, removeExpiredInbound } from '../../src/chat/broker/inbound-retention.ts';
import { startApp, type TestApp } from '../kit/app.ts';
import { describeWith } from '../kit/present.ts';
import { type Outbound, PikaConsumer, type PrivateBroker, privateBroker, produce } from './rabbit.ts';
import { Room } from './room.ts';
import { type OwnDatabase, ownDatabase } from './shell.ts';

describeWith('rabbitmq', 'messages of other programs', (brokerUrl) => {
  describeWith('pika', 'written in Python', (python) => {
    let broker: PrivateBroker;
    let database: OwnDatabase;
    let app: TestApp;
    let room: Room;

    const put = (...messages: Outbound[]): Promise<void> =>
      produce(python, broker.url, 'tidings.chat.inbound', messages);
    const said = async (): Promise<string[]> =>
      (await app.app.services.database.chatMessage.findMany({ orderBy: { id: 'asc' } })).map(({ message }) => message);
    const body = (message: unknown, more: object = {}): string =>
      JSON.stringify({ uri: room.uri, username: 'ben', message, ...more });

    beforeAll(async () => {
      broker = await privateBroker(brokerUrl);
      database = await ownDatabase();
      app = await startApp({ ...database.env, AMQP_URL: broker.url });
      room = await Room.open(database.env.DATABASE_URL, [await app.signUp('ann'), await app.signUp('ben')]);
      await app.signUp('eve');
    });
    afterAll(async () => {
      await room.close();
      await app.close();
      await database.remove();
      await broker.remove();
    });

    it('should become chat messages of owner and members, in their order, and go out again', async () => {
      const consumer = await PikaConsumer.start(python, broker.url, room.uri);
      const before = (await said()).length;
      const texts = [...Array(100).keys()].map((index) => `from outside ${index}`);
      await put(
        ...texts.map((text, index) => ({
          id: `outside-${index}`,
          text: body(text, { username: index % 2 ? 'BEN' : 'ann' }),
          ...(index % 3 === 0 && { contentType: 'application/json' }),
          ...(index % 3 === 1 && { contentType: 'text/plain' }),
        })),
      );
      await consumer.waitFor(texts.length);
      expect(consumer.said).toEqual(texts);
      expect((await said()).slice(before)).toEqual(texts);
      const authors = consumer.arrivals.map(({ text }) => JSON.parse(text).user.username);
      expect(authors.slice(0, 2)).toEqual(['ann', 'ben']);
      await consumer.stop();
    });

    it('should be taken over once however often they come', async () => {
      const message = { id: 'again', text: body('again and again') };
      await put(message, message, { id: 'again', text: body('another text') }, message);
      await put(message, { id: 'the end', text: body('the end of it') });
      await expect.poll(said, { timeout: 10_000 }).toContain('the end of it');
      expect((await said()).filter((text) => text === 'again and again')).toHaveLength(1);
      expect(await said()).not.toContain('another text');
    });

    it('should go to the queue of the rejected with a reason when they break a rule', async () => {
      const poison: [Outbound, string][] = [
        [{ text: body('no id') }, 'The message has no message_id.'],
        [{ id: 'p1', text: '{"uri":' }, 'The body is not JSON.'],
        [{ id: 'p2', text: '{"uri":', contentType: 'application/json' }, 'The body is not JSON.'],
        [{ id: 'p3', text: '\xff\xfe' }, 'The body is not JSON.'],
        [{ id: 'p4', text: '' }, 'The body is not JSON.'],
        [{ id: 'p5', text: '[1]' }, 'The body is not a JSON object.'],
        [{ id: 'p6', text: 'null', contentType: 'application/json' }, 'The body is not a JSON object.'],
        [
          { id: 'p7', text: '{}' },
          'uri: This field is required. username: This field is required. message: This field is required.',
        ],
        [{ id: 'p8', text: body(5) }, 'message: Not a valid string.'],
        [{ id: 'p9', text: body('') }, 'message: This field may not be blank.'],
        [{ id: 'p10', text: body('x'.repeat(2001)) }, 'message: Ensure this field has no more than 2000 characters.'],
        [{ id: 'p11', text: body('a\0b') }, 'message: Null characters are not allowed.'],
        [
          { id: 'p12', text: body('hi', { uri: '000000000004000' }) },
          'There is no such chat in which the user participates.',
        ],
        [{ id: 'p13', text: body('hi', { username: 'eve' }) }, 'There is no such chat in which the user participates.'],
        [{ id: 'p14', text: body('hi', { username: 'nobody' }) }, 'There is no such active user.'],
      ];
      await put(...poison.map(([message]) => message), { id: 'sound', text: body('sound') });
      await expect.poll(said, { timeout: 10_000 }).toContain('sound');
      const rejected = await PikaConsumer.start(python, broker.url, '--queue', 'tidings.chat.rejected');
      await rejected.waitFor(poison.length);
      expect(rejected.arrivals.map(({ id, text, headers }) => [id, text, headers?.['x-reason']])).toEqual(
        poison.map(([{ id = null, text }, reason]) => [id, id === 'p3' ? '\ufffd\ufffd' : text, reason]),
      );
      expect(await said()).not.toContain('hi');
      await rejected.stop();
    });

    it('should be refused to users whose account was closed', async () => {
      const { user } = app.app.services.database;
      await user.update({ where: { usernameKey: 'ben' }, data: { isActive: false } });
      const rejected = await PikaConsumer.start(python, broker.url, '--queue', 'tidings.chat.rejected');
      await put({ id: 'closed', text: body('hello') });
      await rejected.waitFor(1);
      expect(rejected.arrivals[0]?.headers?.['x-reason']).toBe('There is no such active user.');
      await user.update({ where: { usernameKey: 'ben' }, data: { isActive: true } });
      await put({ id: 'closed', text: body('open again') });
      await expect.poll(said, { timeout: 10_000 }).toContain('open again');
      await rejected.stop();
    });

    it('should wait while the database refuses to work, and keep their order', async () => {
      await room.shell.execute(`ALTER TABLE "InboundMessage" RENAME TO "Elsewhere"`);
      const before = (await said()).length;
      const texts = [...Array(20).keys()].map((index) => `patient ${index}`);
      await put(...texts.map((text) => ({ id: text, text: body(text) })));
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      expect(await said()).toHaveLength(before);
      await room.shell.execute(`ALTER TABLE "Elsewhere" RENAME TO "InboundMessage"`);
      await expect.poll(said, { timeout: 10_000 }).toHaveLength(before + texts.length);
      expect((await said()).slice(before)).toEqual(texts);
    });

    it('should be forgotten after a week', async () => {
      const { inboundMessage } = app.app.services.database;
      const old = new Date(Date.now() - INBOUND_LIFE_MS - 1_000);
      await inboundMessage.createMany({
        data: [...Array(1_200).keys()].map((index) => ({ id: `old-${index}`, createdAt: old })),
      });
      await inboundMessage.create({ data: { id: 'young' } });
      await removeExpiredInbound(app.app.services.database, new AbortController().signal);
      expect(await inboundMessage.count({ where: { id: { startsWith: 'old-' } } })).toBe(0);
      expect(await inboundMessage.count({ where: { id: 'young' } })).toBe(1);
    });
  });
});
