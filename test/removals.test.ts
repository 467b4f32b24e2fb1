import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';
import { RawSocket, SocketClient } from './kit/socket.ts';

const CHAT = '__typename ... on Error { message } ... on ChatSession { uri members { username } }';
const FIELDS = '... on ValidationError { fields { path message } }';
const REMOVE = `mutation ($uri: String!, $name: String!) { done: removeChatMember(uri: $uri, username: $name) { ${CHAT} } }`;
const LEAVE = 'mutation ($uri: String!) { leaveChat(uri: $uri) { __typename } }';
const ADD = `mutation ($uri: String!, $names: [String!]!) {
  done: addChatMembers(uri: $uri, usernames: $names) { ${CHAT} ${FIELDS} }
}`;
const SEND =
  'mutation ($uri: String!) { done: sendMessage(uri: $uri, message: "hello") { __typename ... on Error { message } } }';
const JOIN = `mutation ($uri: String!) { done: joinChat(uri: $uri) { ${CHAT} } }`;
const RENEW = `mutation ($uri: String!, $key: String) { done: renewChatUri(uri: $uri, idempotencyKey: $key) { ${CHAT} } }`;
const UPDATE = `mutation ($input: UpdateViewerInput!) {
  done: updateViewer(input: $input) { __typename ... on User { addableBy } ${FIELDS} }
}`;
const READ = 'query ($uri: String!) { chatSession(uri: $uri) { uri messages { totalCount } } }';
const MESSAGES = `subscription ($uri: String!, $after: String) {
  chatMessageChanged(uri: $uri, after: $after) { chatMessage { message } }
}`;

const NOT_FOUND = { __typename: 'NotFoundError', message: 'Not found.' };
const CONTACTS_ONLY = 'This user can be added only by people who share a chat with them.';

let app: TestApp;
let ann: Person;
let ben: Person;
let cat: Person;
let staff: Person;

beforeAll(async () => {
  app = await startApp();
  [ann, ben, cat] = [await app.signUp('ann'), await app.signUp('ben'), await app.signUp('cat')];
  staff = await app.signUpStaff('sue');
});
afterAll(() => app.close());

async function openChat(owner: Person, ...names: readonly string[]): Promise<string> {
  const { createChatSession } = await owner.gql('mutation { createChatSession { uri } }');
  expect((await owner.gql(ADD, { uri: createChatSession.uri, names })).done.__typename).toBe('ChatSession');
  return createChatSession.uri;
}

const done = async (person: Person, mutation: string, variables: object) =>
  (await person.gql(mutation, { ...variables })).done;
const remove = (uri: string, name: string) => done(ann, REMOVE, { uri, name });
const join = (person: Person, uri: string) => done(person, JOIN, { uri });
const add = (person: Person, uri: string, ...names: readonly string[]) => done(person, ADD, { uri, names });
const update = (person: Person, input: object) => done(person, UPDATE, { input });
const members = (...names: readonly string[]) => ({
  __typename: 'ChatSession',
  members: names.map((username) => ({ username })),
});

/** Asks a path of a chat as older clients do. */
async function rest(
  person: Person,
  method: string,
  path: string,
  form = '',
): Promise<{ status: number; body: unknown }> {
  const response = await person.fetch(`/api/chats/${path}/`, {
    method,
    ...(method !== 'GET' && { body: form, headers: { 'content-type': 'application/x-www-form-urlencoded' } }),
  });
  return { status: response.status, body: await response.json() };
}

/** How the chat socket of a uri is closed. */
async function closingOf(person: Person, uri: string) {
  const headers = person.authorization ? { authorization: person.authorization } : {};
  return new RawSocket(`${person.url}/${uri}`, { headers }).closed;
}

