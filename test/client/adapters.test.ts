import { ApolloClient, gql, InMemoryCache } from '@apollo/client';
import { Client, cacheExchange as documentCache, fetchExchange } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { type ConcreteRequest, createOperationDescriptor, Environment, RecordSource, Store } from 'relay-runtime';
import { createTransport, type Transport } from 'tidings-client';
import * as apollo from 'tidings-client/apollo';
import { changeUpdates } from 'tidings-client/graphcache';
import { schema } from 'tidings-client/graphcache-schema';
import { possibleTypes } from 'tidings-client/possible-types';
import * as relay from 'tidings-client/relay';
import * as urql from 'tidings-client/urql';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startApp, type TestApp } from '../kit/app.ts';
import type { Person } from '../kit/person.ts';
import { type Gate, startGate } from './gate.ts';
import { changesRequest, todosRequest } from './relay-artifacts.ts';

const TODOS = gql`query Todos { cursor todos(first: 100) { totalCount pageInfo { hasNextPage } nodes { id title } } }`;
const CHANGES = gql`subscription TodoChanges($after: String) { todoChanged(after: $after) { action cursor id todo { id title } } }`;
interface Todos {
  readonly todos: { readonly nodes: readonly { readonly title: string }[] };
}

/** What a component shows. */
interface Shown {
  readonly titles: () => readonly string[] | null;
  readonly snapshots: () => number;
  readonly stop: () => void;
  readonly errors: readonly Error[];
}

function showApollo(transport: Transport): Shown {
  const client = new ApolloClient({ link: apollo.createLink(transport), cache: new InMemoryCache({ possibleTypes }) });
  let titles: string[] | null = null;
  let snapshots = 0;
  const errors: Error[] = [];
  const shown = client
    .watchQuery<Todos>({ query: TODOS, fetchPolicy: 'cache-only' })
    .subscribe(({ data, dataState }) => {
      titles = dataState === 'complete' ? data.todos.nodes.map(({ title }) => title) : null;
    });
  const stop = apollo.snapshotThenStream(client, {
    query: TODOS,
    subscription: CHANGES,
    onSnapshot: () => snapshots++,
    onError: (error) => errors.push(error),
  });
  return {
    titles: () => titles,
    snapshots: () => snapshots,
    errors,
    stop: () => {
      stop();
      shown.unsubscribe();
      client.stop();
    },
  };
}

function showGraphcache(transport: Transport): Shown {
  const cache = cacheExchange({
    schema,
    updates: { Subscription: changeUpdates({ todoChanged: { list: 'todos' } }) },
  });
  const client = new Client({
    url: transport.url,
    fetch: transport.fetch,
    preferGetMethod: false,
    exchanges: [cache, urql.createExchange(transport), fetchExchange],
  });
  let titles: string[] | null = null;
  let snapshots = 0;
  const errors: Error[] = [];
  const shown = client.query<Todos>(TODOS, {}, { requestPolicy: 'cache-only' }).subscribe(({ data }) => {
    titles = data?.todos.nodes.map(({ title }) => title) ?? null;
  });
  const stop = urql.snapshotThenStream(client, {
    query: TODOS,
    subscription: CHANGES,
    onSnapshot: () => snapshots++,
    onError: (error) => errors.push(error),
  });
  return {
    titles: () => titles,
    snapshots: () => snapshots,
    errors,
    stop: () => {
      stop();
      shown.unsubscribe();
    },
  };
}

function showUrql(transport: Transport): Shown {
  const client = new Client({
    url: transport.url,
    fetch: transport.fetch,
    preferGetMethod: false,
    exchanges: [documentCache, urql.createExchange(transport), fetchExchange],
  });
  let titles: string[] | null = null;
  let snapshots = 0;
  const errors: Error[] = [];
  const stop = urql.snapshotThenStream<Todos>(client, {
    query: TODOS,
    subscription: CHANGES,
    onSnapshot: () => snapshots++,
    onData: ({ todos }) => {
      titles = todos.nodes.map(({ title }) => title);
    },
    onError: (error) => errors.push(error),
  });
  return { titles: () => titles, snapshots: () => snapshots, errors, stop };
}

