import {
  ApolloClient,
  CombinedGraphQLErrors,
  gql,
  HttpLink,
  InMemoryCache,
  type TypedDocumentNode,
} from '@apollo/client';
import { Client, cacheExchange, fetchExchange } from '@urql/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { Person } from './kit/person.ts';

const PASSWORD = 'a good long password';
const TODOS = 250;

type Variables = Record<string, unknown>;
interface Failure {
  readonly __typename: 'ValidationError' | 'CredentialsError' | 'NotFoundError';
  readonly message: string;
  readonly fields?: readonly { path: string; message: string }[];
}
interface Made {
  readonly __typename: 'Todo';
  readonly id: string;
}
interface TodoPage {
  readonly todos: {
    readonly totalCount: number;
    readonly pageInfo: { hasNextPage: boolean; endCursor: string | null };
    readonly nodes: readonly { id: string; title: string }[];
  };
}

const SIGN_UP: TypedDocumentNode<{ signUp: { __typename: 'User'; username: string } | Failure }> = gql`
  mutation SignUp($username: String!, $password: String!) {
    signUp(input: { username: $username, password: $password }) {
      ... on User { id username }
      ... on Error { message }
      ... on ValidationError { fields { path message } }
    }
  }
`;
const LOG_IN: TypedDocumentNode<{ obtainToken: { __typename: 'TokenPair'; token: string } | Failure }> = gql`
  mutation LogIn($username: String!, $password: String!) {
    obtainToken(input: { username: $username, password: $password }) {
      ... on TokenPair { token }
      ... on Error { message }
    }
  }
`;
const VIEWER: TypedDocumentNode<{ viewer: { username: string } | null }> = gql`
  query Viewer { viewer { id username } }
`;
const CREATE: TypedDocumentNode<{ createTodo: Made | Failure }> = gql`
  mutation Create($title: String!, $description: String) {
    createTodo(input: { title: $title, description: $description }) {
      ... on Todo { id title }
      ... on Error { message }
      ... on ValidationError { fields { path message } }
    }
  }
`;
const DELETE: TypedDocumentNode<{ deleteTodo: Made | Failure }> = gql`
  mutation Delete($id: ID!) {
    deleteTodo(id: $id) {
      ... on Todo { id }
      ... on Error { message }
    }
  }
`;
const PAGE: TypedDocumentNode<TodoPage> = gql`
  query Page($first: Int!, $after: String, $orderBy: TodoOrder) {
    todos(first: $first, after: $after, orderBy: $orderBy) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes { id title }
    }
  }
`;

/** What these tests ask of a client library: data, or the codes of the top-level errors. */
interface Caller {
  readonly query: <Data>(document: TypedDocumentNode<Data>, variables?: Variables) => Promise<Data>;
  readonly mutate: <Data>(document: TypedDocumentNode<Data>, variables?: Variables) => Promise<Data>;
  readonly codes: (document: TypedDocumentNode, variables?: Variables) => Promise<unknown[]>;
}

function headersFor(token: string | null): Record<string, string> {
  return token ? { authorization: `Bearer ${token}` } : {};
}

function apollo(url: string, token: string | null): Caller {
  const client = new ApolloClient({
    link: new HttpLink({ uri: url, headers: headersFor(token) }),
    cache: new InMemoryCache({ possibleTypes }),
    // A cache would keep the pages that the walk below must fetch anew.
    defaultOptions: { query: { fetchPolicy: 'network-only' } },
  });
  const present = <Data>(data: Data | undefined): Data => {
    if (data === undefined) {
      throw new Error('Apollo Client gave no data.');
    }
    return data;
  };
  return {
    query: async <Data>(query: TypedDocumentNode<Data>, variables: Variables = {}) =>
      present((await client.query({ query, variables })).data as Data | undefined),
    mutate: async <Data>(mutation: TypedDocumentNode<Data>, variables: Variables = {}) =>
      present((await client.mutate({ mutation, variables })).data as Data | undefined),
    codes: async (query, variables = {}) => {
      const error = await client.query({ query, variables }).catch((failure: unknown) => failure);
      return CombinedGraphQLErrors.is(error) ? error.errors.map(({ extensions }) => extensions?.['code']) : [error];
    },
  };
}

function urql(url: string, token: string | null): Caller {
  const client = new Client({
    url,
    exchanges: [cacheExchange, fetchExchange],
    requestPolicy: 'network-only',
    preferGetMethod: 'within-url-limit',
    fetchOptions: { headers: headersFor(token) },
  });
  const dataOf = <Data>({ data, error }: { data?: Data | undefined; error?: Error | undefined }): Data => {
    if (error || data === undefined) {
      throw error ?? new Error('urql gave no data.');
    }
    return data;
  };
  return {
    query: async (query, variables = {}) => dataOf(await client.query(query, variables).toPromise()),
    mutate: async (mutation, variables = {}) => dataOf(await client.mutation(mutation, variables).toPromise()),
    codes: async (query, variables = {}) => {
      const { error } = await client.query(query, variables).toPromise();
      return error?.graphQLErrors.map(({ extensions }) => extensions?.['code']) ?? [error];
    },
  };
}

let app: TestApp;
let url: string;
/** What Apollo Client's cache has to know of unions and interfaces; read from the server, as its documentation has it. */
let possibleTypes: Record<string, string[]>;

beforeAll(async () => {
  app = await startApp({ ALLOW_ANONYMOUS: 'false' });
  url = `${app.url}/graphql`;
  const { __schema } = await app.anonymous.gql('{ __schema { types { name possibleTypes { name } } } }');
  const types: { name: string; possibleTypes: { name: string }[] | null }[] = __schema.types;
  possibleTypes = Object.fromEntries(
    types.flatMap(({ name, possibleTypes }) => (possibleTypes ? [[name, possibleTypes.map((type) => type.name)]] : [])),
  );
});
afterAll(() => app.close());

