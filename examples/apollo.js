import { ApolloClient, ApolloLink, gql, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createClient } from 'graphql-ws';
import { map } from 'rxjs';
import { WebSocket } from 'ws';

const [url, token] = process.argv.slice(2);
// What is sent after a reconnection are the operation's variables: keep `after` up to date, and it goes on where it was.
const resume = new ApolloLink((operation, forward) =>
  forward(operation).pipe(
    map((result) => {
      operation.variables.after = Object.values(result.data ?? {})[0]?.cursor ?? operation.variables.after;
      return result;
    }),
  ),
);
const socket = createClient({
  url: `${url.replace('http', 'ws')}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: () => ({ authorization: `Bearer ${token}` }),
  retryAttempts: Number.POSITIVE_INFINITY,
  shouldRetry: () => true,
});
const client = new ApolloClient({ link: resume.concat(new GraphQLWsLink(socket)), cache: new InMemoryCache() });
const query = gql`
  subscription TodoChanges($after: String) {
    todoChanged(after: $after) { action cursor id todo { id title } }
  }
`;
client.subscribe({ query, variables: { after: null }, fetchPolicy: 'no-cache' }).subscribe({
  next: ({ data }) => process.stdout.write(`${data.todoChanged.action} ${data.todoChanged.todo?.title}\n`),
});
