import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../src/database/client.ts';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';
import { RawSocket } from './kit/socket.ts';

const NOWHERE = '0123456789ab4cd';
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

let app: TestApp;
let database: Database;
let ann: Person;
let ben: Person;
let eve: Person;

beforeAll(async () => {
  app = await startApp({ SOCKET_MESSAGE_LIMIT_BYTES: '1024' });
  database = app.app.services.database;
  [ann, ben, eve] = [await app.signUp('ann'), await app.signUp('ben'), await app.signUp('eve')];
});
afterAll(() => app.close());

interface Room {
  readonly uri: string;
  readonly say: (person: Person, message: string) => Promise<unknown>;
  readonly remove: (person: Person) => Promise<unknown>;
}

/** A chat, made by the documented calls. */
async function openRoom(owner: Person, ...members: readonly Person[]): Promise<Room> {
  const { uri } = (await (await owner.fetch('/api/chats/', { method: 'POST' })).json()) as { uri: string };
  for (const { username } of members) {
    const body = `username=${username}`;
    const joined = await owner.fetch(`/api/chats/${uri}/`, { method: 'PATCH', headers: FORM, body });
    expect(joined.status).toBe(200);
  }
  return {
    uri,
    say: async (person, message) => {
      const body = new URLSearchParams({ message }).toString();
      const said = await person.fetch(`/api/chats/${uri}/messages/`, { method: 'POST', headers: FORM, body });
      expect(said.status).toBe(200);
    },
    remove: ({ username }) =>
      owner.gql(
        'mutation ($uri: String!, $username: String!) { removeChatMember(uri: $uri, username: $username) { __typename } }',
        { uri, username },
      ),
  };
}

const listen = async (path: string, { authorization, url }: Person): Promise<RawSocket> => {
  const socket = new RawSocket(`${url}${path}`, { headers: authorization ? { authorization } : {} });
  await socket.opened;
  return socket;
};

/** Opens a socket and waits for its first message: from then on it receives all messages. */
async function listening(room: Room, path: string, person: Person): Promise<RawSocket> {
  const before = app.app.services.feed.cursor;
  const socket = await listen(`${path}?after=${before}`, person);
  await room.say(ann, 'hello');
  expect(await socket.nextJson()).toMatchObject({ message: 'hello' });
  return socket;
}

const tokenOf = ({ authorization }: Person): string => (authorization ?? '').replace('Bearer ', '');
const cursor = async (): Promise<string> => (await app.anonymous.gql('{ cursor }')).cursor;

/** Sends messages until a socket, which may not listen yet, receives one. Returns that message. */
async function firstReceived(room: Room, socket: RawSocket): Promise<string> {
  for (;;) {
    await room.say(ann, 'Is anybody there?');
    const received = await Promise.race([
      socket.frames.next('frame', 100).catch(() => null),
      socket.closed.then(({ code, reason }) => {
        throw new Error(`${code} ${reason}`);
      }),
    ]);
    if (received !== null) {
      return received;
    }
  }
}