/** Expects that a person finds no chat by a uri, whichever way they try. */
async function expectNoChat(person: Person, uri: string): Promise<void> {
  const missing = { status: 404, body: { detail: 'Not found.' } };
  for (const mutation of [JOIN, SEND, RENEW]) {
    expect(await done(person, mutation, { uri })).toEqual(NOT_FOUND);
  }
  expect(await add(person, uri, person.username)).toMatchObject(NOT_FOUND);
  expect(await person.gql(READ, { uri })).toEqual({ chatSession: null });
  expect(await rest(person, 'PATCH', uri, `username=${person.username}`)).toEqual(missing);
  expect(await rest(person, 'PATCH', uri, 'username=cat')).toEqual(missing);
  expect(await rest(person, 'GET', `${uri}/messages`)).toEqual(missing);
  expect(await rest(person, 'POST', `${uri}/messages`, 'message=hello')).toEqual(missing);
  expect(await closingOf(person, uri)).toEqual({ code: 4403, reason: 'Not found.' });
}

describe('a user who was removed from a chat', () => {
  it('should find no chat by its uri any more, on any path', async () => {
    const uri = await openChat(ann, 'ben', 'cat');
    expect(await remove(uri, 'ben')).toMatchObject(members('ann', 'cat'));
    await done(ann, SEND, { uri });
    await expectNoChat(ben, uri);
    // It is a chat like any other to somebody who was never in it.
    expect(await rest(staff, 'GET', `${uri}/messages`)).toMatchObject({ status: 403 });
    expect(await join(staff, uri)).toMatchObject(members('ann', 'cat', 'sue'));
    expect((await ann.gql(READ, { uri })).chatSession.messages.totalCount).toBe(1);
  });

  it('should not be in the way of other chats, and removing them again should change nothing', async () => {
    const [uri, other] = [await openChat(ann, 'ben'), await openChat(ann, 'ben')];
    await remove(uri, 'ben');
    expect(await remove(uri, 'ben')).toMatchObject(members('ann'));
    expect(await join(ben, other)).toMatchObject(members('ann', 'ben'));
    await expectNoChat(ben, uri);
  });

  it('should not come back by having left, or never joined, before the removal', async () => {
    const uri = await openChat(ann, 'ben');
    await ben.gql(LEAVE, { uri });
    await remove(uri, 'ben');
    await remove(uri, 'cat');
    expect(await join(ben, uri)).toEqual(NOT_FOUND);
    expect(await join(cat, uri)).toEqual(NOT_FOUND);
  });

  it.each<[string, (uri: string) => Promise<unknown>]>([
    ['the owner', (uri) => add(ann, uri, 'ben')],
    ['a member', (uri) => add(cat, uri, 'ben')],
    ['the owner by REST', (uri) => rest(ann, 'PATCH', uri, 'username=ben')],
  ])('should be a member again when %s adds them, who may leave and join', async (_who, addBen) => {
    const uri = await openChat(ann, 'ben', 'cat');
    await remove(uri, 'ben');
    await addBen(uri);
    await ben.gql(LEAVE, { uri });
    expect(await join(ben, uri)).toMatchObject(members('ann', 'cat', 'ben'));
  });

  it('should stay removed when an addition fails as a whole', async () => {
    const uri = await openChat(ann, 'ben');
    await remove(uri, 'ben');
    expect(await add(ann, uri, 'ben', 'nobody')).toMatchObject({ __typename: 'ValidationError' });
    await expectNoChat(ben, uri);
  });

  it('should be one whom another person removed: who leaves may join again', async () => {
    const uri = await openChat(ann, 'ben');
    await ben.gql(LEAVE, { uri });
    expect(await join(ben, uri)).toMatchObject(members('ann', 'ben'));
    await done(ben, REMOVE, { uri, name: 'ben' });
    expect(await join(ben, uri)).toMatchObject(members('ann', 'ben'));
  });

  it('should be a member or find no chat at every moment of the removal, and never be merely invited', async () => {
    const uri = await openChat(ann, 'ben');
    const statuses = new Set<number>();
    for (let round = 0; round < 12; round += 1) {
      let isDone = false;
      const removal = remove(uri, 'ben').then(() => {
        isDone = true;
      });
      const ask = async (method: string, path: string, form: string): Promise<void> => {
        while (!isDone) {
          statuses.add((await rest(ben, method, path, form)).status);
        }
      };
      await Promise.all([
        removal,
        ...[1, 2].map(() => ask('POST', `${uri}/messages`, 'message=hello')),
        ...[1, 2].map(() => ask('PATCH', uri, 'username=cat')),
      ]);
      await add(ann, uri, 'ben');
    }
    expect([...statuses].filter((status) => status !== 200 && status !== 404)).toEqual([]);
  });

  it('should be forgotten with the user and with the chat', async () => {
    await app.signUp('gone');
    const [first, second] = [await openChat(ann), await openChat(ann)];
    const count = async (): Promise<number> =>
      Number(
        (
          await app.sql(
            'SELECT count(*) AS "n" FROM "ChatRemoval" WHERE "chatSessionId" IN (SELECT "id" FROM "ChatSession" WHERE "uri" IN (?, ?))',
            first,
            second,
          )
        )[0]?.['n'],
      );
    for (const name of ['ben', 'gone']) {
      await remove(first, name);
      await remove(second, name);
    }
    expect(await count()).toBe(4);
    await app.sql('DELETE FROM "User" WHERE "username" = ?', 'gone');
    expect(await count()).toBe(2);
    await app.sql('DELETE FROM "ChatSession" WHERE "uri" = ?', first);
    expect(await count()).toBe(1);
  });
});

