import { newChatUri } from '../chat/service.ts';
import type { Database } from '../database/client.ts';
import { ConflictError } from '../errors.ts';
import { hashPassword } from '../identity/passwords.ts';
import { usernameKey, usernameSkeleton } from '../identity/usernames.ts';
import type { Command } from '../slice.ts';

const DEMO_PASSWORD = 'tidings-demo';
const DEMO_USERS = [
  { username: 'ann', firstName: 'Ann', lastName: 'Archer' },
  { username: 'ben', firstName: 'Ben', lastName: 'Baker' },
  { username: 'cho', firstName: 'Cho', lastName: 'Carver' },
];
const ROWS_PER_STATEMENT = 1000;
const MAX_ROWS = 10_000_000;

/**
 * Fills the database with a small workspace, and for benchmarks with about the given number of rows. The demo users share a public password, so use it only
 * for development.
 *
 * @throws {ConflictError} when the demo users exist already
 */
export const seed: Command = {
  synopsis: 'seed [rows]',
  summary: 'fills the database with a small workspace, or with about this many rows',
  run: ({ args: [rows], terminal: { stdout }, withServices }) => {
    const count = rows === undefined ? null : Number(rows);
    if (count !== null && !(Number.isInteger(count) && count > 0 && count <= MAX_ROWS)) {
      throw new ConflictError(`The number of rows must be a whole number between 1 and ${MAX_ROWS}.`);
    }
    return withServices(async ({ database }) => {
      const users = await seedUsers(database);
      await seedWorkspace(database, users);
      if (count !== null) {
        await seedRows(database, users, count, (done) => stdout.write(`${done} of ${count} rows\n`));
      }
      stdout.write(`Seeded. Sign in as ann, ben or cho with the password ${DEMO_PASSWORD}.\n`);
      return 0;
    });
  },
};

async function seedUsers(database: Database): Promise<[number, number, number]> {
  if ((await database.user.count({ where: { usernameKey: { in: DEMO_USERS.map(({ username }) => username) } } })) > 0) {
    throw new ConflictError('The demo users exist already. Use an empty database.');
  }
  const passwordHash = await hashPassword(DEMO_PASSWORD);
  const users = await database.user.createManyAndReturn({
    data: DEMO_USERS.map((user) => ({
      ...user,
      usernameKey: usernameKey(user.username),
      usernameSkeleton: usernameSkeleton(user.username),
      email: `${user.username}@example.com`,
      passwordHash,
    })),
  });
  const [ann, ben, cho] = users.map(({ id }) => id);
  if (ann === undefined || ben === undefined || cho === undefined) {
    throw new Error('The demo users were not created.');
  }
  return [ann, ben, cho];
}

async function seedWorkspace(database: Database, [ann, ben, cho]: readonly [number, number, number]): Promise<void> {
  const launch = await database.todoList.create({ data: { name: 'Launch', ownerId: ann } });
  const garden = await database.todoList.create({ data: { name: 'Garden', ownerId: ben } });
  await database.todo.createMany({
    data: [
      { title: 'Write the announcement', description: 'One page, no adjectives.', listId: launch.id, ownerId: ann },
      { title: 'Ask Ben to read it', listId: launch.id, ownerId: ann },
      { title: 'Book the room', completed: true, listId: launch.id, ownerId: ann },
      { title: 'Prune the apple tree', listId: garden.id, ownerId: ben },
      { title: 'Order seeds', completed: true, listId: garden.id, ownerId: ben },
      { title: 'Call the dentist', ownerId: cho },
      { title: 'Water the office plants', description: 'Nobody owns this one: everybody sees it.' },
    ],
  });
  await database.post.createMany({
    data: [
      {
        title: 'Why we moved to one server',
        content: 'Five small services had five ways to lose a message.',
        authorId: ann,
      },
      { title: 'Notes from the garden', content: 'The quinces were late this year, and better for it.', authorId: ben },
    ],
  });
  const chat = await database.chatSession.create({ data: { uri: newChatUri(), ownerId: ann } });
  await database.chatMember.createMany({ data: [ben, cho].map((userId) => ({ chatSessionId: chat.id, userId })) });
  await database.chatMessage.createMany({
    data: [
      { chatSessionId: chat.id, userId: ann, message: 'The draft is up. Be unkind.' },
      { chatSessionId: chat.id, userId: ben, message: 'Second paragraph says the first one again.' },
      { chatSessionId: chat.id, userId: cho, message: 'And I like it that way :)' },
    ],
  });
  await database.note.createMany({
    data: [
      { title: 'Gate code', description: 'Ask Cho', priority: 1, createdAt: '2026-11-20 09:00', createdBy: 'ann' },
      {
        title: 'Coffee',
        description: 'Beans are in the left cupboard',
        priority: 3,
        createdAt: '2026-11-20 09:05',
        createdBy: 'ben',
        ownerId: ben,
      },
    ],
  });
}

