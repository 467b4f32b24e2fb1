import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Person } from '../kit/person.ts';
import { runSql } from '../kit/postgres.ts';
import { describeWith } from '../kit/present.ts';
import { type ServerProcess, startProcess } from '../kit/process.ts';
import { firstTyping, type Operation, SocketClient } from '../kit/socket.ts';
import { type OwnServer, startOwnServer } from './server.ts';

const NODES = 3;
const PASSWORD = 'a good long password';
const MAX_FAILED_SIGN_INS = 5;
/** Longer than a lost notification or a connection that has to be made anew can cost. */
const DEADLINE_MS = 20_000;

const TODOS = 'subscription ($after: String) { todoChanged(after: $after) { action cursor todo { title } } }';
const CHATS = 'subscription ($after: String) { chatSessionChanged(after: $after) { action chatSession { uri } } }';
const MESSAGES = `subscription ($uri: String!, $after: String) {
  chatMessageChanged(uri: $uri, after: $after) { action chatMessage { message } }
}`;
const TYPING = 'subscription ($uri: String!) { chatTyping(uri: $uri) { users { username } } }';
const CREATED = (title: string) => ({ action: 'CREATED', todo: { title } });

describeWith('postgres', 'several nodes on one PostgreSQL', () => {
  let database: OwnServer;
  let nodes: ServerProcess[];
  let count = 0;

  const sql = (statement: string) => runSql(database.url, statement);
  const visitor = (node: number): Person => new Person(nodes[node]?.url ?? '', null, '');
  const at = (node: number, { authorization, username }: Person): Person =>
    new Person(nodes[node]?.url ?? '', authorization, username);

  beforeAll(async () => {
    database = await startOwnServer();
    // All at once, on an empty database: one of them makes the tables.
    nodes = await Promise.all(
      Array.from({ length: NODES }, () =>
        startProcess({
          DATABASE_URL: database.url,
          SECRET_KEY: '9f1c27b0e84d635a7210fbce4496d83b',
          MAX_FAILED_SIGN_INS: String(MAX_FAILED_SIGN_INS),
        }),
      ),
    );
  }, 60_000);
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await database.remove();
  });

  /** Somebody new, signed in on one node. */
  async function newcomer(node: number): Promise<Person> {
    count += 1;
    const username = `user${count}`;
    await visitor(node).gql(
      `mutation { signUp(input: { username: "${username}", password: "${PASSWORD}" }) { __typename } }`,
    );
    return visitor(node).signIn(username, PASSWORD);
  }

  /** A subscription on every node, to what comes from now on. */
  async function everywhere(
    who: Person,
    query: string,
    variables: Record<string, unknown> = {},
  ): Promise<{ clients: SocketClient[]; streams: Operation[]; close: () => Promise<void> }> {
    const clients = await Promise.all(nodes.map(({ url }) => SocketClient.open(url, who.authorization)));
    const { cursor } = await who.gql('{ cursor }');
    const streams = clients.map((client) => client.start(query, { ...variables, after: cursor }));
    return {
      clients,
      streams,
      close: async () => {
        for (const client of clients) {
          client.raw.terminate();
        }
      },
    };
  }

  const make = (who: Person, title: string) =>
    who.gql('mutation ($title: String!) { createTodo(input: { title: $title }) { __typename } }', { title });

  async function chatOf(owner: Person, ...others: readonly Person[]): Promise<string> {
    const { uri } = (await owner.gql('mutation { createChatSession { uri } }')).createChatSession;
    const usernames = others.map(({ username }) => username);
    await owner.gql(
      'mutation ($uri: String!, $usernames: [String!]!) { addChatMembers(uri: $uri, usernames: $usernames) { __typename } }',
      { uri, usernames },
    );
    return uri;
  }

  it('should have migrated once, however many started together', async () => {
    const applied = await sql('SELECT "migration_name" FROM "_prisma_migrations" WHERE "finished_at" IS NOT NULL');
    const names = applied.map((row) => row['migration_name']);
    expect(names.length).toBeGreaterThan(0);
    expect(new Set(names).size).toBe(names.length);
  });

  it('should each send their subscribers what the others write, in one order', async () => {
    const { streams, close } = await everywhere(visitor(0), TODOS);
    const titles = Array.from({ length: 30 }, (_, index) => `from node ${index % NODES}: ${index}`);
    await Promise.all(titles.map((title, index) => make(visitor(index % NODES), title)));
    const received = await Promise.all(
      streams.map(async (stream) => {
        const events: { cursor: string; todo: { title: string } }[] = [];
        for (const _title of titles) {
          events.push(await stream.event());
        }
        return events;
      }),
    );
    expect(received[0]?.map(({ todo }) => todo.title).sort()).toEqual([...titles].sort());
    expect(received[1]).toEqual(received[0]);
    expect(received[2]).toEqual(received[0]);
    await close();
  });

  it('should send what psql writes', async () => {
    const { streams, close } = await everywhere(visitor(0), TODOS);
    await sql(`INSERT INTO "Todo" ("title") VALUES ('by hand')`);
    for (const stream of streams) {
      expect(await stream.event()).toMatchObject(CREATED('by hand'));
    }
    await close();
  });

  it('should each send who is typing, on whatever node the signal was sent', async () => {
    const ann = await newcomer(0);
    const uri = await chatOf(ann);
    const { streams, close } = await everywhere(ann, TYPING, { uri });
    for (const stream of streams) {
      const signal = () => at(1, ann).gql('mutation ($uri: String!) { setTyping(uri: $uri) }', { uri });
      expect(await firstTyping(stream, signal)).toEqual({ users: [{ username: ann.username }] });
    }
    await at(2, ann).gql('mutation ($uri: String!) { sendMessage(uri: $uri, message: "done") { __typename } }', {
      uri,
    });
    for (const stream of streams) {
      expect(await stream.event()).toEqual({ users: [] });
    }
    await close();
  });

  it('should each know who is online on the others', async () => {
    const [ann, ben] = [await newcomer(0), await newcomer(1)];
    const uri = await chatOf(ann, ben);
    const anns = await SocketClient.open(nodes[0]?.url ?? '', ann.authorization);
    const presence = anns.start('subscription ($uri: String!) { chatPresence(uri: $uri) { users { username } } }', {
      uri,
    });
    const [one, both] = [[ann], [ann, ben]].map((people) => ({ users: people.map(({ username }) => ({ username })) }));
    expect(await presence.event()).toEqual(one);
    const bens = await SocketClient.open(nodes[1]?.url ?? '', ben.authorization);
    expect(await presence.event()).toEqual(both);
    const seen = async (viewer: Person, { username }: Person) =>
      (await viewer.gql(`{ user(username: "${username}") { online } }`)).user.online;
    expect([await seen(at(2, ann), ben), await seen(at(2, ben), ann)]).toEqual([true, true]);
    bens.raw.terminate();
    expect(await presence.event()).toEqual(one);
    await expect.poll(() => seen(at(2, ann), ben)).toBe(false);
    anns.raw.terminate();
  });

  it('should take no harm from signs of typing that are none', async () => {
    for (const payload of ['x', 'me\nnull', 'me\n{"chatId":"1"}', 'me\n{', '\n\n\n']) {
      await sql(`SELECT pg_notify('tidings_typing_1', E'${payload.replaceAll('\n', '\\n')}')`);
    }
    for (const [index] of nodes.entries()) {
      await make(visitor(index), 'still there');
    }
  });

  describe('revocation', () => {
    it.each([
      ['signing out', 'mutation { destroyAuthToken }'],
      [
        'a new password',
        `mutation { changePassword(input: { currentPassword: "${PASSWORD}", newPassword: "another good one" }) { __typename } }`,
      ],
    ])('should reach the sockets of all nodes: %s', async (_name, mutation) => {
      const { username } = await newcomer(0);
      const login = `{ username: "${username}", password: "${PASSWORD}" }`;
      const { createAuthToken } = await visitor(1).gql(
        `mutation { createAuthToken(input: ${login}) { ... on AuthTokenKey { authToken } } }`,
      );
      const holder = visitor(0).with(`Token ${createAuthToken.authToken}`);
      const { clients } = await everywhere(holder, TODOS);
      await at(1, holder).gql(mutation);
      for (const client of clients) {
        expect(await client.closed).toMatchObject({ code: 4403 });
      }
    });

    it('should reach the sockets of all nodes: an account that is closed by hand', async () => {
      const ann = await newcomer(0);
      const { clients } = await everywhere(ann, TODOS);
      await sql(`UPDATE "User" SET "isActive" = false WHERE "username" = '${ann.username}'`);
      for (const client of clients) {
        expect(await client.closed).toMatchObject({ code: 4403 });
      }
    });

    it('should end the streams of a member who is removed, and send them nothing that is said afterwards', async () => {
      const [ann, ben] = [await newcomer(0), await newcomer(1)];
      const uri = await chatOf(ann, ben);
      const chats = await everywhere(ben, CHATS);
      const messages = await everywhere(ben, MESSAGES, { uri });
      await at(2, ann).gql(
        'mutation ($uri: String!, $username: String!) { removeChatMember(uri: $uri, username: $username) { __typename } }',
        { uri, username: ben.username },
      );
      await at(0, ann).gql('mutation ($uri: String!) { sendMessage(uri: $uri, message: "alone") { __typename } }', {
        uri,
      });
      for (const stream of chats.streams) {
        // A node may still have been reading what made the chat when its subscription started.
        const events = [await stream.event()];
        while (events.at(-1)?.action === 'CREATED') {
          events.push(await stream.event());
        }
        expect(events.at(-1)).toEqual({ action: 'DELETED', chatSession: null });
      }
      for (const stream of messages.streams) {
        expect(await stream.ended).toBeNull();
        expect(stream.results.drain()).toEqual([]);
      }
      await chats.close();
      await messages.close();
    });

    it('should not wait for a transaction that somebody keeps open', async () => {
      const [ann, ben] = [await newcomer(0), await newcomer(1)];
      const uri = await chatOf(ann, ben);
      const messages = await everywhere(ben, MESSAGES, { uri });
      const open = sql(`BEGIN; INSERT INTO "Todo" ("title") VALUES ('slow'); SELECT pg_sleep(3); COMMIT`);
      await pause(300);
      let isOver = false;
      const over = open.then(() => {
        isOver = true;
      });
      await ann.gql(
        'mutation ($uri: String!, $username: String!) { removeChatMember(uri: $uri, username: $username) { __typename } }',
        { uri, username: ben.username },
      );
      for (const stream of messages.streams) {
        expect(await stream.ended).toBeNull();
      }
      expect(isOver).toBe(false);
      await over;
      await messages.close();
    });
  });

  it('should carry out a request once, whichever nodes it is sent to at the same time', async () => {
    const ann = await newcomer(0);
    const create = `mutation { createTodo(input: { title: "once" }, idempotencyKey: "one key") { ... on Todo { id } } }`;
    const answers = await Promise.all(Array.from({ length: 12 }, (_, index) => at(index % NODES, ann).gql(create)));
    expect(new Set(answers.map(({ createTodo }) => createTodo.id)).size).toBe(1);
    const [row] = await sql(`SELECT count(*)::int AS "count" FROM "Todo" WHERE "title" = 'once'`);
    expect(row).toEqual({ count: 1 });
  });

  it('should count failed attempts to sign in together', async () => {
    const { username } = await newcomer(0);
    const attempt = (node: number, password: string) =>
      visitor(node).ask(
        `mutation { obtainToken(input: { username: "${username}", password: "${password}" }) { __typename } }`,
      );
    const answers = await Promise.all(Array.from({ length: 30 }, (_, index) => attempt(index % NODES, 'wrong')));
    expect(answers.filter(({ errors }) => errors === undefined)).toHaveLength(MAX_FAILED_SIGN_INS);
    for (const [index] of nodes.entries()) {
      expect((await attempt(index, PASSWORD)).errors?.[0]?.extensions?.['code']).toBe('RATE_LIMITED');
    }
  });

  it('should miss nothing when they can’t be notified', async () => {
    const { streams, close } = await everywhere(visitor(0), TODOS);
    await sql(`SELECT pg_terminate_backend("pid") FROM pg_stat_activity WHERE "query" LIKE 'LISTEN%'`);
    await make(visitor(1), 'without a word');
    for (const stream of streams) {
      expect(await stream.event()).toMatchObject(CREATED('without a word'));
    }
    await close();
  });

  it('should lose no subscription when the database restarts', { timeout: 60_000 }, async () => {
    const { streams, close } = await everywhere(visitor(0), TODOS);
    for (const mode of ['fast', 'immediate'] as const) {
      await make(visitor(0), `before the ${mode} stop`);
      await database.restart(mode);
      for (const [index] of nodes.entries()) {
        const ready = (): Promise<number> =>
          visitor(index)
            .fetch('/ready')
            .then(({ status }) => status);
        await expect.poll(ready, { timeout: DEADLINE_MS }).toBe(200);
        await make(visitor(index), `${mode} ${index}`);
      }
      for (const stream of streams) {
        const expected = [`before the ${mode} stop`, ...nodes.map((_node, index) => `${mode} ${index}`)];
        for (const title of expected) {
          expect(await stream.event(DEADLINE_MS)).toMatchObject(CREATED(title));
        }
      }
    }
    await close();
  });
});
