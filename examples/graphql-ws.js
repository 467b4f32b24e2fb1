import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

const [url, token] = process.argv.slice(2);
const client = createClient({
  url: `${url.replace('http', 'ws')}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: () => ({ authorization: `Bearer ${token}` }),
  retryAttempts: Number.POSITIVE_INFINITY,
  shouldRetry: () => true,
});
// graphql-ws sends the variables as they are whenever it connects: keep `after` up to date, and it goes on where it was.
const variables = { after: null };
const query = /* GraphQL */ `
  subscription TodoChanges($after: String) {
    todoChanged(after: $after) { action cursor id todo { id title } }
  }
`;
client.subscribe(
  { query, variables },
  {
    next: ({ data }) => {
      variables.after = data.todoChanged.cursor;
      process.stdout.write(`${data.todoChanged.action} ${data.todoChanged.todo?.title}\n`);
    },
    error: (errors) => process.stdout.write(`load a snapshot again: ${JSON.stringify(errors)}\n`),
    complete: () => undefined,
  },
);