describe('addableBy', () => {
  const refused = (index: number) => ({ path: `usernames.${index}`, message: CONTACTS_ONLY });

  it('should be EVERYBODY at first, and shown to the user alone', async () => {
    expect(await cat.gql('{ viewer { addableBy } }')).toEqual({ viewer: { addableBy: 'EVERYBODY' } });
    for (const other of [ann, staff]) {
      expect(await other.gql('{ user(username: "cat") { addableBy } }')).toEqual({ user: { addableBy: null } });
    }
    expect(await update(cat, { addableBy: 'CONTACTS' })).toEqual({ __typename: 'User', addableBy: 'CONTACTS' });
    expect(await update(cat, {})).toMatchObject({ addableBy: 'CONTACTS' });
    expect((await update(cat, { addableBy: null })).fields).toEqual([
      { path: 'addableBy', message: 'This field may not be null.' },
    ]);
    expect(await update(cat, { addableBy: 'EVERYBODY' })).toMatchObject({ addableBy: 'EVERYBODY' });
  });

  it('should keep those who share no chat with a user from adding them, by GraphQL and by REST', async () => {
    const dan = await app.signUp('dan');
    await update(dan, { addableBy: 'CONTACTS' });
    const uri = await openChat(ann, 'ben');
    expect((await add(ann, uri, 'cat', 'dan', 'nobody')).fields).toEqual([
      refused(1),
      { path: 'usernames.2', message: 'User does not exist.' },
    ]);
    expect((await add(ben, uri, 'DAN')).fields).toEqual([refused(0)]);
    expect(await rest(ann, 'PATCH', uri, 'username=dan')).toEqual({ status: 400, body: { username: [CONTACTS_ONLY] } });
    expect(await add(ann, uri)).toMatchObject(members('ann', 'ben'));
    // Whoever is given the uri joins by themselves, and then shares a chat with those who are in it.
    expect(await join(dan, uri)).toMatchObject(members('ann', 'ben', 'dan'));
    expect(await add(ben, uri, 'dan')).toMatchObject(members('ann', 'ben', 'dan'));
  });

  it('should let those who share a chat at that moment add the user to another one', async () => {
    const eve = await app.signUp('eve');
    await update(eve, { addableBy: 'CONTACTS' });
    const [shared, uri, another] = [await openChat(eve, 'ben'), await openChat(ben), await openChat(ben)];
    expect(await add(ben, uri, 'eve')).toMatchObject(members('ben', 'eve'));
    expect((await rest(ben, 'PATCH', another, 'username=eve')).status).toBe(200);
    await eve.gql(LEAVE, { uri });
    await eve.gql(LEAVE, { uri: another });
    expect(await add(ben, uri, 'eve')).toMatchObject(members('ben', 'eve'));
    await eve.gql(LEAVE, { uri });
    await ben.gql(LEAVE, { uri: shared });
    expect((await add(ben, uri, 'eve')).fields).toEqual([refused(0)]);
  });
});

