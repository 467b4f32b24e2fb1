import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { composeOutgoing } from '../src/chat/broker/outgoing-messages.ts';
import { startApp, type TestApp } from './kit/app.ts';
import { numberOf } from './kit/ids.ts';
import type { Person } from './kit/person.ts';

const MESSAGE = `... on ChatMessage {
  id message editedAt deletedAt user { username } replyTo { id message deletedAt } mentions { username }
  reactions { emoji count viewerReacted users { username } }
}`;
const OUTCOME = `__typename ${MESSAGE} ... on Error { message } ... on ValidationError { fields { path message } }`;
const SEND = `mutation ($uri: String!, $message: String!, $replyTo: ID, $key: String) {
  it: sendMessage(uri: $uri, message: $message, replyTo: $replyTo, idempotencyKey: $key) { ${OUTCOME} }
}`;
const EDIT = `mutation ($id: ID!, $message: String!) { it: updateMessage(id: $id, message: $message) { ${OUTCOME} } }`;
const DELETE = `mutation ($id: ID!) {
  it: deleteMessage(id: $id) { __typename ${MESSAGE} ... on Error { message } }
}`;
const READ = `query ($uri: String!) { chatSession(uri: $uri) { messages(first: 100) { nodes { ${MESSAGE.slice('... on ChatMessage'.length).trim().slice(1, -1)} } } } }`;

const NOT_FOUND = { __typename: 'NotFoundError', message: 'Not found.' };
const DELETED = { __typename: 'ConflictError', message: 'The message was deleted.' };

let app: TestApp;
let ann: Person;
let ben: Person;
let eve: Person;
let uri: string;

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  [ben, eve] = [await app.signUp('ben'), await app.signUp('eve')];
  await app.signUp('cat.');
});
afterAll(() => app.close());

/** A chat of Ann's with Ben and Cat; Eve is in none. */
beforeEach(async () => {
  ({ uri } = await open());
});

async function open(): Promise<{ uri: string }> {
  const { createChatSession } = await ann.gql('mutation { createChatSession { uri } }');
  await ann.gql(
    `mutation ($uri: String!) { addChatMembers(uri: $uri, usernames: ["ben", "cat."]) { __typename } }`,
    createChatSession,
  );
  return createChatSession;
}

const change = async (person: Person, mutation: string, variables: Record<string, unknown>) =>
  (await person.gql(mutation, variables)).it;
const send = (person: Person, message: string, more: Record<string, unknown> = {}) =>
  change(person, SEND, { uri, message, ...more });
const edit = (person: Person, id: string, message: string) => change(person, EDIT, { id, message });
const remove = (person: Person, id: string) => change(person, DELETE, { id });
const read = async (person: Person, chat = uri) => (await person.gql(READ, { uri: chat })).chatSession.messages.nodes;
const leave = (person: Person) =>
  person.gql('mutation ($uri: String!) { leaveChat(uri: $uri) { __typename } }', { uri });
const problem = (path: string, message: string) => ({ __typename: 'ValidationError', fields: [{ path, message }] });

