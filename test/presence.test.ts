import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Signals } from '../src/changes/signals.ts';
import { PresencePeers } from '../src/chat/presence-peers.ts';
import { watchSignals } from '../src/chat/watch-typing.ts';
import type { Context } from '../src/context.ts';
import { ConnectedUsers } from '../src/identity/connected-users.ts';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';
import { type Operation, SocketClient } from './kit/socket.ts';
import { EventStream } from './live/streams.ts';

const PRESENCE = 'subscription ($uri: String!) { chatPresence(uri: $uri) { users { username } } }';
const LOOK = 'query ($name: String!) { user(username: $name) { online lastSeen presence } }';

describe('who is online', () => {
  let app: TestApp;
  let ann: Person;
  let ben: Person;
  let cat: Person;
  let uri: string;
  const clients: SocketClient[] = [];

  beforeAll(async () => {
    app = await startApp();
    [ann, ben, cat] = [await app.signUp('ann'), await app.signUp('ben'), await app.signUp('cat')];
    ({ uri } = (await ann.gql('mutation { chat: createChatSession { uri } }')).chat);
    await ben.gql(`mutation { joinChat(uri: "${uri}") { __typename } }`);
  });
  afterAll(() => app.close());
  afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

  async function connect({ authorization }: Person): Promise<SocketClient> {
    const client = await SocketClient.open(app.url, authorization);
    clients.push(client);
    return client;
  }

  const look = async (viewer: Person, { username }: Person) => (await viewer.gql(LOOK, { name: username })).user;
  const setPresence = (person: Person, presence: string) =>
    person.gql(`mutation { updateViewer(input: { presence: ${presence} }) { ... on User { presence } } }`);
  const remove = async ({ username }: Person): Promise<void> => {
    await ann.gql(`mutation { removeChatMember(uri: "${uri}", username: "${username}") { __typename } }`);
    await app.delivered();
  };
  const names = async (operation: Operation): Promise<string[]> =>
    (await operation.event()).users.map(({ username }: { username: string }) => username);

  it('should be shown to those who share a chat, by sockets and event streams', async () => {
    const offline = { online: false, lastSeen: expect.any(String), presence: null };
    expect(await look(ann, ben)).toEqual(offline);
    const first = await connect(ben);
    const second = await connect(ben);
    const online = await look(ann, ben);
    expect(online).toEqual({ ...offline, online: true });
    expect(Math.abs(Date.parse(online.lastSeen) - Date.now())).toBeLessThan(61_000);
    await first.close();
    expect((await look(ann, ben)).online).toBe(true);
    await second.close();
    await expect.poll(async () => (await look(ann, ben)).online).toBe(false);
    const stream = await EventStream.open(app.url, {
      query: 'subscription { inboxChanged { cursor } }',
      authorization: ben.authorization,
    });
    await expect.poll(async () => (await look(ann, ben)).online).toBe(true);
    stream.close();
    await expect.poll(async () => (await look(ann, ben)).online).toBe(false);
  });

  it('should be hidden from everybody else', async () => {
    await connect(ann);
    const hidden = { online: null, lastSeen: null, presence: null };
    expect(await look(cat, ann)).toEqual(hidden);
    expect(await look(await app.signUpStaff('root'), ann)).toEqual(hidden);
    expect(await look(ben, ann)).toMatchObject({ online: true });
    expect(await look(cat, cat)).toMatchObject({ online: false, presence: 'VISIBLE' });
    const operation = (await connect(cat)).start(PRESENCE, { uri });
    expect((await operation.ended)?.[0].extensions.code).toBe('NOT_FOUND');
    const anonymous = (await connect(app.anonymous)).start(PRESENCE, { uri });
    expect((await anonymous.ended)?.[0].extensions.code).toBe('UNAUTHENTICATED');
  });

  it('should be hidden by those who want that, at once', async () => {
    const anns = (await connect(ann)).start(PRESENCE, { uri });
    expect(await names(anns)).toEqual(['ann']);
    const bens = await connect(ben);
    expect(await names(anns)).toEqual(['ann', 'ben']);
    expect((await setPresence(ben, 'INVISIBLE')).updateViewer).toEqual({ presence: 'INVISIBLE' });
    expect(await names(anns)).toEqual(['ann']);
    expect(await look(ann, ben)).toEqual({ online: null, lastSeen: null, presence: null });
    await setPresence(ben, 'VISIBLE');
    expect(await names(anns)).toEqual(['ann', 'ben']);
    await bens.close();
    expect(await names(anns)).toEqual(['ann']);
    const refused = await ben.ask(
      'mutation { updateViewer(input: { presence: null }) { ... on ValidationError { fields { path } } } }',
    );
    expect(refused.data?.updateViewer).toEqual({ fields: [{ path: 'presence' }] });
  });

  it('should follow who joins, leaves and is removed, and end for them', async () => {
    const anns = (await connect(ann)).start(PRESENCE, { uri });
    expect(await names(anns)).toEqual(['ann']);
    const cats = await connect(cat);
    await cat.gql(`mutation { joinChat(uri: "${uri}") { __typename } }`);
    expect(await names(anns)).toEqual(['ann', 'cat']);
    const ofCat = cats.start(PRESENCE, { uri });
    // A second subscription begins with the present state, too.
    expect(await names(ofCat)).toEqual(['ann', 'cat']);
    await ann.gql(`mutation { removeChatMember(uri: "${uri}", username: "cat") { __typename } }`);
    expect(await ofCat.ended).toBeNull();
    expect(await names(anns)).toEqual(['ann']);
    expect((await look(cat, ann)).online).toBeNull();
  });

  it.each([
    ['it cannot be listened to', async () => Promise.reject(new Error('no connection'))],
    ['the viewer is removed meanwhile', async () => remove(cat)],
    [
      'the role changes meanwhile',
      async () => {
        await app.sql(`UPDATE "User" SET "isStaff" = ? WHERE "username" = 'cat'`, true);
        await app.delivered();
      },
    ],
  ])('should leave no listener when %s', async (_when, meanwhile) => {
    await ann.gql(`mutation { addChatMembers(uri: "${uri}", usernames: ["cat"]) { __typename } }`);
    const [user] = await app.sql(`SELECT "id" FROM "User" WHERE "username" = 'cat'`);
    const { services } = app.app;
    const { loop, memberships } = services.feed;
    const counts = { added: 0, removed: 0 };
    const counted = (stop: () => void) => {
      counts.added += 1;
      return () => {
        counts.removed += 1;
        stop();
      };
    };
    const onAccess = (...args: Parameters<typeof services.feed.onAccess>) => counted(services.feed.onAccess(...args));
    const context = {
      ...services,
      feed: { loop, memberships, onAccess, refresh: () => services.feed.refresh() },
      viewer: { kind: 'user', id: Number(user?.['id']), isStaff: false },
    } as unknown as Context;
    const listen = async () => {
      await meanwhile();
      return counted(() => undefined);
    };
    const stream = await watchSignals(context, uri, listen).catch(() => null);
    await new Promise((resolve) => (stream ? stream.onceEnded(resolve) : resolve(null)));
    expect(counts.added).toBe(stream ? 3 : 2);
    expect(counts.removed).toBe(counts.added);
  });

  it('should cost as many statements for one user as for several', async () => {
    const { chat } = await ann.gql('mutation { chat: createChatSession { uri } }');
    const ask = () => ann.gql(`{ chatSession(uri: "${chat.uri}") { members { online lastSeen } } }`);
    // The first request also reads who calls.
    await ask();
    const few = await app.countStatements(ask);
    await ann.gql(`mutation { addChatMembers(uri: "${chat.uri}", usernames: ["ben", "cat"]) { __typename } }`);
    expect(await app.countStatements(ask)).toBeLessThanOrEqual(few);
  });
});

