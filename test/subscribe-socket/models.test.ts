import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../src/database/client.ts';
import { startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { type Frame, LiveClient } from './client.ts';

let app: TestApp;
let database: Database;
let ann: Person;
let ben: Person;
let eve: Person;
let sue: Person;
const people: Record<string, { id: number; body: object }> = {};

beforeAll(async () => {
  app = await startApp();
  database = app.app.services.database;
  [ann, ben, eve] = [await app.signUp('ann'), await app.signUp('ben'), await app.signUp('eve')];
  sue = await app.signUpStaff('sue');
  for (const { id, username } of await database.user.findMany()) {
    const email = `${username}@example.org`;
    await database.user.update({ where: { id }, data: { email, firstName: username.toUpperCase() } });
    people[username] = { id, body: { id, username, email, first_name: username.toUpperCase(), last_name: '' } };
  }
});
afterAll(() => app.close());

const idOf = (username: string): number => people[username]?.id ?? 0;
const bodyOf = (username: string): object | undefined => people[username]?.body;
const list = (id: unknown, model: string, view_kwargs: object = {}): Frame => ({
  type: 'subscribe',
  id,
  model,
  action: 'list',
  view_kwargs,
});

let chats = 0;
async function makeChat(owner: string, ...members: string[]) {
  chats += 1;
  return database.chatSession.create({
    data: {
      uri: `${String(chats).padStart(12, '0')}400`,
      ownerId: idOf(owner),
      members: { create: members.map((name) => ({ userId: idOf(name) })) },
    },
  });
}
const say = (chatSessionId: number, username: string, message: string) =>
  database.chatMessage.create({ data: { chatSessionId, userId: idOf(username), message } });

describe('what is shown', () => {
  it('of todos and lists', async () => {
    const client = await LiveClient.open(app);
    await client.quietly(list('todo', 'todos.Todo'), list('task', 'todolist.Task'), list('list', 'todolist.List'));
    const made = await database.todoList.create({
      data: { name: 'Errands', todos: { create: [{ title: 'one' }, { title: 'two', completed: true }] } },
    });
    const broadcasts = await Promise.all(Array.from({ length: 5 }, () => client.next()));
    const shown = (id: string) => broadcasts.filter((frame) => frame['id'] === id).map(({ instance }) => instance);
    const [one, two] = await database.todo.findMany({ where: { listId: made.id }, orderBy: { id: 'asc' } });
    expect(shown('todo')).toEqual([
      { id: one?.id, title: 'one', completed: false },
      { id: two?.id, title: 'two', completed: true },
    ]);
    const tasks = [
      { id: one?.id, text: 'one', done: false },
      { id: two?.id, text: 'two', done: true },
    ];
    expect(shown('task')).toEqual(tasks);
    expect(shown('list')).toEqual([{ id: made.id, name: 'Errands', tasks }]);
    await client.close();
  });

  it('of posts, as their path shows them', async () => {
    const client = await LiveClient.open(app, ann);
    await client.quietly(list(1, 'posts.Post'));
    const createdAt = new Date('2018-10-28T12:00:00Z');
    const { id } = await database.post.create({ data: { title: 'Ünï', content: 'text', createdAt } });
    const broadcast = await client.next();
    const response = await ann.fetch(`/api/posts/${id}/`);
    expect(broadcast).toMatchObject({ action: 'CREATED', instance: { created_at: '2018-10-28T12:00:00Z' } });
    expect(JSON.stringify(broadcast['instance'])).toBe(await response.text());
    await client.close();
  });

  it('of notes, with their id', async () => {
    const client = await LiveClient.open(app);
    await client.quietly(list(1, 'notes.Note'));
    const note = { title: 'A note', description: 'd', createdAt: '2017-08-23 00:00', createdBy: 'ann', priority: 4 };
    const { id } = await database.note.create({ data: note });
    expect((await client.next())['instance']).toEqual({
      id,
      title: 'A note',
      description: 'd',
      created_at: '2017-08-23 00:00',
      created_by: 'ann',
      priority: 4,
    });
    await client.close();
  });

  it('of chats and messages, to those who take part', async () => {
    const client = await LiveClient.open(app, ben);
    await client.quietly(list('chat', 'chat.ChatSession'), list('message', 'chat.ChatSessionMessage'));
    const chat = await makeChat('ann', 'ben');
    const { id, uri } = chat;
    const instance = { id, uri, owner: bodyOf('ann'), members: [bodyOf('ann'), bodyOf('ben')] };
    expect(await client.next()).toEqual({
      type: 'broadcast',
      id: 'chat',
      model: 'chat.ChatSession',
      action: 'CREATED',
      instance,
    });

    const said = await say(id, 'ann', 'Hi\n there ');
    expect(await client.next()).toEqual({
      type: 'broadcast',
      id: 'message',
      model: 'chat.ChatSessionMessage',
      action: 'CREATED',
      instance: { id: said.id, user: bodyOf('ann'), message: 'Hi\n there ' },
    });
    await client.close();
  });
});

describe('chats', () => {
  it('send their members who joins and leaves', async () => {
    const chat = await makeChat('ann', 'ben');
    const client = await LiveClient.open(app, ann);
    await client.quietly({ request_id: 1, model: 'chat.ChatSession', value: chat.id });
    const names = async () => {
      const { action, instance } = (await client.next()) as { action: string; instance: { members: object[] } };
      return [action, ...instance.members.map((member) => (member as { username: string }).username)];
    };
    await database.chatMember.create({ data: { chatSessionId: chat.id, userId: idOf('eve') } });
    expect(await names()).toEqual(['UPDATED', 'ann', 'ben', 'eve']);
    await database.chatMember.deleteMany({ where: { chatSessionId: chat.id, userId: idOf('ben') } });
    expect(await names()).toEqual(['UPDATED', 'ann', 'eve']);
    await client.close();
  });

  it('come and go with the membership of the viewer', async () => {
    const chat = await makeChat('ann');
    const client = await LiveClient.open(app, eve);
    const frame = { model: 'chat.ChatSession', value: chat.id };
    await client.quietly({ request_id: 'first', ...frame }, list('second', 'chat.ChatSession'));
    expect(await client.ask({ ...list(3, 'chat.ChatSession'), action: 'retrieve', lookup_by: chat.id })).toMatchObject({
      code: 404,
    });
    await database.chatSession.update({ where: { id: chat.id }, data: { updatedAt: new Date() } });
    await client.calm();

    await database.chatMember.create({ data: { chatSessionId: chat.id, userId: idOf('eve') } });
    const events = [await client.next(), await client.next()];
    expect(events.map(({ action }) => action)).toEqual(['CREATED', 'CREATED']);
    await client.quietly({ ...list(3, 'chat.ChatSession'), action: 'retrieve', lookup_by: chat.id });
    await database.chatMember.deleteMany({ where: { chatSessionId: chat.id, userId: idOf('eve') } });
    const left = [await client.next(), await client.next(), await client.next()];
    for (const broadcast of left) {
      expect(broadcast).toMatchObject({ action: 'DELETED', instance: { pk: chat.id, id: chat.id } });
    }
    await database.chatMember.create({ data: { chatSessionId: chat.id, userId: idOf('ben') } });
    await client.calm();
    await client.close();
  });

  it('are no affair of staff', async () => {
    const chat = await makeChat('ann');
    const client = await LiveClient.open(app, sue);
    await client.quietly(list(1, 'chat.ChatSession'), list(2, 'chat.ChatSessionMessage'));
    await say(chat.id, 'ann', 'secret');
    await database.chatMember.create({ data: { chatSessionId: chat.id, userId: idOf('ben') } });
    await client.calm();
    await client.close();
  });
});

describe('messages', () => {
  it('come from all chats that the viewer takes part in, and from no other', async () => {
    const [mine, joined, other] = [await makeChat('eve'), await makeChat('ann', 'eve'), await makeChat('ann', 'ben')];
    const client = await LiveClient.open(app, eve);
    await client.quietly(list(1, 'chat.ChatSessionMessage'));
    for (const [chat, message] of [
      [other, 'not received'],
      [mine, 'one'],
      [other, 'not received'],
      [joined, 'two'],
    ] as const) {
      await say(chat.id, 'ann', message);
    }
    expect(await client.next()).toMatchObject({ instance: { message: 'one' } });
    expect(await client.next()).toMatchObject({ instance: { message: 'two' } });
    await client.calm();
    await client.close();
  });

  it('begin with a membership and end with it', async () => {
    const chat = await makeChat('ann');
    const client = await LiveClient.open(app, eve);
    await client.quietly(list('all', 'chat.ChatSessionMessage'), {
      request_id: 'group',
      model: 'chat.ChatSessionMessage',
      group_by: 'chat_session_id',
      value: chat.id,
    });
    await say(chat.id, 'ann', 'before');
    await client.calm();
    await database.chatMember.create({ data: { chatSessionId: chat.id, userId: idOf('eve') } });
    const said = await say(chat.id, 'eve', 'within');
    for (const broadcast of [await client.next(), await client.next()]) {
      expect(broadcast).toMatchObject({ action: 'CREATED', instance: { message: 'within' } });
    }
    await database.chatMessage.update({ where: { id: said.id }, data: { message: 'corrected' } });
    for (const broadcast of [await client.next(), await client.next()]) {
      expect(broadcast).toMatchObject({ action: 'UPDATED', instance: { message: 'corrected' } });
    }
    await database.chatMember.deleteMany({ where: { chatSessionId: chat.id, userId: idOf('eve') } });
    await say(chat.id, 'ann', 'after');
    await database.chatMessage.delete({ where: { id: said.id } });
    await client.calm();
    await client.close();
  });

  it('of one chat are refused to whom it is not for, and say so when that changes', async () => {
    const chat = await makeChat('ann', 'eve');
    const client = await LiveClient.open(app, eve);
    const stranger = await LiveClient.open(app, ben);
    const frame = list(1, 'chat.ChatSessionMessage', { chat_session_id: chat.id });
    const refusal = {
      type: 'error',
      id: 1,
      code: 403,
      message: 'Unauthorized to subscribe to chat.ChatSessionMessage for action list',
    };
    expect(await stranger.ask(frame)).toEqual(refusal);
    await client.quietly(frame);
    await say(chat.id, 'ann', 'received');
    expect(await client.next()).toMatchObject({ action: 'CREATED', instance: { message: 'received' } });
    await database.chatMember.deleteMany({ where: { chatSessionId: chat.id } });
    expect(await client.next()).toEqual(refusal);
    await say(chat.id, 'ann', 'not received');
    await client.calm();
    expect(await client.ask({ type: 'unsubscribe', id: 1 })).toMatchObject({ code: 404 });
    await Promise.all([client.close(), stranger.close()]);
  });

  it('are retrieved one by one', async () => {
    const chat = await makeChat('ann', 'eve');
    const { id } = await say(chat.id, 'ann', 'one');
    const client = await LiveClient.open(app, eve);
    const frame = {
      ...list(1, 'chat.ChatSessionMessage', { chat_session: chat.id }),
      action: 'retrieve',
      lookup_by: id,
    };
    await client.quietly(frame);
    await say(chat.id, 'ann', 'another');
    await database.chatMessage.delete({ where: { id } });
    expect(await client.next()).toMatchObject({ action: 'DELETED', instance: { pk: id, id } });
    await client.close();
  });

  it('of a chat that is deleted end with it', async () => {
    const chat = await makeChat('ann', 'eve');
    const client = await LiveClient.open(app, eve);
    await client.quietly(
      list('chat', 'chat.ChatSession'),
      list(1, 'chat.ChatSessionMessage', { chat_session: chat.id }),
    );
    await database.chatSession.delete({ where: { id: chat.id } });
    const received = [await client.next(), await client.next()];
    expect(received).toContainEqual(expect.objectContaining({ id: 'chat', action: 'DELETED' }));
    expect(received).toContainEqual(expect.objectContaining({ id: 1, code: 403 }));
    await client.calm();
    await client.close();
  });
});

describe('a change of the viewer’s own staff role', () => {
  it('has subscriptions start over, and sees the rest once it has', async () => {
    const max = await app.signUp('max');
    const { id } = await database.user.findFirstOrThrow({ where: { username: 'max' } });
    const client = await LiveClient.open(app, max);
    await client.quietly(list(1, 'notes.Note'), { request_id: 2, model: 'posts.Post', value: 1 });
    await database.user.update({ where: { id }, data: { isStaff: true } });
    const errors = [await client.next(), await client.next()];
    expect(errors).toContainEqual(expect.objectContaining({ type: 'error', id: 1, code: 410 }));
    expect(errors).toContainEqual(expect.objectContaining({ type: 'error', request_id: 2, code: 410 }));
    await client.quietly(list(1, 'notes.Note'));
    const note = { title: 'Of Ann', description: '', createdAt: '', createdBy: '', priority: 1, ownerId: idOf('ann') };
    await database.note.create({ data: note });
    expect(await client.next()).toMatchObject({ id: 1, action: 'CREATED', instance: { title: 'Of Ann' } });
    await client.close();
  });
});

describe('who sees what', () => {
  const VIEWERS = ['anonymous', 'ann', 'ben', 'eve', 'sue'] as const;
  const MODELS = ['todos.Todo', 'todolist.List', 'notes.Note', 'posts.Post', 'chat.ChatSessionMessage'];

  it.each(VIEWERS)('is for %s what the rest of the server says', async (name) => {
    const chat = await makeChat('ann', 'ben');
    const client = await LiveClient.open(app, { anonymous: app.anonymous, ann, ben, eve, sue }[name]);
    for (const model of MODELS) {
      client.raw.send(list('wanted', model));
    }
    await client.received();
    const ownerId = idOf('ann');
    const note = { description: '', createdAt: '', createdBy: '', priority: 1 };
    await database.todo.createMany({ data: [{ title: 'her todo', ownerId }, { title: 'todo of all' }] });
    await database.todoList.create({ data: { name: 'her list', ownerId } });
    await database.note.createMany({
      data: [
        { ...note, title: 'her note', ownerId },
        { ...note, title: 'note of all' },
      ],
    });
    await database.post.create({ data: { title: 'post', content: '…', authorId: ownerId } });
    await say(chat.id, 'ann', 'message');
    const received = (await client.received()) as { instance: { title?: string; name?: string; message?: string } }[];
    const seen = received.map(({ instance }) => instance.title ?? instance.name ?? instance.message);
    const shared = ['todo of all', 'note of all'];
    const hers = ['her todo', 'her list', 'her note'];
    const expected = {
      anonymous: shared,
      ann: [...shared, ...hers, 'post', 'message'],
      ben: [...shared, 'post', 'message'],
      eve: [...shared, 'post'],
      sue: [...shared, ...hers, 'post'],
    }[name];
    // The note that ends the wait is one for all, too.
    expect(seen.filter((title) => title !== 'the last of all').sort()).toEqual(expected.sort());
    await client.close();
  });
});