describe('the text of a message', () => {
  it('should be changed by its sender only, with the time', async () => {
    const { id, editedAt } = await send(ann, 'helo');
    expect(editedAt).toBeNull();
    expect(await edit(ann, id, ' hello\n')).toMatchObject({ id, message: ' hello\n', editedAt: expect.any(String) });
    expect(await ben.codeOf(EDIT, { id, message: 'x' })).toBe('FORBIDDEN');
    expect(await edit(eve, id, 'x')).toEqual(NOT_FOUND);
    expect(await app.anonymous.codeOf(EDIT, { id, message: 'x' })).toBe('UNAUTHENTICATED');
    for (const unknown of ['0', '999999', 'x', '-1', '9'.repeat(30)]) {
      expect(await edit(ann, unknown, 'x')).toEqual(NOT_FOUND);
    }
    expect(await edit(ann, id, '')).toMatchObject(problem('message', 'This field may not be blank.'));
    expect(await edit(ann, id, 'x'.repeat(2001))).toMatchObject(
      problem('message', 'Ensure this field has no more than 2000 characters.'),
    );
    expect(await edit(ann, id, '\0')).toMatchObject(problem('message', 'Null characters are not allowed.'));
    expect(await read(ben)).toMatchObject([{ id, message: ' hello\n' }]);
  });

  it('should not count as edited when it stays the same', async () => {
    const { id } = await send(ann, 'same');
    expect(await edit(ann, id, 'same')).toMatchObject({ message: 'same', editedAt: null });
  });

  it('should no longer be changed by a sender who left', async () => {
    const { id } = await send(ben, 'bye');
    await leave(ben);
    expect(await edit(ben, id, 'x')).toEqual(NOT_FOUND);
    expect(await remove(ben, id)).toEqual(NOT_FOUND);
    expect(await remove(ann, id)).toMatchObject({ id, message: '' });
  });
});

describe('a deleted message', () => {
  it('should keep its place without its text, mentions and reactions', async () => {
    const [first, second] = [await send(ann, 'one'), await send(ben, 'two, @ann')];
    await send(ann, 'three');
    await ann.gql('mutation ($id: ID!) { addReaction(messageId: $id, emoji: "👍") { __typename } }', second);
    expect(await remove(ben, second.id)).toMatchObject({ id: second.id, message: '', deletedAt: expect.any(String) });
    const all = await read(ann);
    expect(all.map(({ message }: { message: string }) => message)).toEqual(['one', '', 'three']);
    expect(all[1]).toMatchObject({ user: { username: 'ben' }, mentions: [], reactions: [] });
    expect(all[0].id).toBe(first.id);
    const { deletedAt } = all[1];
    expect(await remove(ann, second.id)).toMatchObject({ deletedAt });
    expect(await edit(ben, second.id, 'x')).toEqual(DELETED);
  });

  it('should be deleted by its sender or the owner of the chat only', async () => {
    const { id } = await send(ann, 'mine');
    expect(await ben.codeOf(DELETE, { id })).toBe('FORBIDDEN');
    expect(await remove(eve, id)).toEqual(NOT_FOUND);
    expect(await app.anonymous.codeOf(DELETE, { id })).toBe('UNAUTHENTICATED');
    expect(await read(ben)).toMatchObject([{ message: 'mine', deletedAt: null }]);
    expect(await remove(ann, (await send(ben, 'his')).id)).toMatchObject({ message: '' });
  });

  it('should not be found by the words that it had', async () => {
    const { id } = await send(ann, 'quincunx');
    const search = async () =>
      (await ben.gql('{ search(query: "quincunx", types: [CHAT_MESSAGE]) { nodes { rank } } }')).search.nodes.length;
    expect(await search()).toBe(1);
    await remove(ann, id);
    expect(await search()).toBe(0);
  });

  it('should not be published to RabbitMQ any more', async () => {
    const { services } = app.app;
    const start = await services.feed.refresh();
    const { id } = await send(ben, 'deleted while the broker is down');
    await send(ben, 'kept');
    await remove(ben, id);
    await app.delivered();
    const { changes } = await services.feed.read(['ChatMessage'], start, false);
    const inserts = changes.filter(({ action }) => action === 'INSERT');
    const failures: unknown[] = [];
    const messages = await composeOutgoing(services, inserts, (error) => failures.push(error));
    expect(inserts).toHaveLength(2);
    expect(messages.map(({ body }) => JSON.parse(String(body)).message)).toEqual(['kept']);
    expect(failures).toEqual([]);
  });

  it('should be absent in the REST history', async () => {
    const messages: { id: string }[] = [];
    for (const text of ['a', 'b', 'c', 'd']) {
      messages.push(await send(ann, text));
    }
    await remove(ann, messages[1]?.id ?? '');
    const history = async (query: string): Promise<string[]> => {
      const response = await ann.fetch(`/api/chats/${uri}/messages/${query}`);
      return ((await response.json()) as { messages: { message: string }[] }).messages.map(({ message }) => message);
    };
    expect(await history('')).toEqual(['a', 'c', 'd']);
    expect(await history('?limit=2')).toEqual(['a', 'c']);
  });

  it('should be changed or deleted, whatever comes first, when both are asked for at once', async () => {
    for (let round = 0; round < 5; round++) {
      const { id } = await send(ann, 'text, @ben');
      const [edited, removed] = await Promise.all([edit(ann, id, 'other, @cat.'), remove(ann, id)]);
      expect(['ChatMessage', 'ConflictError']).toContain(edited.__typename);
      expect(removed.__typename).toBe('ChatMessage');
      expect((await read(ann)).at(-1)).toMatchObject({ id, message: '', mentions: [] });
      expect(
        await app.sql(`SELECT "id" FROM "ChatMention" WHERE "messageId" = (SELECT max("id") FROM "ChatMessage")`),
      ).toEqual([]);
    }
  });
});

