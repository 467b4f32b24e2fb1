import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { buildSchema, type GraphQLObjectType, getNamedType, isLeafType, isObjectType } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { type Operation, SocketClient } from '../kit/socket.ts';

const RUNS = 25;
const TIMEOUT_MS = 120_000;
const MAX_DEPTH = 4;
/** How long a viewer is waited for who may not receive anything. */
const DEADLINE_MS = 400;

const schema = buildSchema(readFileSync(fileURLToPath(new URL('../../schema.graphql', import.meta.url)), 'utf8'));

/** What depends on the viewer: the test is meaningful only when the property reaches each of these. */
const VIEWER_DEPENDENT = ['User.email', 'User.isStaff', 'User.isActive', 'User.createdAt', 'TodoList.todos'];

interface Selection {
  readonly text: string;
  readonly fields: readonly string[];
}

/** A random selection of a type, with default arguments throughout. */
function selectionOf(type: GraphQLObjectType, depth: number): fc.Arbitrary<Selection> {
  const fields = Object.values(type.getFields()).filter((field) => {
    const isPlain = field.args.every(
      (argument) => argument.defaultValue !== undefined || !/!$/.test(String(argument.type)),
    );
    return isPlain && (isLeafType(getNamedType(field.type)) || (depth > 1 && isObjectType(getNamedType(field.type))));
  });
  return fc
    .subarray(fields, { minLength: Math.min(1, fields.length), maxLength: Math.min(6, fields.length) })
    .chain((chosen) =>
      fc.tuple(
        ...chosen.map((field) => {
          const named = getNamedType(field.type);
          const own = `${type.name}.${field.name}`;
          return isObjectType(named)
            ? selectionOf(named, depth - 1).map(({ text, fields }) => ({
                text: `${field.name} { ${text} }`,
                fields: [own, ...fields],
              }))
            : fc.constant({ text: field.name, fields: [own] });
        }),
      ),
    )
    .map((parts) => ({
      text: ['__typename', ...parts.map(({ text }) => text)].join(' '),
      fields: parts.flatMap(({ fields }) => fields),
    }));
}

/** Everything that can be selected of a type without arguments. */
function everythingOf(type: GraphQLObjectType, depth: number): Selection {
  const parts = plainFields(type, depth).map((field): Selection => {
    const named = getNamedType(field.type);
    const own = `${type.name}.${field.name}`;
    if (!isObjectType(named)) {
      return { text: field.name, fields: [own] };
    }
    const { text, fields } = everythingOf(named, depth - 1);
    return { text: `${field.name} { ${text} }`, fields: [own, ...fields] };
  });
  return {
    text: ['__typename', ...parts.map(({ text }) => text)].join(' '),
    fields: parts.flatMap(({ fields }) => fields),
  };
}

function plainFields(type: GraphQLObjectType, depth: number) {
  return Object.values(type.getFields()).filter((field) => {
    const isPlain = field.args.every(
      (argument) => argument.defaultValue !== undefined || !/!$/.test(String(argument.type)),
    );
    const named = getNamedType(field.type);
    return isPlain && (isLeafType(named) || (depth > 1 && isObjectType(named)));
  });
}

/** A subscription, and a statement that causes an event of it. */
const TOPICS = [
  { field: 'todoChanged', type: 'TodoChange', table: 'Todo', column: 'title', anonymous: true },
  { field: 'todoListChanged', type: 'TodoListChange', table: 'TodoList', column: 'name', anonymous: true },
  { field: 'noteChanged', type: 'NoteChange', table: 'Note', column: 'title', anonymous: true },
  { field: 'postChanged', type: 'PostChange', table: 'Post', column: 'title', anonymous: false },
  { field: 'chatSessionChanged', type: 'ChatSessionChange', table: 'ChatSession', column: 'uri', anonymous: false },
  { field: 'chatMessageChanged', type: 'ChatMessageChange', table: 'ChatMessage', column: 'message', anonymous: false },
] as const;

const subject = fc.constantFrom(...TOPICS).chain((topic) =>
  fc.record({
    topic: fc.constant(topic),
    selection: selectionOf(schema.getType(topic.type) as GraphQLObjectType, MAX_DEPTH),
    /** Whose row it is, of those who have one. */
    row: fc.nat(3),
  }),
);

type Subject = typeof subject extends fc.Arbitrary<infer Value> ? Value : never;