describe('the socket of a chat', () => {
  it.each<[string, (uri: string) => [string, Person]]>([
    ['by its long path', (uri) => [`/ws/chats/${uri}/`, ben]],
    ['without the slash', (uri) => [`/ws/chats/${uri}`, ben]],
    ['by the short path', (uri) => [`/${uri}`, ben]],
    ['by the short path with a slash', (uri) => [`/${uri}/`, ben]],
    ['with a token in the address', (uri) => [`/${uri}?token=${tokenOf(ben)}`, ben.with(null)]],
    ['with the owner’s credential', (uri) => [`/${uri}`, ann]],
    ['with JWT for a scheme', (uri) => [`/${uri}`, ben.with(`JWT ${tokenOf(ben)}`)]],
  ])('receives messages %s', async (_name, address) => {
    const room = await openRoom(ann, ben);
    const socket = await listen(...address(room.uri));
    const id = (await database.user.findFirstOrThrow({ where: { username: 'ann' } })).id;
    expect(await firstReceived(room, socket)).toBe(
      `{"user":{"id":${id},"username":"ann","email":"","first_name":"","last_name":""},"message":"Is anybody there?"}`,
    );
    socket.terminate();
  });

  it('receives messages with the session cookie, from an own page alone', async () => {
    const room = await openRoom(ann, ben);
    const cookie = `sessionid=${tokenOf(ben)}`;
    const ours = new RawSocket(`${app.url}/${room.uri}`, { headers: { cookie, origin: app.url } });
    expect(JSON.parse(await firstReceived(room, ours))).toHaveProperty('message');
    ours.terminate();
    const theirs = new RawSocket(`${app.url}/${room.uri}`, { headers: { cookie, origin: 'https://evil.example' } });
    expect(await theirs.closed).toMatchObject({ code: 4401 });
  });

  it('sends every message in order, one’s own included, unchanged', async () => {
    const room = await openRoom(ann, ben);
    const other = await openRoom(ann, ben);
    const socket = await listening(room, `/${room.uri}`, ben);
    const said = ['one', ' two\nlines ', 'ünï 😀', '"quoted"', 'ben’s own'];
    await other.say(ann, 'elsewhere');
    for (const message of said) {
      await room.say(message === 'ben’s own' ? ben : ann, message);
    }
    const received = [];
    for (const _ of said) {
      received.push(await socket.nextJson());
    }
    expect(received.map(({ message }) => message)).toEqual(said);
    expect(received.at(-1).user.username).toBe('ben');
    socket.terminate();
  });

  it('sends no corrections and no deletions', async () => {
    const room = await openRoom(ann);
    const socket = await listening(room, `/${room.uri}`, ann);
    const { id } = await database.chatMessage.findFirstOrThrow({ where: { chatSession: { uri: room.uri } } });
    await database.chatMessage.update({ where: { id }, data: { message: 'corrected' } });
    await database.chatMessage.delete({ where: { id } });
    await room.say(ann, 'the last');
    expect(await socket.nextJson()).toMatchObject({ message: 'the last' });
    socket.terminate();
  });

  it('does not care what a client sends, as long as it is not too much', async () => {
    const room = await openRoom(ann);
    const socket = await listening(room, `/${room.uri}`, ann);
    for (const frame of ['', 'hello', '{"type":"subscribe"}', Buffer.from([0, 255]), 'x'.repeat(1024)]) {
      socket.socket.send(frame);
    }
    await room.say(ann, 'still there');
    expect(await socket.nextJson()).toMatchObject({ message: 'still there' });
    socket.send('x'.repeat(1025));
    expect(await socket.closed).toMatchObject({ code: 1009 });
  });

  it('reads the author once for all who listen', async () => {
    const room = await openRoom(ann);
    const { id: chatSessionId, ownerId: userId } = await database.chatSession.findUniqueOrThrow({
      where: { uri: room.uri },
    });
    const statementsWith = async (count: number): Promise<number> => {
      const sockets: RawSocket[] = [];
      while (sockets.length < count) {
        sockets.push(await listening(room, `/${room.uri}`, ann));
      }
      await Promise.all(sockets.map(({ frames }) => frames.drain()));
      const statements = await app.countStatements(async () => {
        await database.chatMessage.create({ data: { chatSessionId, userId, message: 'to all' } });
        for (const socket of sockets) {
          while ((await socket.nextJson()).message !== 'to all') {}
        }
      });
      for (const socket of sockets) {
        socket.terminate();
      }
      return statements;
    };
    const alone = await statementsWith(1);
    expect(await statementsWith(15)).toBe(alone);
  });
});

describe('the socket is closed', () => {
  it.each<[string, (uri: string) => [string, Person], number, string]>([
    [
      'with 4401 without a credential',
      (uri) => [`/${uri}`, app.anonymous],
      4401,
      'Authentication credentials were not provided.',
    ],
    [
      'with 4403 for a credential that is refused',
      (uri) => [`/${uri}?token=x`, app.anonymous],
      4403,
      'Error decoding signature.',
    ],
    ['with 4403 for who is no member', (uri) => [`/ws/chats/${uri}/`, eve], 4403, 'Not found.'],
    ['with 4403 for an unknown uri', () => [`/${NOWHERE}`, ann], 4403, 'Not found.'],
    ['with 4403 for what is no uri', () => ['/ws/chats/%00%ff/', ann], 4403, 'Not found.'],
    ['with 4400 for a malformed cursor', (uri) => [`/${uri}?after=x`, ann], 4400, 'The cursor is malformed.'],
    [
      'with 4410 for a cursor that the log does not know',
      (uri) => [`/${uri}?after=0123456789abcdef:1-a`, ann],
      4410,
      'The changes since that cursor are not available. Load the data again and subscribe after its cursor.',
    ],
    ['with 4403 for a cursor of who is no member', (uri) => [`/${uri}?after=x`, eve], 4403, 'Not found.'],
  ])('%s', async (_name, address, code, reason) => {
    const room = await openRoom(ann, ben);
    const socket = await listen(...address(room.uri));
    expect(await socket.closed).toEqual({ code, reason });
    expect(socket.frames.drain()).toEqual([]);
  });

  it('with 4403 at once for a member who is removed, and with nothing after that', async () => {
    const room = await openRoom(ann, ben);
    const socket = await listening(room, `/${room.uri}`, ben);
    const stays = await listening(room, `/${room.uri}`, ann);
    socket.frames.drain();
    await room.remove(ben);
    await room.say(ann, 'secret');
    expect(await socket.closed).toEqual({ code: 4403, reason: 'You do not have permission to perform this action.' });
    expect(socket.frames.drain()).toEqual([]);
    expect(await stays.nextJson()).toMatchObject({ message: 'secret' });
    stays.terminate();
    const again = await listen(`/${room.uri}`, ben);
    expect(await again.closed).toMatchObject({ code: 4403 });
  });

  it('with 4403 when the chat is deleted', async () => {
    const room = await openRoom(ann);
    const socket = await listening(room, `/${room.uri}`, ann);
    await database.chatMessage.deleteMany({ where: { chatSession: { uri: room.uri } } });
    await database.chatSession.delete({ where: { uri: room.uri } });
    expect(await socket.closed).toMatchObject({ code: 4403 });
  });

  it('with 4403 when the credential ends', async () => {
    const max = await app.signUp('max');
    const room = await openRoom(ann, max);
    const socket = await listening(room, `/${room.uri}`, max);
    await max.gql('mutation { destroyAuthToken }');
    expect(await socket.closed).toEqual({ code: 4403, reason: 'The credential was ended.' });
  });

  it('with 1001 when the server stops, and with 4429 when a user has too many', async () => {
    const small = await startApp({ USER_MAX_SOCKETS: '1' });
    const owner = await small.signUp('owner');
    const { uri } = await openRoom(owner);
    const one = await listen(`/${uri}`, owner);
    const two = await listen(`/${uri}`, owner);
    const first = await Promise.race([one.closed.then(() => one), two.closed.then(() => two)]);
    expect(await first.closed).toMatchObject({ code: 4429 });
    await small.close();
    expect(await (first === one ? two : one).closed).toEqual({ code: 1001, reason: 'Going away' });
  });

  it('not at all for another path', async () => {
    for (const path of [
      '/0123456789ab5cd',
      '/0123456789AB4CD',
      `/${NOWHERE}e`,
      '/ws/chats/',
      `/ws/chats/${NOWHERE}/x`,
    ]) {
      await expect(listen(path, ann)).rejects.toThrow('404');
    }
  });
});

