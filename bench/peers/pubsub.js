// The usual way: graphql-ws executes the subscription for each subscriber, fed by an in-memory publisher that forgets. It has no
// database, no rights and no replay; it is here to say what the fan-out itself costs.
import { createServer } from 'node:http';
import { buildSchema, execute, graphql, subscribe } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { createPubSub } from 'graphql-yoga';
import { WebSocketServer } from 'ws';

const schema = buildSchema(`
  type TodoList { id: ID! }
  type Todo { id: ID! title: String! }
  type Error { message: String! }
  union CreateTodoResult = Todo | Error
  union CreateTodoListResult = TodoList | Error
  type TodoChange { cursor: String! todo: Todo }
  input CreateTodoInput { title: String! listId: ID }
  input CreateTodoListInput { name: String! }
  type Query { ok: Boolean }
  type Mutation { createTodo(input: CreateTodoInput!): CreateTodoResult! createTodoList(input: CreateTodoListInput!): CreateTodoListResult! }
  type Subscription { todoChanged(listId: ID!): TodoChange! }
`);
const pubsub = createPubSub();
let count = 0;
const roots = {
  createTodoList: () => ({ __typename: 'TodoList', id: '1' }),
  createTodo: ({ input }) => {
    count += 1;
    const todo = { __typename: 'Todo', id: String(count), title: input.title };
    pubsub.publish('todos', { cursor: `0:${count}-${Date.now().toString(36)}`, todo });
    return todo;
  },
  todoChanged: async function* () {
    for await (const event of pubsub.subscribe('todos')) {
      yield { todoChanged: event };
    }
  },
};

const http = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) {
    body += chunk;
  }
  const { query, variables } = JSON.parse(body);
  const result = await graphql({ schema, source: query, variableValues: variables, rootValue: roots });
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(result));
});
const server = new WebSocketServer({ server: http, path: '/graphql', perMessageDeflate: false });
useServer({ schema, execute, subscribe, roots: { query: roots, mutation: roots, subscription: roots } }, server);
http.listen(0, '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${http.address().port}\n`);
});
