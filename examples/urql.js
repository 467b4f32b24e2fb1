import { Client, fetchExchange, gql } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { createSession, createTransport } from 'tidings-client';
import { changeUpdates } from 'tidings-client/graphcache';
import { schema } from 'tidings-client/graphcache-schema';
import { createExchange, snapshotThenStream } from 'tidings-client/urql';
import { WebSocket } from 'ws';

const [server, username, password] = process.argv.slice(2);
const url = `${server}/graphql`;
const session = createSession({ url });
const transport = createTransport({ url, session, webSocketImpl: WebSocket });
const updates = { Subscription: changeUpdates({ todoChanged: { list: 'todos' } }) };
const client = new Client({
  url,
  fetch: transport.fetch,
  preferGetMethod: false,
  exchanges: [cacheExchange({ schema, updates }), createExchange(transport), fetchExchange],
});
const query = gql`
  query Todos { cursor todos(first: 100) { pageInfo { hasNextPage } nodes { id title } } }
`;
const subscription = gql`
  subscription TodoChanges($after: String) {
    todoChanged(after: $after) { action cursor id todo { id title } }
  }
`;

await session.signIn(username, password);
// In React: `useQuery({ query, requestPolicy: 'cache-only' })`.
client.query(query, {}, { requestPolicy: 'cache-only' }).subscribe(({ data }) => {
  process.stdout.write(`${data?.todos.nodes.map(({ title }) => title).join(', ') ?? 'loading'}\n`);
});
snapshotThenStream(client, {
  query,
  subscription,
  onError: (error) => {
    process.stderr.write(`${error.name}: ${error.message}\n`);
    process.exit(1);
  },
});
