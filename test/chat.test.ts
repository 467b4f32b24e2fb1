import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';

const CHAT = '... on ChatSession { id uri owner { username } members { username } }';
const ERRORS = '... on Error { message }';
const FIELDS_IN_ERROR = '... on ValidationError { fields { path message } }';
const JOIN = `mutation ($uri: String!) { joinChat(uri: $uri) { __typename ${CHAT} ${ERRORS} } }`;
const ADD = `mutation ($uri: String!, $usernames: [String!]!) {
  addChatMembers(uri: $uri, usernames: $usernames) { __typename ${CHAT} ${ERRORS} ${FIELDS_IN_ERROR} }
}`;
const REMOVE = `mutation ($uri: String!, $username: String!) {
  removeChatMember(uri: $uri, username: $username) { __typename ${CHAT} ${ERRORS} }
}`;
const LEAVE = `mutation ($uri: String!) { leaveChat(uri: $uri) { __typename ... on LeftChat { uri } ${ERRORS} } }`;
const SEND = `mutation ($uri: String!, $message: String!) {
  sendMessage(uri: $uri, message: $message) {
    __typename
    ... on ChatMessage { id message user { username } chatSession { uri } }
    ${ERRORS}
    ${FIELDS_IN_ERROR}
  }
}`;
const READ = `query ($uri: String!) { chatSession(uri: $uri) { ${CHAT} } }`;
const HISTORY = `query ($uri: String!, $first: Int, $after: String, $last: Int, $before: String, $orderBy: ChatMessageOrder) {
  chatSession(uri: $uri) {
    messages(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy) {
      totalCount
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      nodes { message }
    }
  }
}`;
const NODE = 'query ($id: ID!) { node(id: $id) { id } }';

const NOT_FOUND = { __typename: 'NotFoundError', message: 'Not found.' };
const NOWHERE = '0123456789abcde';

let app: TestApp;
let ann: Person;
let ben: Person;
let cat: Person;
let staff: Person;

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  ben = await app.signUp('ben');
  cat = await app.signUp('cat');
  staff = await app.signUpStaff('sue');
});
afterAll(() => app.close());

interface Chat {
  readonly id: string;
  readonly uri: string;
  readonly members: readonly { username: string }[];
}

/** A chat of Ann's with these members. */
async function makeChat(...usernames: string[]): Promise<Chat> {
  const { createChatSession } = await ann.gql(`mutation { createChatSession { ${CHAT} } }`);
  return usernames.length === 0
    ? createChatSession
    : (await ann.gql(ADD, { uri: createChatSession.uri, usernames })).addChatMembers;
}

const names = ({ members }: Chat): string[] => members.map(({ username }) => username);
const read = async (person: Person, uri: string) => (await person.gql(READ, { uri })).chatSession;
const send = async (person: Person, uri: string, message: string) =>
  (await person.gql(SEND, { uri, message })).sendMessage;
const add = async (person: Person, uri: string, usernames: readonly string[]) =>
  (await person.gql(ADD, { uri, usernames })).addChatMembers;
const remove = async (person: Person, uri: string, username: string) =>
  (await person.gql(REMOVE, { uri, username })).removeChatMember;
const history = async (person: Person, uri: string, page: object = {}) => {
  const { messages } = (await person.gql(HISTORY, { uri, ...page })).chatSession;
  return { ...messages, texts: messages.nodes.map(({ message }: { message: string }) => message) };
};

