import { randomUUID } from 'node:crypto';
import { Connection, type Publisher } from 'rabbitmq-client';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { describeWith } from '../kit/present.ts';
import { RawSocket } from '../kit/socket.ts';
import { type PrivateBroker, privateBroker, Wire } from './rabbit.ts';
import { Room } from './room.ts';
import { type OwnDatabase, ownDatabase } from './shell.ts';

const BOT = { id: 7, username: 'bot', email: '', first_name: 'Ro', last_name: 'Bot' };
const JSON_TYPE = { contentType: 'application/json' };
const WAIT = { timeout: 15_000, interval: 50 };

describeWith('rabbitmq', 'a message that another program publishes to the exchange of a chat', (brokerUrl) => {
  let broker: PrivateBroker;
  let database: OwnDatabase;
  let wire: Wire;
  let app: TestApp;
  let other: TestApp;
  let room: Room;
  let ann: Person;
  let program: Connection;
  let publisher: Publisher;
  const sockets: RawSocket[] = [];

  const open = async ({ url }: TestApp, uri: string, query = ''): Promise<string[]> => {
    const socket = new RawSocket(`${url}/ws/chats/${uri}/${query}`, {
      headers: { authorization: ann.authorization ?? '' },
    });
    sockets.push(socket);
    await socket.opened;
    const frames: string[] = [];
    socket.socket.on('message', (data) => frames.push(String(data)));
    return frames;
  };
  const publish = (uri: string, body: unknown, envelope: object = JSON_TYPE): Promise<void> =>
    publisher.send({ exchange: uri, routingKey: '', ...envelope }, body as Buffer);
  /** Publishes messages until one reaches a socket; an exchange is bound some time after the socket is opened. */
  const untilBound = async (uri: string, ...readers: string[][]): Promise<void> => {
    await expect
      .poll(async () => {
        await program.exchangeDeclare({ exchange: uri, type: 'fanout', durable: false });
        await publish(uri, { user: BOT, message: 'bound?' });
        await new Promise((resolve) => setTimeout(resolve, 150));
        return readers.every((frames) => frames.length > 0);
      }, WAIT)
      .toBe(true);
    // All of these messages have arrived when the last one has.
    const last = randomUUID();
    await publish(uri, { user: BOT, message: last });
    for (const frames of readers) {
      await expect.poll(() => frames.some((frame) => frame.includes(last)), WAIT).toBe(true);
      frames.length = 0;
    }
  };
  const hasExchange = async (exchange: string): Promise<boolean> => {
    const channel = await program.acquire();
    try {
      await channel.exchangeDeclare({ exchange, passive: true });
      return true;
    } catch {
      return false;
    } finally {
      await channel.close().catch(() => undefined);
    }
  };

  beforeAll(async () => {
    broker = await privateBroker(brokerUrl);
    database = await ownDatabase();
    wire = await Wire.open(broker.url);
    const env = { ...database.env, AMQP_EXCHANGE_RETENTION_S: '1' };
    app = await startApp({ ...env, AMQP_URL: wire.url });
    other = await startApp({ ...env, AMQP_URL: broker.url });
    ann = await app.signUp('ann');
    room = await Room.open(database.env.DATABASE_URL, [ann, await app.signUp('ben')]);
    program = new Connection(broker.url);
    publisher = program.createPublisher({ confirm: true });
  });
  afterEach(async () => {
    for (const { socket, closed } of sockets.splice(0)) {
      socket.close();
      await closed;
    }
  });
  afterAll(async () => {
    await room.close();
    await publisher.close();
    await program.close();
    await Promise.all([app.close(), other.close()]);
    await database.remove();
    await broker.remove();
  });

  it('should reach the sockets of that chat on every node, in the documented shape, and not be stored', async () => {
    const quiet = await Room.open(database.env.DATABASE_URL, room.people);
    const [here, there, elsewhere] = await Promise.all([
      open(app, room.uri, '?after='),
      open(other, room.uri),
      open(app, quiet.uri),
    ]);
    await untilBound(room.uri, here, there);
    await publish(room.uri, { message: ' Grüße 👋\n', user: { ...BOT, isAdmin: true }, cursor: 'x', html: '<b>' });
    const expected = JSON.stringify({ user: BOT, message: ' Grüße 👋\n' });
    await expect.poll(() => [here, there], WAIT).toEqual([[expected], [expected]]);
    expect(elsewhere).toEqual([]);
    expect(await room.committed()).toEqual([]);
    await quiet.close();
  });

  it('should be sent once when the server itself published it', async () => {
    const [here, there] = await Promise.all([open(app, room.uri), open(other, room.uri)]);
    await untilBound(room.uri, here, there);
    await room.sayByGraphQL('by the server');
    await room.sayBySql('by SQL');
    await publish(room.uri, { user: BOT, message: 'the last' });
    const texts = (frames: string[]): string[] => frames.map((frame) => JSON.parse(frame).message);
    // The messages of the log may be slower than that of the broker.
    await expect.poll(() => texts(here).sort(), WAIT).toEqual(['by SQL', 'by the server', 'the last']);
    await expect.poll(() => texts(there).sort(), WAIT).toEqual(['by SQL', 'by the server', 'the last']);
  });

  it('should be dropped when it does not have the documented shape', async () => {
    const here = await open(app, room.uri);
    await untilBound(room.uri, here);
    const text = { contentType: 'text/plain' };
    const hostile: readonly (readonly [unknown, object])[] = [
      [Buffer.from('{'), JSON_TYPE],
      ['not JSON', text],
      [Buffer.from([0xff, 0xfe, 0]), {}],
      [Buffer.alloc(0), {}],
      [[{ user: BOT, message: 'x' }], JSON_TYPE],
      [null, JSON_TYPE],
      [{ user: BOT }, JSON_TYPE],
      [{ user: BOT, message: '' }, JSON_TYPE],
      [{ user: BOT, message: 7 }, JSON_TYPE],
      [{ user: BOT, message: 'x'.repeat(2001) }, JSON_TYPE],
      [{ user: BOT, message: '\0' }, JSON_TYPE],
      [{ user: 'bot', message: 'x' }, JSON_TYPE],
      [{ user: { ...BOT, id: '7' }, message: 'x' }, JSON_TYPE],
      [{ user: { ...BOT, username: 'x'.repeat(151) }, message: 'x' }, JSON_TYPE],
      [Buffer.from(`{"user":${'['.repeat(50_000)}`), JSON_TYPE],
      [Buffer.from(JSON.stringify({ user: BOT, message: 'x', pad: 'x'.repeat(70_000) })), {}],
      [Buffer.from(JSON.stringify({ user: BOT, message: 'x', pad: 'x'.repeat(20_000_000) })), JSON_TYPE],
    ];
    for (const [body, envelope] of hostile) {
      await publish(room.uri, body, envelope);
    }
    await publish(room.uri, Buffer.from(JSON.stringify({ user: BOT, message: 'good' })), {});
    await expect.poll(() => here.length, WAIT).toBeGreaterThan(0);
    expect(here.map((frame) => JSON.parse(frame).message)).toEqual(['good']);
  });

  it('should be limited, and a flood harm no other chat', async () => {
    const quiet = await Room.open(database.env.DATABASE_URL, room.people);
    const [flooded, calm] = await Promise.all([open(app, room.uri), open(app, quiet.uri)]);
    await Promise.all([untilBound(room.uri, flooded), untilBound(quiet.uri, calm)]);
    await Promise.all([...Array(5_000).keys()].map((index) => publish(room.uri, { user: BOT, message: `${index}` })));
    await untilBound(quiet.uri, calm);
    expect(flooded.length).toBeLessThan(1_000);
    // What is stored is not limited.
    flooded.length = 0;
    await room.sayByRest('stored');
    await expect.poll(() => flooded.map((frame) => JSON.parse(frame).message), WAIT).toContain('stored');
    await quiet.close();
  });

  it('should arrive again after the connection with the broker was lost', async () => {
    const fresh = await Room.open(database.env.DATABASE_URL, room.people);
    const here = await open(app, fresh.uri);
    await untilBound(fresh.uri, here);
    await wire.cut();
    await wire.restore();
    await untilBound(fresh.uri, here);
    await fresh.close();
  });

  it('should follow the chat to its new uri', async () => {
    const renewed = await Room.open(database.env.DATABASE_URL, room.people);
    const here = await open(app, renewed.uri);
    await untilBound(renewed.uri, here);
    const { renewChatUri } = await ann.gql(
      'mutation ($uri: String!) { renewChatUri(uri: $uri) { ... on ChatSession { uri } } }',
      { uri: renewed.uri },
    );
    await untilBound(renewChatUri.uri, here);
    await publish(renewed.uri, { user: BOT, message: 'to the old uri' }).catch(() => undefined);
    await untilBound(renewChatUri.uri, here);
    await renewed.close();
  });

  it('should arrive when another program declared the exchange with other options', async () => {
    const odd = await Room.open(database.env.DATABASE_URL, room.people);
    await program.exchangeDeclare({ exchange: odd.uri, type: 'fanout', durable: true });
    const here = await open(app, odd.uri);
    await expect
      .poll(async () => {
        await publish(odd.uri, { user: BOT, message: 'durable' });
        return here.length;
      }, WAIT)
      .toBeGreaterThan(0);
    await odd.close();
  });

  it('should find no exchange when the chat was silent for long, and one again after its next message', async () => {
    const silent = await Room.open(database.env.DATABASE_URL, room.people);
    await silent.sayByRest('one');
    await expect.poll(() => hasExchange(silent.uri), WAIT).toBe(true);
    await expect.poll(() => hasExchange(silent.uri), WAIT).toBe(false);
    await silent.sayByRest('two');
    await expect.poll(() => hasExchange(silent.uri), WAIT).toBe(true);
    // A queue that is bound to it keeps it.
    await program.queueDeclare({ queue: 'keeper', exclusive: true });
    await program.queueBind({ queue: 'keeper', exchange: silent.uri, routingKey: '' });
    const doomed = await Room.open(database.env.DATABASE_URL, room.people);
    await program.exchangeDeclare({ exchange: doomed.uri, type: 'fanout', durable: false });
    await expect.poll(() => hasExchange(doomed.uri), WAIT).toBe(false);
    expect(await hasExchange(silent.uri)).toBe(true);
    await silent.sayByRest('three');
    await expect
      .poll(async () => (await program.basicGet({ queue: 'keeper', noAck: true }))?.body.message, WAIT)
      .toBe('three');
    await Promise.all([silent.close(), doomed.close()]);
  });
});
