import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { numberOf } from './kit/ids.ts';
import type { Person } from './kit/person.ts';

const REACTIONS = 'reactions { emoji count viewerReacted users { username } }';
const OUTCOME = `__typename ... on ChatMessage { id ${REACTIONS} } ... on Error { message } ... on ValidationError { fields { path message } }`;
const ADD = `mutation ($id: ID!, $emoji: String!, $key: String) {
  it: addReaction(messageId: $id, emoji: $emoji, idempotencyKey: $key) { ${OUTCOME} }
}`;
const REMOVE = `mutation ($id: ID!, $emoji: String!) { it: removeReaction(messageId: $id, emoji: $emoji) { ${OUTCOME} } }`;
const NOT_FOUND = { __typename: 'NotFoundError', message: 'Not found.' };
const DELETED = { __typename: 'ConflictError', message: 'The message was deleted.' };
const EMOJIS = [...'😀😁😂😃😄😅😆😇😈😉😊😋😌😍😎😏😐😑😒😓😔'];

let app: TestApp;
let ann: Person;
let ben: Person;
let eve: Person;
let uri: string;
let id: string;

beforeAll(async () => {
  app = await startApp();
  [ann, ben, eve] = [await app.signUp('ann'), await app.signUp('ben'), await app.signUp('eve')];
  ({ uri } = (await ann.gql('mutation { createChatSession { uri } }')).createChatSession);
  await ben.gql('mutation ($uri: String!) { joinChat(uri: $uri) { __typename } }', { uri });
});
afterAll(() => app.close());
beforeEach(async () => {
  const { it } = await ann.gql(
    'mutation ($uri: String!) { it: sendMessage(uri: $uri, message: "hi") { ... on ChatMessage { id } } }',
    { uri },
  );
  id = it.id;
});

const add = async (person: Person, emoji: string, more: object = {}) =>
  (await person.gql(ADD, { id, emoji, ...more })).it;
const remove = async (person: Person, emoji: string) => (await person.gql(REMOVE, { id, emoji })).it;
const deleteIt = () => ann.gql('mutation ($id: ID!) { deleteMessage(id: $id) { __typename } }', { id });
const group = (emoji: string, viewerReacted: boolean, ...usernames: string[]) => ({
  emoji,
  count: usernames.length,
  viewerReacted,
  users: usernames.map((username) => ({ username })),
});

describe('the reactions to a message', () => {
  it('should be counted by emoji, in the order of their first use, for each viewer', async () => {
    await add(ben, '🎉');
    await add(ann, '👍');
    expect((await add(ben, '👍')).reactions).toEqual([group('🎉', true, 'ben'), group('👍', true, 'ann', 'ben')]);
    expect((await add(ann, '👍')).reactions).toEqual([group('🎉', false, 'ben'), group('👍', true, 'ann', 'ben')]);
    expect((await remove(ben, '🎉')).reactions).toEqual([group('👍', true, 'ann', 'ben')]);
    expect((await remove(ben, '🎉')).reactions).toHaveLength(1);
    expect((await remove(ann, '👍')).reactions).toEqual([group('👍', false, 'ben')]);
  });

  it('should be one, however often a user adds the same at once', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => add(ben, '👍')));
    expect(all.map(({ reactions }) => reactions)).toEqual(Array(8).fill([group('👍', true, 'ben')]));
  });

  it('should accept every kind of emoji', async () => {
    for (const emoji of ['👍', '👩🏽‍🚀', '🇺🇦', '1️⃣', '👨‍👩‍👧‍👦', '🏴󠁧󠁢󠁳󠁣󠁴󠁿']) {
      expect((await add(ann, emoji)).reactions).toEqual([group(emoji, true, 'ann')]);
      expect((await remove(ann, emoji)).reactions).toEqual([]);
    }
  });

  it('should be the same with and without the presentation selector', async () => {
    expect((await add(ann, '\u2764')).reactions).toEqual([group('\u2764\uFE0F', true, 'ann')]);
    expect((await add(ben, '\u2764\uFE0F')).reactions).toEqual([group('\u2764\uFE0F', true, 'ann', 'ben')]);
    expect((await remove(ann, '\u2764')).reactions).toEqual([group('\u2764\uFE0F', false, 'ben')]);
  });

  it('should refuse all other texts', async () => {
    const problem = { __typename: 'ValidationError', fields: [{ path: 'emoji', message: 'Enter exactly one emoji.' }] };
    const others = ['', 'a', '1', ' 👍', '👍👍', '👍a', ':+1:', '\u200D', '🇺', '\uD83D', '\0', '👍'.repeat(5000)];
    expect(await Promise.all(others.map((emoji) => add(ann, emoji)))).toMatchObject(others.map(() => problem));
    expect(await remove(ann, 'a')).toMatchObject(problem);
  });

  it('should be for participants, as long as they are', async () => {
    expect(await add(eve, '👍')).toEqual(NOT_FOUND);
    expect(await remove(eve, '👍')).toEqual(NOT_FOUND);
    expect(await app.anonymous.codeOf(ADD, { id, emoji: '👍' })).toBe('UNAUTHENTICATED');
    const dan = await app.signUp('dan');
    await dan.gql('mutation ($uri: String!) { joinChat(uri: $uri) { __typename } }', { uri });
    await add(dan, '👍');
    await dan.gql('mutation ($uri: String!) { leaveChat(uri: $uri) { __typename } }', { uri });
    expect(await remove(dan, '👍')).toEqual(NOT_FOUND);
    // What was said stays, and so does who reacted.
    expect((await add(ann, '🎉')).reactions).toEqual([group('👍', false, 'dan'), group('🎉', true, 'ann')]);
  });

  it('should not be added to a deleted message, nor shown', async () => {
    await add(ben, '👍');
    await deleteIt();
    expect(await add(ben, '🎉')).toEqual(DELETED);
    expect(await remove(ben, '👍')).toEqual(DELETED);
    const { chatSession } = await ann.gql(
      `query ($uri: String!) { chatSession(uri: $uri) { messages(last: 1) { nodes { ${REACTIONS} } } } }`,
      { uri },
    );
    expect(chatSession.messages.nodes).toEqual([{ reactions: [] }]);
  });

  it('should not be read again with a key by a user who has left the chat', async () => {
    await eve.gql('mutation ($uri: String!) { joinChat(uri: $uri) { __typename } }', { uri });
    await add(eve, '👍', { key: 'left' });
    await eve.gql('mutation ($uri: String!) { leaveChat(uri: $uri) { __typename } }', { uri });
    expect(await add(eve, '👍', { key: 'left' })).toEqual(NOT_FOUND);
  });

  it('should be added once with one key, although they were removed since', async () => {
    await add(ben, '👍', { key: 'once' });
    await remove(ben, '👍');
    expect((await add(ben, '👍', { key: 'once' })).reactions).toEqual([]);
    expect(await ben.codeOf(ADD, { id, emoji: '🎉', key: 'once' })).toBe('IDEMPOTENCY_MISMATCH');
  });
});