describe('renewChatUri', () => {
  it('should be for the owner alone', async () => {
    const uri = await openChat(ann, 'ben');
    expect(await ben.codeOf(RENEW, { uri })).toBe('FORBIDDEN');
    for (const stranger of [cat, staff]) {
      expect(await done(stranger, RENEW, { uri })).toEqual(NOT_FOUND);
    }
    expect(await app.anonymous.codeOf(RENEW, { uri })).toBe('UNAUTHENTICATED');
    expect(await add(ann, uri)).toMatchObject({ uri });
  });

  it('should end the old uri at once on every path, for those who take part too, and keep the members', async () => {
    const old = await openChat(ann, 'ben');
    const renewed = await done(ann, RENEW, { uri: old });
    expect(renewed).toMatchObject({
      uri: expect.stringMatching(/^[0-9a-f]{12}4[0-9a-f]{2}$/),
      ...members('ann', 'ben'),
    });
    expect(renewed.uri).not.toBe(old);
    for (const person of [ann, ben, cat]) {
      await expectNoChat(person, old);
    }
    expect(await join(cat, renewed.uri)).toMatchObject(members('ann', 'ben', 'cat'));
    expect((await rest(ben, 'GET', `${renewed.uri}/messages`)).status).toBe(200);
  });

  it('should be carried out once for an idempotency key, and once of two at the same moment', async () => {
    const uri = await openChat(ann);
    const renewal = { uri, key: `renewal of ${uri}` };
    const first = await done(ann, RENEW, renewal);
    expect(await done(ann, RENEW, renewal)).toEqual(first);
    const both = await Promise.all([1, 2].map(() => done(ann, RENEW, { uri: first.uri })));
    expect(both.map(({ __typename }) => __typename).sort()).toEqual(['ChatSession', 'NotFoundError']);
  });

  it('should leave open subscriptions and sockets open, and send the new uri as an UPDATED', async () => {
    const uri = await openChat(ann, 'ben');
    const client = await SocketClient.open(app.url, ben.authorization);
    const { cursor } = await ben.gql('{ cursor }');
    const messages = client.start(MESSAGES, { uri, after: cursor });
    const chats = client.start(
      'subscription ($uri: String!) { chatSessionChanged(uri: $uri) { action chatSession { uri } } }',
      { uri },
    );
    await app.subscribed(2);
    const headers = { authorization: ben.authorization ?? '' };
    const socket = new RawSocket(`${app.url}/${uri}?after=${cursor}`, { headers });
    await done(ann, SEND, { uri });
    expect(await socket.nextJson()).toMatchObject({ message: 'hello' });
    expect(await messages.event()).toMatchObject({ chatMessage: { message: 'hello' } });

    const renewed = await done(ann, RENEW, { uri });
    expect(await chats.event()).toEqual({ action: 'UPDATED', chatSession: { uri: renewed.uri } });
    await done(ann, SEND, { uri: renewed.uri });
    expect(await socket.nextJson()).toMatchObject({ message: 'hello' });
    expect(await messages.event()).toMatchObject({ chatMessage: { message: 'hello' } });
    expect(await client.start(MESSAGES, { uri }).ended).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
    socket.terminate();
    await client.close();
  });

  it('should close the sockets that the old uri alone opened', async () => {
    const open = await startApp({ CHAT_SOCKET_OPEN: 'true' });
    const owner = await open.signUp('owner');
    const uri = await openChat(owner);
    const { cursor } = await owner.gql('{ cursor }');
    const listen = (path: string) => new RawSocket(`${open.url}/${path}?after=${cursor}`);
    const [ended, other] = [listen(uri), listen(await openChat(owner))];
    await done(owner, SEND, { uri });
    expect(await ended.nextJson()).toMatchObject({ message: 'hello' });
    const renewed = await done(owner, RENEW, { uri });
    expect(await ended.closed).toMatchObject({ code: 4403 });
    expect(await closingOf(open.anonymous, uri)).toEqual({ code: 4403, reason: 'Not found.' });
    const socket = listen(renewed.uri);
    expect(await socket.nextJson()).toMatchObject({ message: 'hello' });
    expect(other.socket.readyState).toBe(other.socket.OPEN);
    socket.terminate();
    other.terminate();
    await open.close();
  });
});
