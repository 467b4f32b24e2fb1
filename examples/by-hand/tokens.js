// What the examples beside this file have in common: the tokens of a session, and a socket that has a valid one at each connection.
import { setTimeout } from 'node:timers/promises';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

// Node 20 has none of its own. GraphQLWsLink of Apollo reads the global one.
globalThis.WebSocket ??= WebSocket;

const PAIR = '... on TokenPair { token refreshToken } ... on Error { message }';
const OBTAIN = `mutation Obtain($input: LoginInput!) { pair: obtainToken(input: $input) { ${PAIR} } }`;
const REFRESH = `mutation Refresh($token: String!) { pair: refreshToken(refreshToken: $token) { ${PAIR} } }`;

/** The session has ended: only its user can begin another one. */
class SignedOutError extends Error {}

/** Signs in. `get` returns the access token, and `expire` has `get` return another one. */
export async function signIn(url, username, password) {
  const request = async (query, variables) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = await response.json();
    if (errors) {
      throw new Error(errors[0].message);
    }
    if (data.pair.message) {
      throw new SignedOutError(data.pair.message);
    }
    return data.pair;
  };
  let pair = request(OBTAIN, { input: { username, password } });
  await pair;
  let isExpired = false;
  return {
    // One refresh at a time: a refresh token is used once.
    get: async () => {
      if (isExpired) {
        isExpired = false;
        const { refreshToken } = await pair;
        const present = pair;
        pair = request(REFRESH, { token: refreshToken });
        pair.catch((error) => {
          if (!(error instanceof SignedOutError)) {
            // The server was not reached: the same token is used again.
            pair = present;
            isExpired = true;
          }
        });
      }
      return (await pair).token;
    },
    expire: () => {
      isExpired = true;
    },
  };
}

/** A `fetch` that sends the access token, and tries once more with another one when it is refused: by 401, if it accepts this type. */
export const fetchWith = (tokens) => async (input, init) => {
  const accept = 'application/graphql-response+json';
  const send = async () =>
    fetch(input, { ...init, headers: { accept, ...init.headers, authorization: `Bearer ${await tokens.get()}` } });
  const response = await send();
  if (response.status !== 401) {
    return response;
  }
  tokens.expire();
  return send();
};

/** A socket that is opened again after each loss, for ever, until the session has ended: then its subscriptions end with an error. */
export const openSocket = (url, tokens) =>
  createClient({
    url: url.replace('http', 'ws'),
    connectionParams: async () => ({ authorization: `Bearer ${await tokens.get()}` }),
    retryAttempts: Number.POSITIVE_INFINITY,
    // Random, so that not all clients return at the same moment.
    retryWait: (retries) => setTimeout((0.5 + Math.random() / 2) * Math.min(10_000, 500 * 2 ** retries)),
    shouldRetry: (cause) => !(cause instanceof SignedOutError),
    on: {
      // The credential has ended. Without this, the client would connect with the same one for ever.
      closed: ({ code }) => code === 4403 && tokens.expire(),
    },
  });

/** Whether the missed events can no longer be delivered: load the data again, and subscribe after its cursor. */
export const isResync = (errors) => Array.isArray(errors) && errors[0]?.extensions?.code === 'RESYNC_REQUIRED';

/** Ends the example. */
export function fail(cause) {
  process.stderr.write(`${cause?.reason ?? cause?.message ?? JSON.stringify(cause)}\n`);
  process.exit(1);
}
