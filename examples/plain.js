import { createSession, createTransport, snapshotThenStream } from 'tidings-client';
import { WebSocket } from 'ws';

const [server, username, password] = process.argv.slice(2);
const url = `${server}/graphql`;
const session = createSession({ url });
const transport = createTransport({ url, session, webSocketImpl: WebSocket });
const query = /* GraphQL */ `
  query Todos { cursor todos(first: 100) { pageInfo { hasNextPage } nodes { id title } } }
`;
const subscription = /* GraphQL */ `
  subscription TodoChanges($after: String) {
    todoChanged(after: $after) { action cursor id todo { id title } }
  }
`;

await session.signIn(username, password);
// It ends with an error when the user has to sign in again.
for await (const { data, event } of snapshotThenStream(transport, { query, subscription })) {
  const titles = data.todos.nodes.map(({ title }) => title);
  process.stdout.write(`${event?.action ?? 'SNAPSHOT'} ${titles.join(', ')}\n`);
}
