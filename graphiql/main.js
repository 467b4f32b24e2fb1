// GraphiQL as the server shows it: queries over HTTP, subscriptions over WebSocket, and the form that signs in.
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { parse } from 'graphql';
import { createElement } from 'react';
import { createRoot } from 'react-dom/client';
import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './account.css';
import './account.js';

const WELCOME = `# Welcome to Tidings. Make an account, then sign in above:
#
#   mutation { signUp(input: { username: "ann", password: "a good long one" }) { ... on User { id } ... on ValidationError { fields { path message } } } }

{
  viewer { username }
  todos(first: 10) { nodes { id title completed } }
}
`;

const url = `${location.origin}${location.pathname}`;
const send = createGraphiQLFetcher({ url, subscriptionUrl: url.replace('http', 'ws') });

/** Sends an operation. GraphiQL parses the editor's text with a delay, and a subscription that it takes for a query of before would go over HTTP. */
function fetcher(params, options) {
  return send(params, { ...options, documentAST: parsed(params.query) ?? options?.documentAST });
}

/** Returns the document of a text; null when it has a syntax error, which the server reports. */
function parsed(text) {
  try {
    return parse(text);
  } catch {
    return null;
  }
}

const graphiql = createElement(GraphiQL, {
  fetcher,
  defaultQuery: WELCOME,
  // Or a token that somebody tries there stays in the browser's storage.
  shouldPersistHeaders: false,
});
createRoot(document.querySelector('#root')).render(graphiql);
