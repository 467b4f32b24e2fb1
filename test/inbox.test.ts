import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';

const MARK = `mutation ($uri: String!, $upTo: ID!) {
  markRead(uri: $uri, upTo: $upTo) { __typename ... on ChatSession { unreadCount viewerReadMark { messageId } } }
}`;
const UNREAD = 'query ($uri: String!) { chatSession(uri: $uri) { unreadCount } }';

let app: TestApp;
let ann: Person;
let ben: Person;
let cat: Person;

beforeAll(async () => {
  app = await startApp();
  [ann, ben, cat] = [await app.signUp('ann'), await app.signUp('ben'), await app.signUp('cat')];
});
afterAll(() => app.close());

interface Chat {
  readonly id: string;
  readonly uri: string;
}

async function open(owner: Person, ...members: readonly Person[]): Promise<Chat> {
  const { chat } = await owner.gql('mutation { chat: createChatSession { id uri } }');
  for (const member of members) {
    await join(member, chat);
  }
  return chat;
}

const join = (person: Person, { uri }: Chat) =>
  person.gql('mutation ($uri: String!) { joinChat(uri: $uri) { __typename } }', { uri });

async function say(person: Person, { uri }: Chat, message: string): Promise<string> {
  const { sendMessage } = await person.gql(
    'mutation ($uri: String!, $message: String!) { sendMessage(uri: $uri, message: $message) { ... on ChatMessage { id } } }',
    { uri, message },
  );
  return sendMessage.id;
}

const mark = async (person: Person, { uri }: Chat, upTo: string) => (await person.gql(MARK, { uri, upTo })).markRead;
const unread = async (person: Person, { uri }: Chat): Promise<number> =>
  (await person.gql(UNREAD, { uri })).chatSession.unreadCount;

/** The number of an object, as the tables have it. */
async function rowOf({ uri }: Chat): Promise<number> {
  const [row] = await app.sql('SELECT "id" FROM "ChatSession" WHERE "uri" = ?', uri);
  return Number(row?.['id']);
}

