import { useState } from 'react';
import { RelayEnvironmentProvider } from 'react-relay';
import { Environment, RecordSource, Store } from 'relay-runtime';
import { createNetwork, getDataID } from 'tidings-client/relay';
import { renderPage } from '../../shared/page.tsx';
import { transport } from '../../shared/server.ts';
import { TodoPage } from './todo-page.tsx';

function createEnvironment(): Environment {
  return new Environment({
    network: createNetwork(transport),
    store: new Store(new RecordSource()),
    getDataID,
  });
}

function App() {
  const [environment] = useState(createEnvironment);
  return (
    <RelayEnvironmentProvider environment={environment}>
      <TodoPage />
    </RelayEnvironmentProvider>
  );
}

renderPage(App);