let app: TestApp;
let people: Person[];
let clients: SocketClient[];
let uri: string;

beforeAll(async () => {
  app = await startApp({ QUERY_COMPLEXITY_LIMIT: '1000000', QUERY_DEPTH_LIMIT: '20' });
  const [ann, ben, cleo] = [await app.signUp('ann'), await app.signUp('ben'), await app.signUp('cleo')];
  const root = await app.signUpStaff('root');
  people = [app.anonymous, ann, ben, cleo, root];
  await app.sql(`UPDATE "User" SET "email" = ?`, 'somebody@example.org');
  for (const person of people) {
    const { createTodoList } = await person.gql(
      'mutation { createTodoList(input: { name: "list" }) { ... on TodoList { id } } }',
    );
    await person.gql(
      'mutation ($id: ID!) { createTodo(input: { title: "todo", listId: $id }) { __typename } createNote(input: { title: "note", description: "", priority: 1 }) { __typename } }',
      { id: createTodoList.id },
    );
  }
  // A todo in a list of somebody else, which only raw SQL can make.
  await app.sql(`UPDATE "Todo" SET "listId" = 2 WHERE "id" = 3`);
  for (const person of [ann, ben]) {
    await person.gql('mutation { createPost(input: { title: "post", content: "-" }) { __typename } }');
  }
  ({ uri } = (await ann.gql('mutation { createChatSession { uri } }')).createChatSession);
  for (const person of [ben, root]) {
    await person.gql(`mutation { joinChat(uri: "${uri}") { __typename } }`);
  }
  for (const person of [ann, ben]) {
    await person.gql(`mutation { sendMessage(uri: "${uri}", message: "hello") { __typename } }`);
  }
  clients = await Promise.all(people.map(({ authorization }) => SocketClient.open(app.url, authorization)));
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await app.close();
});

describe('results that are shared between viewers', () => {
  it('should be those that each of them would get alone, whatever is asked for', { timeout: TIMEOUT_MS }, async () => {
    const reached = new Set<string>();
    let events = 0;
    const check = async ({ topic, selection, row }: Subject): Promise<void> => {
      for (const field of selection.fields) {
        reached.add(field);
      }
      const [ids] = [await app.sql(`SELECT "id" FROM "${topic.table}" ORDER BY "id"`)];
      const id = ids[row % ids.length]?.['id'];
      const argument = topic.field === 'chatMessageChanged' ? `(uri: "${uri}", after: $after)` : '(after: $after)';
      const query = `subscription ($after: String) { it: ${topic.field}${argument} { place: cursor ${selection.text} } }`;
      const after = app.app.services.feed.encodePosition(await app.app.services.feed.refresh());
      const value = topic.column === 'uri' ? uri : `changed`;
      await app.sql(`UPDATE "${topic.table}" SET "${topic.column}" = ? WHERE "id" = ?`, value, id);
      const subscribers = clients.filter((_, index) => index > 0 || topic.anonymous);
      // A variable that the document does not know makes a group of its own for each viewer.
      const shared = subscribers.map((client) => client.start(query, { after }));
      const alone = subscribers.map((client, index) => client.start(query, { after, alone: index }));
      await app.delivered();
      // A viewer who may not see the row receives no event, or an error; both ways alike.
      const [together, apart] = await Promise.all([shared, alone].map((each) => Promise.all(each.map(firstOf))));
      expect(together).toEqual(apart);
      events += together?.filter((result) => result !== null).length ?? 0;
      for (const [index, client] of subscribers.entries()) {
        for (const operation of [shared[index], alone[index]]) {
          if (operation) {
            client.stop(operation);
          }
        }
      }
    };
    for (const topic of TOPICS) {
      const selection = everythingOf(schema.getType(topic.type) as GraphQLObjectType, 3);
      for (const row of [0, 1]) {
        await check({ topic, selection, row });
      }
    }
    await fc.assert(fc.asyncProperty(subject, check), { numRuns: RUNS, endOnFailure: true });
    expect([...VIEWER_DEPENDENT].filter((field) => !reached.has(field))).toEqual([]);
    expect(events).toBeGreaterThan(RUNS);
  });
});

/** The first result of an operation, or what ended it; null when neither has come by now. */
async function firstOf(operation: Operation): Promise<unknown> {
  return Promise.race([operation.results.next('result', DEADLINE_MS), operation.ended]).catch(() => null);
}