describe('the unread messages of a chat', () => {
  let chat: Chat;
  beforeEach(async () => {
    chat = await open(ann, ben);
  });

  it('should be those of others after the mark of the viewer', async () => {
    const first = await say(ann, chat, 'one');
    await say(ann, chat, 'two');
    await say(ben, chat, 'mine');
    expect([await unread(ann, chat), await unread(ben, chat)]).toEqual([1, 2]);
    expect(await mark(ben, chat, first)).toEqual({
      __typename: 'ChatSession',
      unreadCount: 1,
      viewerReadMark: { messageId: first },
    });
    expect(await unread(ann, chat)).toBe(1);
  });

  it('should begin with those that were sent after the viewer joined', async () => {
    await say(ann, chat, 'before');
    await join(cat, chat);
    expect(await unread(cat, chat)).toBe(0);
    await say(ann, chat, 'after');
    expect(await unread(cat, chat)).toBe(1);
    await cat.gql('mutation ($uri: String!) { leaveChat(uri: $uri) { __typename } }', { uri: chat.uri });
    await say(ann, chat, 'meanwhile');
    await join(cat, chat);
    expect(await unread(cat, chat)).toBe(0);
  });

  it('should be counted up to a thousand, whoever wrote them, and follow deletions', async () => {
    const [row, [author]] = [await rowOf(chat), await app.sql(`SELECT "id" FROM "User" WHERE "username" = 'ann'`)];
    await app.sql(
      `INSERT INTO "ChatMessage" ("chatSessionId", "userId", "message")
       WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) SELECT ${row}, ${author?.['id']}, 'x' FROM n`,
    );
    expect(await unread(ben, chat)).toBe(1000);
    await app.sql('DELETE FROM "ChatMessage" WHERE "chatSessionId" = ?', row);
    expect(await unread(ben, chat)).toBe(0);
  });

  it('should not include deleted ones; those that mention the viewer are counted, too', async () => {
    const counts = async () => {
      const { chatSession } = await ben.gql(`{ chatSession(uri: "${chat.uri}") { unreadCount unreadMentions } }`);
      return [chatSession.unreadCount, chatSession.unreadMentions];
    };
    const other = await open(ann, ben);
    await say(ann, other, '@ben there');
    const ids = [
      await say(ann, chat, '@ben one'),
      await say(ann, chat, '@ann two'),
      await say(ann, chat, '@ben three'),
    ];
    expect(await counts()).toEqual([3, 2]);
    await ann.gql(`mutation { deleteMessage(id: "${ids[2]}") { __typename } }`);
    expect(await counts()).toEqual([2, 1]);
    await ann.gql(`mutation { updateMessage(id: "${ids[1]}", message: "@ben after all") { __typename } }`);
    expect(await counts()).toEqual([2, 2]);
    await mark(ben, chat, ids[0] ?? '');
    expect(await counts()).toEqual([1, 1]);
  });

  it('should never become more by marking, in any order and at once', async () => {
    const ids: string[] = [];
    for (let count = 0; count < 5; count += 1) {
      ids.push(await say(ann, chat, String(count)));
    }
    let highest = -1;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(4), { minLength: 1, maxLength: 4 }), async (marked) => {
        await Promise.all(marked.map((index) => mark(ben, chat, ids[index] ?? '')));
        highest = Math.max(highest, ...marked);
        expect(await unread(ben, chat)).toBe(4 - highest);
      }),
      { numRuns: 8 },
    );
  });

  it.each(['0', '-1', 'x', '999999999', '99999999999999999999', ''])('should not be marked up to %j', async (upTo) => {
    await say(ann, chat, 'hello');
    expect((await mark(ben, chat, upTo)).__typename).toBe('NotFoundError');
    expect(await unread(ben, chat)).toBe(1);
  });

  it('should not be marked up to a message of another chat, nor by strangers', async () => {
    const id = await say(ann, chat, 'hello');
    const other = await open(ann, ben);
    expect((await mark(ben, other, id)).__typename).toBe('NotFoundError');
    expect((await mark(cat, chat, id)).__typename).toBe('NotFoundError');
    expect(await app.anonymous.codeOf(MARK, { uri: chat.uri, upTo: id })).toBe('UNAUTHENTICATED');
  });
});

describe('the readers of a message', () => {
  it('should be the participants whose mark is there or after it', async () => {
    const chat = await open(ann, ben, cat);
    const ids = [await say(ann, chat, 'one'), await say(ann, chat, 'two')];
    await mark(cat, chat, ids[0] ?? '');
    await mark(ben, chat, ids[1] ?? '');
    const READERS = `query ($uri: String!) { chatSession(uri: $uri) {
      readMarks { messageId user { username } } messages { nodes { readBy { username } } }
    } }`;
    const read = async () => (await ann.gql(READERS, { uri: chat.uri })).chatSession;
    const [bens, cats] = [{ username: 'ben' }, { username: 'cat' }];
    expect(await read()).toEqual({
      readMarks: [
        { messageId: ids[0], user: cats },
        { messageId: ids[1], user: bens },
      ],
      messages: { nodes: [{ readBy: [cats, bens] }, { readBy: [bens] }] },
    });
    await ann.gql(`mutation { removeChatMember(uri: "${chat.uri}", username: "ben") { __typename } }`);
    await app.sql(`DELETE FROM "ChatMember" WHERE "chatSessionId" = ${await rowOf(chat)}`);
    expect(await read()).toEqual({ readMarks: [], messages: { nodes: [{ readBy: [] }, { readBy: [] }] } });
    expect(
      await app.sql(`SELECT "userId" FROM "ChatReadMark" WHERE "chatSessionId" = ${await rowOf(chat)}`),
    ).toHaveLength(1);
  });
});

