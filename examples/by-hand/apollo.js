import { ApolloClient, ApolloLink, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { map } from 'rxjs';
import { fail, fetchWith, isResync, openSocket, signIn } from './tokens.js';

const [server, username, password] = process.argv.slice(2);
const url = `${server}/graphql`;
const tokens = await signIn(url, username, password);
// What is sent after a reconnection are the operation's variables: keep `after` up to date, and it goes on where it was.
const resume = new ApolloLink((operation, forward) =>
  forward(operation).pipe(
    map((result) => {
      operation.variables.after = Object.values(result.data ?? {})[0]?.cursor ?? operation.variables.after;
      return result;
    }),
  ),
);
const client = new ApolloClient({
  link: ApolloLink.split(
    ({ operationType }) => operationType === 'subscription',
    resume.concat(new GraphQLWsLink(openSocket(url, tokens))),
    new HttpLink({ uri: url, fetch: fetchWith(tokens) }),
  ),
  cache: new InMemoryCache(),
});
const snapshot = gql`
  query Todos { cursor todos(first: 100) { nodes { id title } } }
`;
const query = gql`
  subscription TodoChanges($after: String) {
    todoChanged(after: $after) { action cursor id todo { id title } }
  }
`;

/** Loads the list, and follows its changes after the cursor that was read with it. */
async function load() {
  const { data } = await client.query({ query: snapshot, fetchPolicy: 'network-only' });
  process.stdout.write(`SNAPSHOT ${data.todos.nodes.map(({ title }) => title).join(', ')}\n`);
  const end = (error) => {
    const errors = CombinedGraphQLErrors.is(error) ? error.errors : null;
    return isResync(errors) ? load().catch(fail) : fail(error);
  };
  client.subscribe({ query, variables: { after: data.cursor }, fetchPolicy: 'no-cache' }).subscribe({
    next: ({ data: event, error }) => {
      if (error) {
        end(error);
      } else {
        process.stdout.write(`${event.todoChanged.action} ${event.todoChanged.todo?.title}\n`);
      }
    },
    error: end,
  });
}

load().catch(fail);