const VERBS = ['Write', 'Read', 'Fix', 'Call', 'Plan', 'Order', 'Clean', 'Measure'];
const THINGS = ['the report', 'the engine', 'the bakery', 'the roof', 'the index', 'the garden', 'the piano'];

function phrase(number: number): string {
  return `${VERBS[number % VERBS.length]} ${THINGS[number % THINGS.length]} (${number})`;
}

/** Creates about `count` rows: 60 % todos, in lists of fifty, 20 % messages of one chat, 10 % posts and 10 % notes. */
async function seedRows(
  database: Database,
  users: readonly [number, number, number],
  count: number,
  progress: (done: number) => void,
): Promise<void> {
  const ownerOf = (number: number): number => users[number % users.length] ?? users[0];
  const chat = await database.chatSession.create({
    data: { uri: newChatUri(), ownerId: users[0] },
  });
  await database.chatMember.createMany({ data: users.slice(1).map((userId) => ({ chatSessionId: chat.id, userId })) });
  let done = 0;
  while (done < count) {
    const size = Math.min(ROWS_PER_STATEMENT, count - done);
    const numbers = Array.from({ length: size }, (_, index) => done + index);
    await seedTodos(database, numbers, ownerOf(done / ROWS_PER_STATEMENT));
    await seedTexts(database, numbers, ownerOf, chat.id);
    done += size;
    if (done % (ROWS_PER_STATEMENT * 10) === 0 || done === count) {
      progress(done);
    }
  }
}

/** Creates todos for the numbers that end in 0 to 5, and a list for every fiftieth number. */
async function seedTodos({ todoList, todo }: Database, numbers: readonly number[], ownerId: number): Promise<void> {
  const lists = await todoList.createManyAndReturn({
    data: numbers.filter((number) => number % 50 === 0).map((number) => ({ name: `List ${number}`, ownerId })),
    select: { id: true },
  });
  await todo.createMany({
    data: numbers
      .filter((number) => number % 10 < 6)
      .map((number, index) => ({
        title: phrase(number),
        completed: number % 3 === 0,
        ownerId,
        listId: lists[index % Math.max(lists.length, 1)]?.id ?? null,
      })),
  });
}

/** Creates posts for the numbers that end in 6, messages for those that end in 7 or 8, and notes for those that end in 9. */
async function seedTexts(
  { post, chatMessage, note }: Database,
  numbers: readonly number[],
  ownerOf: (number: number) => number,
  chatSessionId: number,
): Promise<void> {
  const endingIn = (...digits: readonly number[]) => numbers.filter((number) => digits.includes(number % 10));
  await post.createMany({
    data: endingIn(6).map((number) => ({
      title: phrase(number),
      content: `${phrase(number)}. `.repeat(5),
      authorId: ownerOf(number),
    })),
  });
  await chatMessage.createMany({
    data: endingIn(7, 8).map((number) => ({ chatSessionId, userId: ownerOf(number), message: phrase(number) })),
  });
  await note.createMany({
    data: endingIn(9).map((number) => ({
      title: phrase(number),
      description: '',
      priority: number % 5,
      createdAt: '2026-11-20 09:00',
      createdBy: 'seed',
      ownerId: ownerOf(number),
    })),
  });
}
