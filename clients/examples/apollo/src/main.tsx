import { ApolloClient, InMemoryCache } from '@apollo/client';
import { ApolloProvider } from '@apollo/client/react';
import { relayStylePagination } from '@apollo/client/utilities';
import { useState } from 'react';
import { createLink } from 'tidings-client/apollo';
import { possibleTypes } from 'tidings-client/possible-types';
import { renderPage } from '../../shared/page.tsx';
import { transport } from '../../shared/server.ts';
import { TodoList } from './todo-list.tsx';

function createClient(): ApolloClient {
  return new ApolloClient({
    link: createLink(transport),
    cache: new InMemoryCache({
      possibleTypes,
      typePolicies: { Query: { fields: { todos: relayStylePagination(['filter', 'orderBy']) } } },
    }),
  });
}

function App() {
  const [client] = useState(createClient);
  return (
    <ApolloProvider client={client}>
      <TodoList />
    </ApolloProvider>
  );
}

renderPage(App);