describe('the limits of reactions', () => {
  const refusal = (message: string) => ({ __typename: 'ConflictError', message });

  it('should be ten of a user, and twenty emojis, also for those who add them at once', async () => {
    const ten = await Promise.all(EMOJIS.slice(0, 12).map((emoji) => add(ann, emoji)));
    expect(ten.filter(({ __typename }) => __typename === 'ChatMessage')).toHaveLength(10);
    expect(ten).toContainEqual(refusal('A user can add at most 10 reactions to a message.'));
    const { reactions } = await add(ben, '🎉');
    expect(reactions).toHaveLength(11);
    const message = numberOf(id);
    for (const emoji of EMOJIS.slice(12, 21)) {
      await app.sql(
        `INSERT INTO "ChatReaction" ("messageId", "chatSessionId", "userId", "emoji")
         SELECT ${message}, "chatSessionId", "userId", ? FROM "ChatMessage" WHERE "id" = ${message}`,
        emoji,
      );
    }
    expect(await add(ben, '👍')).toEqual(refusal('A message can have reactions with at most 20 different emojis.'));
    expect((await add(ben, EMOJIS[20] ?? '')).reactions.at(-1)).toMatchObject({ count: 2, viewerReacted: true });
  });

  it('should be two thousand of all users, whose first ones are shown', async () => {
    const message = numberOf(id);
    await app.sql(
      `WITH RECURSIVE "n"("i") AS (SELECT 1 UNION ALL SELECT "i" + 1 FROM "n" WHERE "i" < 1999)
       INSERT INTO "User" ("username", "usernameKey", "passwordHash") SELECT 'u' || "i", 'u' || "i", '!' FROM "n"`,
    );
    await app.sql(
      `INSERT INTO "ChatReaction" ("messageId", "chatSessionId", "userId", "emoji")
       SELECT ${message}, (SELECT "chatSessionId" FROM "ChatMessage" WHERE "id" = ${message}), "id", '👍'
       FROM "User" WHERE "passwordHash" = '!' ORDER BY "id"`,
    );
    expect((await add(ben, '👍')).reactions).toMatchObject([{ count: 2000, viewerReacted: true }]);
    expect(await add(ann, '👍')).toEqual(refusal('A message can have at most 2000 reactions.'));
    const users = (first: number) =>
      `query ($uri: String!) { chatSession(uri: $uri) { messages(last: 1) { nodes { reactions { users(first: ${first}) { username } } } } } }`;
    const { chatSession } = await ann.gql(users(100), { uri });
    const names = chatSession.messages.nodes[0].reactions[0].users.map(
      ({ username }: { username: string }) => username,
    );
    expect(names).toEqual(Array.from({ length: 100 }, (_, index) => `u${index + 1}`));
    for (const first of [-1, 101]) {
      expect(await ann.codeOf(users(first), { uri })).toBe('VALIDATION');
    }
  });
});