function showRelay(transport: Transport): Shown {
  const environment = new Environment({
    network: relay.createNetwork(transport),
    store: new Store(new RecordSource()),
    getDataID: relay.getDataID,
  });
  const operation = createOperationDescriptor(todosRequest as ConcreteRequest, {});
  environment.retain(operation);
  let titles: string[] | null = null;
  let snapshots = 0;
  const errors: Error[] = [];
  const show = (): void => {
    const { data } = environment.lookup(operation.fragment) as unknown as {
      data: { todos?: { edges: { node: { title: string } }[] } };
    };
    titles = data.todos?.edges.map(({ node }) => node.title) ?? null;
  };
  const shown = environment.subscribe(environment.lookup(operation.fragment), show);
  const stop = relay.snapshotThenStream(environment, {
    query: todosRequest as never,
    subscription: changesRequest as never,
    connections: ['client:root:__Todos_todos_connection'],
    onSnapshot: () => {
      snapshots++;
      show();
    },
    onError: (error) => errors.push(error),
  });
  return {
    titles: () => {
      show();
      return titles;
    },
    snapshots: () => snapshots,
    errors,
    stop: () => {
      stop();
      shown.dispose();
    },
  };
}

let app: TestApp;
let count = 0;
const TIMES = { timeout: 10_000, interval: 10 };

beforeAll(async () => {
  app = await startApp({ ALLOW_ANONYMOUS: 'false' });
});
afterAll(() => app.close());

describe.each([
  { name: 'Apollo Client', show: showApollo },
  { name: 'Graphcache', show: showGraphcache },
  { name: 'urql', show: showUrql },
  { name: 'Relay', show: showRelay },
])('a list of $name', ({ show }) => {
  let gate: Gate;
  let ann: Person;
  let transport: Transport;
  let shown: Shown;

  const make = (title: string) =>
    ann.gql('mutation ($title: String!) { createTodo(input: { title: $title }) { ... on Todo { id } } }', { title });

  beforeEach(async () => {
    gate = await startGate(app.url);
    ann = await app.signUp(`user${count++}`);
    await make('first');
    transport = createTransport({
      url: `${gate.url}/graphql`,
      getToken: () => ann.authorization?.replace('Bearer ', '') ?? null,
      webSocketImpl: WebSocket,
      retryDelay: () => 20,
    });
    shown = show(transport);
  });
  afterEach(async () => {
    shown.stop();
    transport.close();
    await gate.close();
  });

  it('should be live for ever', async () => {
    await expect.poll(shown.titles, TIMES).toEqual(['first']);
    const { createTodo } = await make('second');
    await expect.poll(shown.titles, TIMES).toEqual(['first', 'second']);
    await ann.gql(
      'mutation ($id: ID!) { updateTodo(id: $id, input: { title: "renamed" }) { __typename } }',
      createTodo,
    );
    await expect.poll(shown.titles, TIMES).toEqual(['first', 'renamed']);
    gate.shut();
    await ann.gql('mutation ($id: ID!) { deleteTodo(id: $id) { __typename } }', createTodo);
    await make('third');
    gate.open();
    await expect.poll(shown.titles, TIMES).toEqual(['first', 'third']);
    expect(shown.snapshots()).toBe(1);
    await app.sql('UPDATE "User" SET "isStaff" = ? WHERE "username" = ?', true, ann.username);
    await expect.poll(shown.snapshots, TIMES).toBe(2);
    await make('last');
    await expect.poll(shown.titles, TIMES).toContain('last');
    await ann.gql('mutation { destroyAuthToken }');
    await expect.poll(() => shown.errors.map(({ name }) => name), TIMES).toEqual(['SignedOutError']);
  });
});
