import { fail, fetchWith, isResync, openSocket, signIn } from './tokens.js';

const [server, username, password] = process.argv.slice(2);
const url = `${server}/graphql`;
const tokens = await signIn(url, username, password);
const authorizedFetch = fetchWith(tokens);
const client = openSocket(url, tokens);
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
  const response = await authorizedFetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: snapshot }),
  });
  const { data, errors } = await response.json();
  if (errors) {
    return fail(errors);
  }
  process.stdout.write(`SNAPSHOT ${data.todos.nodes.map(({ title }) => title).join(', ')}\n`);
  follow(data.cursor);
}

function follow(after) {
  // graphql-ws sends the variables as they are whenever it connects: keep `after` up to date, and it goes on where it was.
  const variables = { after };
  const end = (cause) => (isResync(cause) ? load().catch(fail) : fail(cause));
  client.subscribe(
    { query, variables },
    {
      next: ({ data, errors }) => {
        if (!data) {
          return end(errors);
        }
        variables.after = data.todoChanged.cursor;
        process.stdout.write(`${data.todoChanged.action} ${data.todoChanged.todo?.title}\n`);
      },
      error: end,
      complete: () => undefined,
    },
  );
}

load().catch(fail);