describe.each([
  { name: 'Apollo Client', connect: apollo },
  { name: 'urql', connect: urql },
])('$name', ({ name, connect }) => {
  let count = 0;

  /** Signs up and logs in with the client itself. */
  async function signUpCaller(): Promise<{ caller: Caller; token: string; username: string }> {
    const username = `${name.slice(0, 4)}-${count++}`;
    const visitor = connect(url, null);
    const { signUp } = await visitor.mutate(SIGN_UP, { username, password: PASSWORD });
    expect(signUp).toMatchObject({ __typename: 'User', username });
    const { obtainToken } = await visitor.mutate(LOG_IN, { username, password: PASSWORD });
    if (obtainToken.__typename !== 'TokenPair') {
      throw new Error(obtainToken.message);
    }
    return { caller: connect(url, obtainToken.token), token: obtainToken.token, username };
  }

  it('should sign up, log in and know the viewer', async () => {
    const { caller, username } = await signUpCaller();
    expect((await caller.query(VIEWER)).viewer).toMatchObject({ username });
    expect((await connect(url, null).query(VIEWER)).viewer).toBeNull();
  });

  it('should page through all todos while rows are inserted and deleted', async () => {
    const { caller, token } = await signUpCaller();
    const editor = new Person(app.url, `Bearer ${token}`, '');
    await makeTodos(editor, TODOS);
    const orderBy = { field: 'TITLE', direction: 'DESC' };
    const before = await readAll(caller, 100, orderBy);
    expect(new Set(before).size).toBe(TODOS);

    const gone = new Set<string>();
    let edits = 0;
    const seen = await readAll(caller, 20, orderBy, async (page) => {
      const doomed = [page[0], page.at(-1), before[(edits * 37 + 11) % TODOS]];
      for (const id of doomed.filter((id) => id !== undefined && !gone.has(id))) {
        const { deleteTodo } = await connect(url, token).mutate(DELETE, { id });
        if (deleteTodo.__typename === 'Todo') {
          gone.add(deleteTodo.id);
        }
      }
      await Promise.all(['a', 'todo 05', 'z'].map((title) => caller.mutate(CREATE, { title: `${title} ${edits}` })));
      edits++;
    });
    expect(edits).toBeGreaterThan(10);
    expect(gone.size).toBeGreaterThan(20);
    expect(new Set(seen).size).toBe(seen.length);
    const stayed = before.filter((id) => !gone.has(id));
    expect(seen.filter((id) => stayed.includes(id))).toEqual(stayed);
  });

  it('should read typed errors by their type', async () => {
    const { caller, username } = await signUpCaller();
    const { createTodo } = await caller.mutate(CREATE, { title: ' ', description: 'x'.repeat(2001) });
    expect(createTodo).toMatchObject({
      __typename: 'ValidationError',
      fields: [
        { path: 'title', message: 'This field may not be blank.' },
        { path: 'description', message: 'Ensure this field has no more than 2000 characters.' },
      ],
    });
    const { deleteTodo } = await caller.mutate(DELETE, { id: '2147483647' });
    expect(deleteTodo).toMatchObject({ __typename: 'NotFoundError', message: 'Not found.' });
    const visitor = connect(url, null);
    const { signUp } = await visitor.mutate(SIGN_UP, { username: username.toUpperCase(), password: PASSWORD });
    expect(signUp).toMatchObject({ __typename: 'ValidationError', fields: [{ path: 'username' }] });
    const { obtainToken } = await visitor.mutate(LOG_IN, { username, password: 'not the password' });
    expect(obtainToken).toMatchObject({ __typename: 'CredentialsError' });
  });

  it('should read cross-cutting failures by their code', async () => {
    const { caller } = await signUpCaller();
    expect(await caller.codes(PAGE, { first: 101 })).toEqual(['VALIDATION']);
    expect(await caller.codes(PAGE, { first: 1, after: 'nonsense' })).toEqual(['BAD_CURSOR']);
    const posts: TypedDocumentNode = gql`query Posts { posts { totalCount } }`;
    expect(await connect(url, null).codes(posts)).toEqual(['UNAUTHENTICATED']);
    expect(await connect(url, 'no.such.token').codes(VIEWER)).toEqual(['UNAUTHENTICATED']);
  });
});

async function makeTodos(person: Person, count: number): Promise<void> {
  for (let start = 0; start < count; start += 25) {
    const fields = Array.from({ length: Math.min(25, count - start) }, (_, index) => {
      const title = `todo ${String(((start + index) * 7) % 100).padStart(2, '0')}`;
      return `t${index}: createTodo(input: { title: "${title}" }) { __typename }`;
    });
    await person.gql(`mutation { ${fields.join('\n')} }`);
  }
}

/** Reads the whole list page by page and gives the ids; `afterPage` runs between the pages. */
async function readAll(
  caller: Caller,
  size: number,
  orderBy: object,
  afterPage: (page: readonly string[]) => Promise<void> = async () => undefined,
): Promise<string[]> {
  const ids: string[] = [];
  for (let after: string | null = null; ; ) {
    const { todos }: TodoPage = await caller.query(PAGE, { first: size, after, orderBy });
    const page = todos.nodes.map(({ id }) => id);
    ids.push(...page);
    if (!todos.pageInfo.hasNextPage) {
      return ids;
    }
    after = todos.pageInfo.endCursor;
    await afterPage(page);
  }
}