describe('a list of chats by their last messages', () => {
  const LIST = `query ($first: Int, $after: String, $last: Int, $before: String, $direction: OrderDirection!, $owned: Boolean) {
    chatSessions(first: $first, after: $after, last: $last, before: $before,
      filter: { ownedByMe: $owned }, orderBy: { field: LAST_MESSAGE, direction: $direction }) {
      totalCount pageInfo { endCursor startCursor hasNextPage hasPreviousPage }
      nodes { uri lastMessage { message user { username } } unreadCount unreadMentions }
    }
  }`;
  let dan: Person;
  let eve: Person;
  let uris: string[];

  beforeAll(async () => {
    [dan, eve] = [await app.signUp('dan'), await app.signUp('eve')];
    const chats: Chat[] = [];
    for (let index = 0; index < 6; index += 1) {
      chats.push(await (index % 2 === 0 ? open(dan, eve) : open(eve, dan)));
    }
    for (const index of [2, 4, 1, 3, 4]) {
      await say(eve, chats[index] as Chat, `to ${index}`);
    }
    // Those without messages come last: 5 and 0.
    uris = [4, 3, 1, 2, 5, 0].map((index) => chats[index]?.uri ?? '');
  });

  const list = async (variables: object) => (await dan.gql(LIST, { direction: 'DESC', ...variables })).chatSessions;
  const urisOf = ({ nodes }: { nodes: readonly { uri: string }[] }) => nodes.map(({ uri }) => uri);

  it('should begin with the newest message', async () => {
    const page = await list({});
    expect(urisOf(page)).toEqual(uris);
    expect(page.totalCount).toBe(6);
    expect(page.nodes[0]).toMatchObject({
      lastMessage: { message: 'to 4', user: { username: 'eve' } },
      unreadCount: 2,
    });
    expect(page.nodes[5]).toMatchObject({ lastMessage: null, unreadCount: 0 });
    expect(urisOf(await list({ direction: 'ASC' }))).toEqual([...uris].reverse());
  });

  it('should be paged in both directions and both orders', async () => {
    for (const size of [1, 2, 4]) {
      for (const direction of ['ASC', 'DESC']) {
        const [forth, back]: [string[], string[]] = [[], []];
        let [after, before, more]: [string | null, string | null, boolean] = [null, null, true];
        while (more) {
          const page = await list({ first: size, after, direction });
          forth.push(...urisOf(page));
          ({ endCursor: after, hasNextPage: more } = page.pageInfo);
        }
        more = true;
        while (more) {
          const page = await list({ last: size, before, direction });
          back.unshift(...urisOf(page));
          ({ startCursor: before, hasPreviousPage: more } = page.pageInfo);
        }
        const wanted = direction === 'DESC' ? uris : [...uris].reverse();
        expect([forth, back]).toEqual([wanted, wanted]);
      }
    }
  });

  it('should be filtered, and refuse cursors of other orders', async () => {
    expect(urisOf(await list({ owned: true }))).toEqual([uris[0], uris[3], uris[5]]);
    expect(urisOf(await list({ owned: false }))).toEqual([uris[1], uris[2], uris[4]]);
    const { chatSessions } = await dan.gql('{ chatSessions(first: 1) { pageInfo { endCursor } } }');
    const after = chatSessions.pageInfo.endCursor;
    expect(await dan.codeOf(LIST, { direction: 'DESC', after })).toBe('BAD_CURSOR');
  });

  it('should cost as many statements for one chat as for six', async () => {
    const few = await app.countStatements(() => list({ first: 1 }));
    expect(await app.countStatements(() => list({ first: 6 }))).toBe(few);
  });

  it('should read only indexes', async () => {
    if (app.databasePath === '') {
      return;
    }
    const statements = await app.statementsOf(() => list({ first: 6 }));
    for (const statement of statements) {
      const count = statement.split('?').length - 1;
      const plan = await app.sql(`EXPLAIN QUERY PLAN ${statement}`, ...Array.from({ length: count }, () => '[1]'));
      const scans = plan
        .map(({ detail }) => String(detail))
        .filter((detail) => /^SCAN (?!run|start|json_each|recent|rows|.*VIRTUAL TABLE)/.test(detail));
      expect(scans, statement).toEqual([]);
    }
  });
});