describe('processes of a server', () => {
  const TIMES = { heartbeat: 50, death: 1_000, follow: 300, answer: 5_000 };
  const stops: (() => void)[] = [];
  afterEach(() => {
    for (const stop of stops.splice(0)) {
      stop();
    }
  });

  /** Processes whose messages reach each other until one of them is cut off. */
  async function start(count: number, times = TIMES) {
    const cut = new Set<number>();
    const sent: string[] = [];
    const all = Array.from({ length: count }, () => ({ signals: new Signals(null), users: new ConnectedUsers() }));
    for (const [index, { signals }] of all.entries()) {
      signals.addTransport((topic, message) => {
        sent.push(message);
        for (const [other, { signals: receiver }] of all.entries()) {
          if (other !== index && !cut.has(index) && !cut.has(other)) {
            setImmediate(() => receiver.receive(topic, message));
          }
        }
      });
    }
    const peers = all.map(({ signals, users }) => new PresencePeers(signals, users, times));
    for (const each of peers) {
      stops.push(await each.start());
    }
    await expect.poll(() => sent.filter((message) => message.includes('running')).length).toBeGreaterThanOrEqual(count);
    await new Promise(setImmediate);
    return { peers, users: all.map(({ users }) => users), cut, sent, signals: all.map(({ signals }) => signals) };
  }

  const online = async (peers: PresencePeers | undefined, ...ids: number[]) => [
    ...((await peers?.connectedAmong(ids)) ?? []),
  ];

  it('should know the users of all of them, and forget those of one that dies or stops', async () => {
    const { peers, users, cut } = await start(3);
    users[0]?.set(1, true);
    users[1]?.set(2, true);
    users[2]?.set(2, true);
    users[2]?.set(3, true);
    const many = Array.from({ length: 150 }, (_, index) => index);
    expect(await online(peers[0], ...many)).toEqual([1, 2, 3]);
    cut.add(2);
    await expect.poll(() => online(peers[0], 1, 2, 3)).toEqual([1, 2]);
    stops[1]?.();
    await expect.poll(() => online(peers[0], 1, 2, 3)).toEqual([1]);
    cut.clear();
    await expect.poll(() => online(peers[0], 1, 2, 3)).toEqual([1, 2, 3]);
  });

  it('should receive changes while they follow a user, and send nothing about others', async () => {
    const { peers, users, sent } = await start(2);
    let changes = 0;
    await peers[0]?.follow([7], () => {
      changes += 1;
    });
    users[1]?.set(7, true);
    await expect.poll(() => [changes, peers[0]?.isConnected(7)]).toEqual([1, true]);
    users[1]?.set(7, false);
    await expect.poll(() => [changes, peers[0]?.isConnected(7)]).toEqual([2, false]);
    const before = sent.length;
    for (let id = 100; id < 200; id += 1) {
      users[1]?.set(id, true);
    }
    expect(sent.length).toBe(before);
    // Still after the time for which the other process was asked first.
    const until = performance.now() + 2 * TIMES.follow;
    await expect.poll(() => performance.now() > until).toBe(true);
    users[1]?.set(7, true);
    await expect.poll(() => peers[0]?.isConnected(7)).toBe(true);
  });

  it('should recover from lost messages, and take no harm from others that are none', async () => {
    const { peers, users, cut, signals } = await start(2);
    await peers[0]?.follow([7], () => undefined);
    cut.add(1);
    users[1]?.set(7, true);
    cut.clear();
    for (const message of [
      'null',
      '{',
      '{"kind":"ask"}',
      '{"from":"x","n":1,"kind":"ask","users":"7"}',
      'x'.repeat(2000),
    ]) {
      signals[0]?.receive('presence', message);
    }
    signals[0]?.receive('presence', '');
    await expect.poll(() => peers[0]?.isConnected(7)).toBe(true);
  });

  it('should not wait again for one that does not answer', async () => {
    const answer = 500;
    const { peers, users, cut } = await start(2, { ...TIMES, death: 60_000, answer });
    users[0]?.set(1, true);
    cut.add(1);
    expect(await online(peers[0], 1, 2)).toEqual([1]);
    const begin = performance.now();
    expect(await online(peers[0], 3)).toEqual([]);
    expect(performance.now() - begin).toBeLessThan(answer);
  });
});