describe('a reply', () => {
  it('should show the message that it replies to, also after that was deleted', async () => {
    const { id } = await send(ann, 'question');
    expect(await send(ben, 'answer', { replyTo: id })).toMatchObject({ replyTo: { id, message: 'question' } });
    await remove(ann, id);
    expect((await read(ben))[1]).toMatchObject({
      message: 'answer',
      replyTo: { id, message: '', deletedAt: expect.any(String) },
    });
  });

  it('should be to a message of the same chat that was not deleted', async () => {
    const { id } = await send(ann, 'here');
    const elsewhere = await open();
    const refusal = problem('replyTo', 'There is no such message in this chat.');
    expect(await send(ann, 'there', { uri: elsewhere.uri, replyTo: id })).toMatchObject(refusal);
    for (const replyTo of ['x', '0', '999999']) {
      expect(await send(ann, 'nowhere', { replyTo })).toMatchObject(refusal);
    }
    await remove(ann, id);
    expect(await send(ann, 'late', { replyTo: id })).toMatchObject(refusal);
    expect(await send(ann, 'none', { replyTo: null })).toMatchObject({ replyTo: null });
  });

  it('should not show a message of another chat, whatever a shell writes', async () => {
    const secret = await send(ann, 'secret');
    const other = await open();
    const { id } = await send(ann, 'open', { uri: other.uri });
    await app.sql(`UPDATE "ChatMessage" SET "replyToId" = ${numberOf(secret.id)} WHERE "id" = ${numberOf(id)}`);
    expect((await read(ann, other.uri))[0]).toMatchObject({ message: 'open', replyTo: null });
  });

  it('should be returned for the key as the viewer may see it now', async () => {
    const { id } = await send(ann, 'lunch?');
    const sent = await send(ben, 'yes', { replyTo: id, key: 'k2' });
    await remove(ann, sent.id);
    expect(await send(ben, 'yes', { replyTo: id, key: 'k2' })).toMatchObject({
      id: sent.id,
      message: '',
      deletedAt: expect.any(String),
    });
    await leave(ben);
    expect(await send(ben, 'yes', { replyTo: id, key: 'k2' })).toEqual(NOT_FOUND);
  });

  it('should be sent once with one key', async () => {
    const { id } = await send(ann, 'question');
    const sent = [
      await send(ben, 'yes @ann', { replyTo: id, key: 'k1' }),
      await send(ben, 'yes @ann', { replyTo: id, key: 'k1' }),
    ];
    expect(sent[0]).toMatchObject({ mentions: [{ username: 'ann' }] });
    expect(sent[1]).toEqual(sent[0]);
    const mismatch = { uri, message: 'yes @ann', key: 'k1' };
    expect(await ben.codeOf(SEND, mismatch)).toBe('IDEMPOTENCY_MISMATCH');
    expect(await read(ann)).toHaveLength(2);
  });
});

