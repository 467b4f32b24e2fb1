import { Client, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

const [url, token] = process.argv.slice(2);
const socket = createClient({
  url: `${url.replace('http', 'ws')}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: () => ({ authorization: `Bearer ${token}` }),
  retryAttempts: Number.POSITIVE_INFINITY,
  shouldRetry: () => true,
});
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
const client = new Client({ url: `${url}/graphql`, exchanges: [subscriptionExchange({ forwardSubscription })] });
const query = /* GraphQL */ `
  subscription TodoChanges($after: String) {
    todoChanged(after: $after) { action cursor id todo { id title } }
  }
`;
client.subscription(query, { after: null }).subscribe(({ data }) => {
  process.stdout.write(`${data.todoChanged.action} ${data.todoChanged.todo?.title}\n`);
});
