import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { fail, fetchWith, isResync, openSocket, signIn } from './tokens.js';

const [server, username, password] = process.argv.slice(2);
const url = `${server}/graphql`;
const tokens = await signIn(url, username, password);
const socket = openSocket(url, tokens);
// What is sent after a reconnection is this `variables`: keep `after` up to date, and it goes on where it was.
const forwardSubscription = ({ query = '', variables }) => ({
  subscribe: (sink) => {
    const payload = { query, variables: { ...variables } };
    const next = (result) => {
      payload.variables.after = Object.values(result.data ?? {})[0]?.cursor ?? payload.variables.after;
      sink.next(result);
    };
    return { unsubscribe: socket.subscribe(payload, { ...sink, next }) };
  },
});
const client = new Client({
  url,
  fetch: fetchWith(tokens),
  preferGetMethod: false,
  exchanges: [subscriptionExchange({ forwardSubscription }), fetchExchange],
});
const snapshot = /* GraphQL */ `
  query Todos { cursor todos(first: 100) { nodes { id title } } }
`;
const query = /* GraphQL */ `
  subscription TodoChanges($after: String) {
    todoChanged(after: $after) { action cursor id todo { id title } }
  }
`;

/** Loads the list, and follows its changes after the cursor that was read with it. */
async function load() {
  const { data: list, error: failure } = await client.query(snapshot, {}).toPromise();
  if (failure) {
    return fail(failure);
  }
  process.stdout.write(`SNAPSHOT ${list.todos.nodes.map(({ title }) => title).join(', ')}\n`);
  const { unsubscribe } = client.subscription(query, { after: list.cursor }).subscribe(({ data, error }) => {
    // A result with an error has the data of the last event once more.
    if (error) {
      unsubscribe();
      return isResync(error.graphQLErrors) ? load().catch(fail) : fail(error.networkError ?? error);
    }
    process.stdout.write(`${data.todoChanged.action} ${data.todoChanged.todo?.title}\n`);
  });
}

load().catch(fail);