describe('mentions', () => {
  const names = ({ mentions }: { mentions: readonly { username: string }[] }) =>
    mentions.map(({ username }) => username);

  it('should be the participants whose names follow an @', async () => {
    expect(names(await send(ben, 'hi @ANN, @cat. and @eve; x@ben'))).toEqual(['ann', 'cat.']);
    expect(names(await send(ann, '@cat @annabel'))).toEqual([]);
    await leave(ben);
    expect(names(await send(ann, '@ben @cat.'))).toEqual(['cat.']);
  });

  it('should not include the sender, nor be counted for them', async () => {
    const { id } = await send(ann, '@ann @ben');
    expect(names((await read(ben))[0])).toEqual(['ben']);
    expect(names(await edit(ann, id, '@ann @cat.'))).toEqual(['cat.']);
    const { chatSession } = await ann.gql(`{ chatSession(uri: "${uri}") { unreadMentions } }`);
    expect(chatSession.unreadMentions).toBe(0);
  });

  it('should follow the text when it is edited, and keep the rows that stay', async () => {
    const { id } = await send(ben, '@ann');
    const rows = () => app.sql(`SELECT * FROM "ChatMention" ORDER BY "id" DESC LIMIT 2`);
    const [kept] = await rows();
    expect(names(await edit(ben, id, '@cat. and @ann'))).toEqual(['ann', 'cat.']);
    expect((await rows())[1]).toEqual(kept);
    expect(names(await edit(ben, id, '@cat.'))).toEqual(['cat.']);
    expect(names(await edit(ben, id, 'nobody'))).toEqual([]);
  });

  it('should be found in messages of REST, too', async () => {
    await ben.fetch(`/api/chats/${uri}/messages/`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ message: 'hello @ann' }),
    });
    expect(names((await read(ann))[0])).toEqual(['ann']);
  });

  it('should survive a text that is full of them', async () => {
    expect(names(await send(ben, '@ann'.repeat(500)))).toEqual(['ann']);
    expect(names(await send(ben, '@'.repeat(2000)))).toEqual([]);
    expect(names(await send(ben, ' @ann.'.repeat(333)))).toEqual(['ann']);
  });
});

describe('the title of a chat', () => {
  const CREATE = 'mutation ($title: String) { createChatSession(title: $title) { uri title } }';
  const UPDATE = `mutation ($uri: String!, $title: String) {
    it: updateChat(uri: $uri, title: $title) { __typename ... on ChatSession { title } ... on ValidationError { fields { path message } } ... on Error { message } }
  }`;
  const rename = (person: Person, title?: string | null) =>
    change(person, UPDATE, { uri, ...(title !== undefined && { title }) });

  it('should be given at the creation or later, and be removed by null', async () => {
    expect((await ann.gql(CREATE, { title: '  Garden party ' })).createChatSession.title).toBe('Garden party');
    expect((await ann.gql(CREATE)).createChatSession.title).toBeNull();
    expect(await rename(ann, '🌳'.repeat(100))).toMatchObject({ title: '🌳'.repeat(100) });
    expect(await rename(ann)).toMatchObject({ title: '🌳'.repeat(100) });
    expect(await rename(ann, null)).toMatchObject({ title: null });
  });

  it('should have 1 to 100 characters', async () => {
    for (const [title, message] of [
      ['', 'This field may not be blank.'],
      [' ', 'This field may not be blank.'],
      ['x'.repeat(101), 'Ensure this field has no more than 100 characters.'],
      ['a\0b', 'Null characters are not allowed.'],
    ] as const) {
      expect(await rename(ann, title)).toMatchObject(problem('title', message));
      expect(await ann.codeOf(CREATE, { title })).toBe('VALIDATION');
    }
  });

  it('should be changed by the owner only', async () => {
    expect(await ben.codeOf(UPDATE, { uri, title: 'x' })).toBe('FORBIDDEN');
    expect(await rename(eve, 'x')).toEqual(NOT_FOUND);
    expect(await app.anonymous.codeOf(UPDATE, { uri, title: 'x' })).toBe('UNAUTHENTICATED');
  });
});