describe('opening and joining a chat', () => {
  it('should give the owner a chat of their own with a random uri', async () => {
    const [chat, another] = [await makeChat(), await makeChat()];
    expect(chat).toMatchObject({ uri: expect.stringMatching(/^[0-9a-f]{15}$/), owner: { username: 'ann' } });
    expect(names(chat)).toEqual(['ann']);
    expect(another.uri).not.toBe(chat.uri);
  });

  it('should let whoever knows the uri join, once, after the owner', async () => {
    const { uri } = await makeChat();
    expect(names((await cat.gql(JOIN, { uri })).joinChat)).toEqual(['ann', 'cat']);
    expect(names((await ben.gql(JOIN, { uri })).joinChat)).toEqual(['ann', 'cat', 'ben']);
    expect(names((await cat.gql(JOIN, { uri })).joinChat)).toEqual(['ann', 'cat', 'ben']);
    expect(names(await read(ann, uri))).toEqual(['ann', 'cat', 'ben']);
  });

  it('should leave the owner the owner when they join', async () => {
    const { uri } = await makeChat('ben');
    expect(names((await ann.gql(JOIN, { uri })).joinChat)).toEqual(['ann', 'ben']);
    const { leaveChat } = await ben.gql(LEAVE, { uri });
    expect(leaveChat).toEqual({ __typename: 'LeftChat', uri });
    expect(names(await read(ann, uri))).toEqual(['ann']);
  });

  it('should count somebody who joins many times at once one time', async () => {
    const { uri } = await makeChat();
    const joins = await Promise.all(Array.from({ length: 10 }, () => ben.gql(JOIN, { uri })));
    expect(joins.map(({ joinChat }) => joinChat.__typename)).toEqual(Array(10).fill('ChatSession'));
    expect(names(await read(ann, uri))).toEqual(['ann', 'ben']);
  });

  it('should find no chat under another uri', async () => {
    for (const uri of [NOWHERE, '', '%', (await makeChat()).uri.slice(1)]) {
      expect((await ben.gql(JOIN, { uri })).joinChat).toEqual(NOT_FOUND);
      expect(await read(ben, uri)).toBeNull();
    }
  });

  it('should need credentials for every verb', async () => {
    const { uri } = await makeChat();
    for (const verb of [
      READ,
      JOIN,
      LEAVE,
      'mutation { createChatSession { uri } }',
      '{ chatSessions { totalCount } }',
    ]) {
      expect(await app.anonymous.codeOf(verb, { uri })).toBe('UNAUTHENTICATED');
    }
    expect(await app.anonymous.codeOf(ADD, { uri, usernames: ['ben'] })).toBe('UNAUTHENTICATED');
    expect(await app.anonymous.codeOf(REMOVE, { uri, username: 'ann' })).toBe('UNAUTHENTICATED');
    expect(await app.anonymous.codeOf(SEND, { uri, message: 'x' })).toBe('UNAUTHENTICATED');
    expect(names(await read(ann, uri))).toEqual(['ann']);
  });
});

describe('adding members', () => {
  it('should be for the owner and for members, by name in any case, in the order that is given', async () => {
    const { uri } = await makeChat();
    expect(names(await add(ann, uri, ['CAT', 'cat', 'ann']))).toEqual(['ann', 'cat']);
    expect(names(await add(cat, uri, ['sue', 'ben', 'cat']))).toEqual(['ann', 'cat', 'sue', 'ben']);
  });

  it('should name every user that nobody can add by its index, and add nobody', async () => {
    const gone = await app.signUp('gone');
    await gone.gql('mutation ($p: String!) { deactivateViewer(currentPassword: $p) { __typename } }', {
      p: 'a good long password',
    });
    const { uri } = await makeChat();
    const refused = await add(ann, uri, ['nobody', 'ben', 'gone', '', 'cat']);
    expect(refused.fields).toEqual(
      [0, 2, 3].map((index) => ({ path: `usernames.${index}`, message: 'User does not exist.' })),
    );
    expect(names(await read(ann, uri))).toEqual(['ann']);
  });

  it('should be closed to others, staff too', async () => {
    const { uri } = await makeChat();
    expect(await add(ben, uri, ['ben'])).toMatchObject(NOT_FOUND);
    expect(await add(staff, uri, ['sue'])).toMatchObject(NOT_FOUND);
    expect(names(await read(ann, uri))).toEqual(['ann']);
  });

  it('should take 100 names at a time, and stop at 1000 members without adding a part', async () => {
    await app.sql(`WITH RECURSIVE "n"("i") AS (SELECT 0 UNION ALL SELECT "i" + 1 FROM "n" WHERE "i" < 1000)
      INSERT INTO "User" ("username", "usernameKey", "passwordHash") SELECT 'guest' || "i", 'guest' || "i", '!' FROM "n"`);
    const { uri } = await makeChat();
    const guests = Array.from({ length: 1001 }, (_, index) => `guest${index}`);
    expect((await add(ann, uri, guests.slice(0, 101))).fields).toEqual([
      { path: 'usernames', message: 'Ensure this field has no more than 100 elements.' },
    ]);
    for (let start = 0; start < 999; start += 100) {
      await add(ann, uri, guests.slice(start, Math.min(start + 100, 999)));
    }
    expect(names(await read(ann, uri))).toEqual(['ann', ...guests.slice(0, 999)]);
    const full = { __typename: 'ConflictError', message: 'A chat can have at most 1000 members.' };
    expect(await add(ann, uri, ['guest999', 'guest1000'])).toEqual(full);
    expect(names(await read(ann, uri))).toHaveLength(1000);

    expect(names(await add(ann, uri, ['guest5', 'guest999']))).toHaveLength(1001);
    expect((await ben.gql(JOIN, { uri })).joinChat).toEqual(full);
    expect(await read(ben, uri)).toBeNull();
    expect(names(await add(ann, uri, ['guest5', 'ann']))).toHaveLength(1001);
    await remove(ann, uri, 'guest7');
    expect(names((await ben.gql(JOIN, { uri })).joinChat).at(-1)).toBe('ben');
  });
});

