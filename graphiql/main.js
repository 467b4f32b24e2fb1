// GraphiQL as the server shows it: queries over HTTP, subscriptions over WebSocket, tabs with examples, and the form that signs in.
import { useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { parse } from 'graphql';
import { createElement, useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './page.css';
import './account.js';
import { createExamples, filledVariables } from './examples.ts';
import { results } from './results.js';
import { createStorage, TABS } from './secrets.ts';

const url = `${location.origin}${location.pathname}`;
const send = createGraphiQLFetcher({
  url,
  subscriptionUrl: url.replace('http', 'ws'),
  // The server sends each result as a whole.
  enableIncrementalDelivery: false,
});

/**
 * Sends an operation. GraphiQL parses the editor's text with a delay: after another tab was opened, it still has the name and the document
 * of the operation in the tab before, and would send a subscription over HTTP.
 */
async function fetcher(params, options) {
  const documentAST = parsed(params.query) ?? options?.documentAST;
  const names = documentAST?.definitions.flatMap(({ operation, name }) => (operation ? [name?.value] : [])) ?? [];
  const operationName = names.length === 1 ? names[0] : params.operationName;
  const result = await send({ ...params, operationName }, { ...options, documentAST });
  if (!(Symbol.asyncIterator in result)) {
    results.dispatchEvent(new CustomEvent('result', { detail: result }));
  }
  return result;
}

/** Returns the document of a text; null when it has a syntax error, which the server reports. */
function parsed(text) {
  try {
    return parse(text);
  } catch {
    return null;
  }
}

/** Removes an operation from the address of the page, and so from the history of the browser. Returns it as a tab; null when there is none. */
function takeLinkedOperation() {
  const parameters = new URLSearchParams(location.search);
  if (location.search !== '') {
    history.replaceState(null, '', location.pathname);
  }
  const query = parameters.get('query');
  return query === null ? null : { query, variables: parameters.get('variables'), headers: null };
}

/** Returns the tab that was open last; null on a first visit. */
function readOpenTab(storage) {
  const { tabs, activeTabIndex } = JSON.parse(storage.getItem(TABS)) ?? {};
  return tabs?.[activeTabIndex] ?? null;
}

/** Adds to GraphiQL what the page does with its tabs: it enters values of results in examples, and adds the examples on demand. */
function ExampleTabs() {
  const { tabs, activeTabIndex } = useGraphiQL(({ tabs, activeTabIndex }) => ({ tabs, activeTabIndex }));
  const { moveTab } = useGraphiQLActions();
  useEffect(() => {
    const fill = ({ detail: { data } }) => {
      for (const tab of data ? tabs.filter((_tab, index) => index !== activeTabIndex) : []) {
        // In place: GraphiQL has no action for tabs that are not shown, and reads these values when it shows the tab.
        tab.variables = filledVariables(tab, data) ?? tab.variables;
      }
    };
    const addExamples = () => {
      const missing = createExamples()
        .map((tab) => ({ ...tab, operationName: parsed(tab.query).definitions[0].name.value }))
        .filter(({ operationName }) => !tabs.some(({ title }) => title === operationName))
        .map((tab) => ({ ...tab, id: tab.operationName, title: tab.operationName, hash: '', response: null }));
      moveTab([...tabs, ...missing]);
    };
    const button = document.querySelector('#examples');
    results.addEventListener('result', fill);
    button.addEventListener('click', addExamples);
    return () => {
      results.removeEventListener('result', fill);
      button.removeEventListener('click', addExamples);
    };
  });
  return null;
}

const linked = takeLinkedOperation();
const storage = createStorage(localStorage);
const examples = createExamples();
const first = linked ?? readOpenTab(storage) ?? examples[0];

const graphiql = createElement(
  GraphiQL,
  {
    fetcher,
    storage,
    defaultTabs: linked ? [linked, ...examples] : examples,
    initialQuery: first.query ?? '',
    initialVariables: first.variables ?? '',
    // Or a token that somebody tries there stays in the browser's storage.
    shouldPersistHeaders: false,
  },
  createElement(ExampleTabs),
);
createRoot(document.querySelector('#root')).render(graphiql);
