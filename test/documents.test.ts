import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { privateDatabase } from './kit/app.ts';
import { Person } from './kit/person.ts';
import { type ServerProcess, startProcess } from './kit/process.ts';
import { SocketClient } from './kit/socket.ts';

const SECRET_KEY = '06d7956377ef654777a331eada899e7fb69d4b23f6';
/** How much the resident memory may grow by documents that nobody sends again, in MiB. */
const MAX_GROWTH_MIB = 160;

const database = privateDatabase();
let server: ServerProcess;
let anonymous: Person;

beforeAll(async () => {
  server = await startProcess({ DATABASE_URL: `file:${database.path}`, SECRET_KEY, BODY_LIMIT_BYTES: '2000000' });
  anonymous = new Person(server.url, null, '');
});
afterAll(async () => {
  await server.stop();
  database.remove();
});

const residentMiB = (): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]) / 1024;

/** A valid document of about this many characters, unlike any other. */
const documentOf = (characters: number, index: number): string =>
  `{ a${index}: __typename } #${'x'.repeat(characters)}`;

describe('documents', () => {
  it('should be refused when they are too long', async () => {
    const { errors } = await anonymous.ask(documentOf(1_000_000, 0));
    expect(errors?.[0]).toMatchObject({
      message: 'The document is longer than 262144 characters.',
      extensions: { code: 'COMPLEXITY' },
    });
  });

  it('should take no more memory however many different ones come, over HTTP and WebSocket', {
    timeout: 120_000,
  }, async () => {
    const socket = await SocketClient.open(server.url, null);
    const send = async (characters: number, count: number): Promise<void> => {
      for (let index = 0; index < count; index += 4) {
        await Promise.all(
          [0, 1, 2, 3].map((offset) => anonymous.ask(documentOf(characters, characters + index + offset))),
        );
      }
    };
    await send(60_000, 100);
    const before = residentMiB();
    await send(60_000, 400);
    await send(200_000, 200);
    await send(1_000_000, 100);
    for (let index = 0; index < 400; index += 1) {
      const operation = socket.start(documentOf(100_000, 9_000_000 + index));
      expect(await operation.results.next()).toMatchObject({ data: { [`a${9_000_000 + index}`]: 'Query' } });
    }
    socket.raw.terminate();
    expect(residentMiB() - before).toBeLessThan(MAX_GROWTH_MIB);
  });

  it('should be executed the same by the interpreter and, once they come again, by the compiler', async () => {
    const query = `query ($with: Boolean!, $size: Int = 2, $order: TodoOrder) {
      a: todos(first: $size, orderBy: $order) { nodes @include(if: $with) { id } totalCount }
      b: todo(id: "no number") { id }
      ...Rest
    }
    fragment Rest on Query { cursor @skip(if: $with) __typename }`;
    const answers = [];
    for (let time = 0; time < 6; time += 1) {
      answers.push(await anonymous.ask(query, { with: true, order: { field: 'TITLE' } }));
    }
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(answers[0]).toMatchObject({ data: { a: { nodes: [], totalCount: 0 }, b: null, __typename: 'Query' } });
  });

  it('should leave out a field whose variable is left out, however often they come', async () => {
    const login = { username: 'ann', password: 'a good long password' };
    await anonymous.gql('mutation ($input: SignUpInput!) { signUp(input: $input) { __typename } }', { input: login });
    const ann = await anonymous.signIn(login.username, login.password);
    const query = `mutation ($title: String!, $description: String, $done: Boolean = true, $id: ID!) {
      made: createTodo(input: { title: $title, description: $description, completed: $done }) { ... on Todo { description completed } }
      kept: updateTodo(id: $id, input: { title: $title, description: $description }) { ... on Todo { description } }
    }`;
    const { createTodo } = await ann.gql(
      'mutation { createTodo(input: { title: "a", description: "stays" }) { ... on Todo { id } } }',
    );
    for (let time = 0; time < 6; time += 1) {
      expect(await ann.gql(query, { title: 'b', id: createTodo.id })).toEqual({
        made: { description: null, completed: true },
        kept: { description: 'stays' },
      });
    }
    const { kept } = await ann.gql(query, { title: 'b', id: createTodo.id, description: null });
    expect(kept).toEqual({ description: null });
  });

  it('should say where an error is, by the interpreter and by the compiler', async () => {
    const query = '{\n  viewer { username }\n  other: posts { totalCount }\n}';
    const answers: Awaited<ReturnType<Person['ask']>>[] = [];
    for (let time = 0; time < 6; time += 1) {
      answers.push(await anonymous.ask(query));
    }
    expect(answers.map(({ errors }) => errors)).toEqual(answers.map(() => answers[0]?.errors));
    expect(answers[0]?.errors?.[0]).toMatchObject({ path: ['other'], locations: [{ line: 3, column: 3 }] });
  });
});