describe('removing members and leaving', () => {
  it('should let the owner remove members, and nobody else', async () => {
    const { uri } = await makeChat('ben', 'cat');
    expect(await ben.codeOf(REMOVE, { uri, username: 'cat' })).toBe('FORBIDDEN');
    expect(await ben.codeOf(REMOVE, { uri, username: 'ann' })).toBe('FORBIDDEN');
    expect(await remove(staff, uri, 'ben')).toEqual(NOT_FOUND);
    expect(names(await read(ann, uri))).toEqual(['ann', 'ben', 'cat']);
    expect(names(await remove(ann, uri, 'Ben'))).toEqual(['ann', 'cat']);
    expect(await read(ben, uri)).toBeNull();
  });

  it('should change nothing for somebody who is no member, and find no unknown user', async () => {
    const { uri } = await makeChat('cat');
    expect(names(await remove(ann, uri, 'ben'))).toEqual(['ann', 'cat']);
    expect(await remove(ann, uri, 'nobody')).toEqual(NOT_FOUND);
  });

  it('should end the membership of whoever leaves, until they join again', async () => {
    const { uri } = await makeChat('ben', 'cat');
    expect((await ben.gql(LEAVE, { uri })).leaveChat).toEqual({ __typename: 'LeftChat', uri });
    expect(await read(ben, uri)).toBeNull();
    expect((await ben.gql(LEAVE, { uri })).leaveChat).toEqual(NOT_FOUND);
    expect(names(await read(ann, uri))).toEqual(['ann', 'cat']);
    expect(names((await ben.gql(JOIN, { uri })).joinChat)).toEqual(['ann', 'cat', 'ben']);
  });

  it('should count taking oneself out as leaving', async () => {
    const { uri } = await makeChat('ben');
    await remove(ben, uri, 'ben');
    expect(await read(ben, uri)).toBeNull();
    expect(names(await read(ann, uri))).toEqual(['ann']);
  });

  it('should keep the owner', async () => {
    const { uri } = await makeChat('ben');
    const conflict = { __typename: 'ConflictError', message: 'The owner of a chat cannot leave it.' };
    expect((await ann.gql(LEAVE, { uri })).leaveChat).toEqual(conflict);
    expect(await remove(ann, uri, 'ann')).toEqual(conflict);
    expect(names(await read(ann, uri))).toEqual(['ann', 'ben']);
  });
});

