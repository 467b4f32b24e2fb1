import { ApolloClient, gql, InMemoryCache } from '@apollo/client';
import { createSession, createTransport } from 'tidings-client';
import { createLink, snapshotThenStream } from 'tidings-client/apollo';
import { possibleTypes } from 'tidings-client/possible-types';
import { WebSocket } from 'ws';

const [server, username, password] = process.argv.slice(2);
const url = `${server}/graphql`;
const session = createSession({ url });
const transport = createTransport({ url, session, webSocketImpl: WebSocket });
const client = new ApolloClient({ link: createLink(transport), cache: new InMemoryCache({ possibleTypes }) });
const query = gql`
  query Todos { cursor todos(first: 100) { pageInfo { hasNextPage } nodes { id title } } }
`;
const subscription = gql`
  subscription TodoChanges($after: String) {
    todoChanged(after: $after) { action cursor id todo { id title } }
  }
`;

await session.signIn(username, password);
// In React: `useQuery(query, { fetchPolicy: 'cache-only' })`.
client.watchQuery({ query, fetchPolicy: 'cache-only' }).subscribe(({ data }) => {
  process.stdout.write(`${data?.todos?.nodes.map(({ title }) => title).join(', ') ?? 'loading'}\n`);
});
snapshotThenStream(client, {
  query,
  subscription,
  onError: (error) => {
    process.stderr.write(`${error.name}: ${error.message}\n`);
    process.exit(1);
  },
});