describe('a client that comes back', () => {
  it('receives the missed messages after its cursor, then new ones, all with their cursors', async () => {
    const room = await openRoom(ann, ben);
    const start = await cursor();
    await room.say(ann, 'one');
    const first = await listen(`/${room.uri}?after=${start}`, ben);
    const one = await first.nextJson();
    expect(Object.keys(one)).toEqual(['user', 'message', 'cursor']);
    first.terminate();

    await room.say(ann, 'two');
    await room.say(ben, 'three');
    const second = await listen(`/${room.uri}?token=${tokenOf(ben)}&after=${one.cursor}`, app.anonymous);
    expect([await second.nextJson(), await second.nextJson()].map(({ message }) => message)).toEqual(['two', 'three']);
    await room.say(ann, 'four');
    expect(await second.nextJson()).toMatchObject({ message: 'four', cursor: expect.any(String) });
    second.terminate();
  });

  it('does not receive messages that were deleted in the meantime', async () => {
    const room = await openRoom(ann);
    const start = await cursor();
    await room.say(ann, 'regretted');
    await database.chatMessage.deleteMany({ where: { message: 'regretted' } });
    await room.say(ann, 'kept');
    const socket = await listen(`/${room.uri}?after=${start}`, ann);
    expect(await socket.nextJson()).toMatchObject({ message: 'kept' });
    socket.terminate();
  });

  it('comes by its first cursor with an empty one', async () => {
    const room = await openRoom(ann);
    await room.say(ann, 'old');
    const socket = await listen(`/${room.uri}?after=`, ann);
    const { cursor: after, message } = JSON.parse(await firstReceived(room, socket));
    expect(message).toBe('Is anybody there?');
    socket.terminate();
    await room.say(ann, 'missed');
    const again = await listen(`/${room.uri}?after=${after}`, ann);
    while ((await again.nextJson()).message !== 'missed') {}
    again.terminate();
  });

  it('receives only new messages without a cursor', async () => {
    const room = await openRoom(ann);
    await room.say(ann, 'old');
    const socket = await listen(`/${room.uri}`, ann);
    expect(JSON.parse(await firstReceived(room, socket))).toEqual({
      user: expect.anything(),
      message: 'Is anybody there?',
    });
    socket.terminate();
  });
});

describe('with CHAT_SOCKET_OPEN', () => {
  let open: TestApp;
  let owner: Person;
  let room: Room;
  beforeAll(async () => {
    open = await startApp({ CHAT_SOCKET_OPEN: 'true' });
    owner = await open.signUp('owner');
    room = await openRoom(owner);
  });
  afterAll(() => open.close());

  it.each(['', '?token=expired', '?a=b'])('the uri is enough (%s)', async (query) => {
    const before = open.app.services.feed.cursor;
    const socket = await listen(`/${room.uri}${query}${query ? '&' : '?'}after=${before}`, open.anonymous);
    await room.say(owner, 'to all');
    expect(await socket.nextJson()).toMatchObject({ user: { username: 'owner' }, message: 'to all' });
    socket.terminate();
  });

  it('a wrong uri is not', async () => {
    const socket = await listen(`/${NOWHERE}`, owner);
    expect(await socket.closed).toMatchObject({ code: 4403 });
  });

  it('it ends with the chat', async () => {
    const other = await openRoom(owner);
    const before = open.app.services.feed.cursor;
    const socket = await listen(`/${other.uri}?after=${before}`, open.anonymous);
    await other.say(owner, 'to all');
    expect(await socket.nextJson()).toMatchObject({ message: 'to all' });
    await open.app.services.database.chatSession.delete({ where: { uri: other.uri } });
    expect(await socket.closed).toMatchObject({ code: 4403 });
  });
});