describe('messages', () => {
  it('should come from the viewer and keep every space and line break', async () => {
    const { uri } = await makeChat('ben');
    const message = '  two  spaces,\n\na tab\t and an end  ';
    expect(await send(ben, uri, message)).toMatchObject({ message, user: { username: 'ben' }, chatSession: { uri } });
    expect((await send(ann, uri, ' ')).message).toBe(' ');
    expect((await history(ann, uri)).texts).toEqual([message, ' ']);
  });

  it('should have 1 to 2000 characters', async () => {
    const { uri } = await makeChat();
    expect(await send(ann, uri, '🍏'.repeat(2000))).toMatchObject({ message: '🍏'.repeat(2000) });
    const tooLong = [{ path: 'message', message: 'Ensure this field has no more than 2000 characters.' }];
    expect((await send(ann, uri, '🍏'.repeat(2001))).fields).toEqual(tooLong);
    expect((await send(ann, uri, 'x'.repeat(5000))).fields).toEqual(tooLong);
    expect((await send(ann, uri, '')).fields).toEqual([{ path: 'message', message: 'This field may not be blank.' }]);
    expect((await history(ann, uri)).totalCount).toBe(1);
  });

  it('should be hidden from those who take no part, or no more', async () => {
    const chat = await makeChat('ben');
    const { id } = await send(ann, chat.uri, 'secret');
    await ben.gql(LEAVE, { uri: chat.uri });
    for (const outsider of [ben, cat, staff]) {
      expect(await read(outsider, chat.uri)).toBeNull();
      expect(await send(outsider, chat.uri, 'hello?')).toEqual(NOT_FOUND);
      expect(await outsider.gql(NODE, { id })).toEqual({ node: null });
      expect(await outsider.gql(NODE, { id: chat.id })).toEqual({ node: null });
      const { chatSessions } = await outsider.gql('{ chatSessions(first: 100) { nodes { uri } } }');
      expect(chatSessions.nodes).not.toContainEqual({ uri: chat.uri });
    }
    expect((await history(ann, chat.uri)).texts).toEqual(['secret']);
    expect(await ann.gql(NODE, { id })).toEqual({ node: { id } });
  });

  it('should be read page by page in both directions', async () => {
    const { uri } = await makeChat('ben');
    const said = Array.from({ length: 7 }, (_, index) => `message ${index}`);
    for (const [index, message] of said.entries()) {
      await send(index % 2 ? ann : ben, uri, message);
    }
    const oldest = await history(ben, uri, { first: 3 });
    expect(oldest).toMatchObject({ texts: said.slice(0, 3), totalCount: 7 });
    expect(oldest.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
    const rest = await history(ben, uri, { first: 4, after: oldest.pageInfo.endCursor });
    expect(rest.texts).toEqual(said.slice(3));
    expect(rest.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });

    const newest = await history(ben, uri, { last: 3 });
    expect(newest.texts).toEqual(said.slice(4));
    expect(newest.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
    const earlier = await history(ben, uri, { last: 4, before: newest.pageInfo.startCursor });
    expect(earlier.texts).toEqual(said.slice(0, 4));
    expect(earlier.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });

    const orderBy = { field: 'ID', direction: 'DESC' };
    const downwards = await history(ben, uri, { first: 3, orderBy });
    expect(downwards.texts).toEqual(said.toReversed().slice(0, 3));
    const further = await history(ben, uri, { first: 2, after: downwards.pageInfo.endCursor, orderBy });
    expect(further.texts).toEqual(said.toReversed().slice(3, 5));
  });
});

describe('the list of chats', () => {
  it('should list those of the viewer, and distinguish own ones from others', async () => {
    const [dan, eve] = [await app.signUp('dan'), await app.signUp('eve')];
    const open = async (person: Person) =>
      (await person.gql('mutation { createChatSession { uri } }')).createChatSession.uri;
    const [own, joined, other] = [await open(dan), await open(eve), await open(eve)];
    await dan.gql(JOIN, { uri: joined });
    const uris = async (person: Person, filter: object) =>
      (
        await person.gql('query ($filter: ChatSessionFilter) { chatSessions(filter: $filter) { nodes { uri } } }', {
          filter,
        })
      ).chatSessions.nodes.map(({ uri }: Chat) => uri);
    expect(await uris(dan, {})).toEqual([own, joined]);
    expect(await uris(dan, { ownedByMe: true })).toEqual([own]);
    expect(await uris(dan, { ownedByMe: false })).toEqual([joined]);
    expect(await uris(eve, { ownedByMe: true })).toEqual([joined, other]);
  });
});
