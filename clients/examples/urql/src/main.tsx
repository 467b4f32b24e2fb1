import { type Cache, cacheExchange } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';
import { useState } from 'react';
import { changeUpdates } from 'tidings-client/graphcache';
import { schema } from 'tidings-client/graphcache-schema';
import { createExchange } from 'tidings-client/urql';
import { Client, fetchExchange, Provider } from 'urql';
import { renderPage } from '../../shared/page.tsx';
import { transport } from '../../shared/server.ts';
import { TodoList } from './todo-list.tsx';

function createClient(): Client {
  const cache = cacheExchange({
    schema,
    resolvers: { Query: { todos: relayPagination() } },
    updates: {
      // Without a function here, Graphcache would load the list again for each todo that it does not know yet.
      Mutation: { createTodo: () => undefined },
      // A first page that is loaded again begins another snapshot.
      Query: { todos: (_, { after }, cache) => after || forgetFurtherPages(cache) },
      Subscription: changeUpdates({ todoChanged: { list: 'todos' } }),
    },
  });
  return new Client({
    url: transport.url,
    fetch: transport.fetch,
    preferGetMethod: false,
    exchanges: [cache, createExchange(transport), fetchExchange],
  });
}

/** Removes the pages after the first one. */
function forgetFurtherPages(cache: Cache): void {
  for (const { fieldName, fieldKey, arguments: args } of cache.inspectFields('Query')) {
    if (fieldName === 'todos' && args?.['after']) {
      cache.invalidate('Query', fieldKey);
    }
  }
}

function App() {
  const [client] = useState(createClient);
  return (
    <Provider value={client}>
      <TodoList />
    </Provider>
  );
}

renderPage(App);
