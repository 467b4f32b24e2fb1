// What clients normally do: reads, pages, writes, messages, and subscriptions over every transport that resume where they were cut.
import { setTimeout as pause } from 'node:timers/promises';
import { ANONYMOUS, mark } from './oracle.js';

const RECONNECT_MS = 500;
const MAX_LIFE_MS = 20_000;
/** How many rows of each type there are about: beyond them, one is deleted for each that is made. */
const ROWS = 200;

const READS = [
  '{ cursor todos(first: 50) { totalCount edges { cursor node { id databaseId title description owner { username } list { name } } } pageInfo { endCursor } } }',
  '{ todoLists(first: 20) { nodes { id name todos(first: 10) { totalCount nodes { id title } } } } }',
  '{ notes(first: 100, orderBy: { field: TITLE, direction: DESC }) { edges { cursor node { id title description createdBy } } } }',
  '{ posts(first: 20) { pageInfo { endCursor } nodes { id title content author { username email } } } }',
  '{ chatSessions(first: 20) { nodes { id uri owner { username email } members { username email } messages(last: 10) { edges { cursor node { id message user { username } } } } } } }',
  '{ viewer { id username email sessions(first: 5) { nodes { id } } authTokens(first: 5) { nodes { id } } } }',
  '{ todos(first: 30, filter: { titleContains: "zq" }, orderBy: { field: UPDATED_AT, direction: DESC }) { edges { cursor node { title } } } }',
];
const SEND =
  'mutation ($uri: String!, $message: String!) { sendMessage(uri: $uri, message: $message) { __typename ... on ChatMessage { id: databaseId message } } }';

const SUBSCRIPTIONS = [
  'subscription ($after: String) { todoChanged(after: $after) { action cursor id todo { id title description owner { username } list { name } } } }',
  'subscription ($after: String) { todoListChanged(after: $after) { action cursor id todoList { name todos(first: 5) { nodes { title } } } } }',
  'subscription ($after: String) { noteChanged(after: $after) { action cursor id note { title description } } }',
  'subscription ($after: String) { postChanged(after: $after) { action cursor id post { title author { username email } } } }',
  'subscription ($after: String) { chatSessionChanged(after: $after) { action cursor id chatSession { uri members { username email } messages(last: 3) { nodes { message } } } } }',
];
export const MESSAGES =
  'subscription ($uri: String!, $after: String) { chatMessageChanged(uri: $uri, after: $after) { action cursor id chatMessage { message user { username email } chatSession { uri } } } }';
export const TYPING = 'subscription ($uri: String!) { chatTyping(uri: $uri) { users { username email } } }';
export const LEGACY_MODELS = [
  'todolist.Task',
  'todos.Todo',
  'todolist.List',
  'notes.Note',
  'posts.Post',
  'chat.ChatSession',
  'chat.ChatSessionMessage',
];

export const frame = (value) => JSON.stringify(value);
const JSON_HEADERS = { 'content-type': 'application/json' };

/** Does one thing that a client does; returns the answer. */
export async function act(world, random) {
  const { client } = world;
  const user = world.someone();
  const viewer = random.chance(0.1) ? ANONYMOUS : world.credentialOf(user);
  const write = viewer !== ANONYMOUS && !world.isKeeper(user);
  return random.weighted([
    [10, () => read(world, random, viewer)],
    [
      6,
      () =>
        client.send('load: REST read', viewer, { path: restPath(world, random), headers: { 'x-requested-with': 'x' } }),
    ],
    [8, () => write && writeRow(world, random, viewer)],
    [4, () => write && say(world, random, viewer)],
    [3, () => write && writeByRest(world, random, viewer)],
    [1, () => viewer === ANONYMOUS && writeForEverybody(world, random)],
  ])();
}

async function read(world, random, viewer) {
  const answer = await world.client.graphql('load: read', viewer, random.oneOf(READS));
  world.noteCursors(answer.text);
  world.noteCredentials(answer.data?.viewer ?? {}, viewer.user);
  return answer;
}

function restPath(world, random) {
  const { uri } = random.oneOf(world.chats);
  return random.oneOf([
    '/notes',
    '/api/posts/?limit=20',
    '/api/posts/?limit=10&cursor=',
    `/api/chats/${uri}/messages/?limit=20`,
    '/auth/me/',
    '/api/account/',
    `/notes/${random.oneOf(world.rows.Note).id}`,
  ]);
}

function writeRow(world, random, viewer) {
  const { user } = viewer;
  const type = random.oneOf(['Todo', 'Todo', 'Note', 'Post']);
  const kind = `load: ${type.toLowerCase()}`;
  const text = mark(type === 'Post' ? 'P' : 'O', user);
  const title = `${text} ${random.between(0, 999)}`;
  const rest = { Todo: { description: text }, Note: { description: text, priority: 1 }, Post: { content: text } }[type];
  const own = world.rows[type].filter(({ owner }) => owner === user);
  const { id } = random.chance(0.3) && own.length < ROWS / 10 ? {} : (random.oneOf(own) ?? {});
  const wandering = world.wandering.find((todo) => todo?.owner === user);
  if (wandering && random.chance(0.3)) {
    const query =
      'mutation ($id: ID!, $completed: Boolean) { updateTodo(id: $id, input: { completed: $completed }) { __typename ... on Todo { title } } }';
    return world.client.graphql(kind, viewer, query, { id: wandering.id, completed: random.chance(0.5) });
  }
  if (id === undefined) {
    const listId = type === 'Todo' ? { listId: random.oneOf([null, ...world.users[user].lists]) } : {};
    return world.make(viewer, type, { title, ...rest, ...listId }, kind);
  }
  const query = random.chance(own.length > 5 ? 0.2 : 0)
    ? `mutation ($id: ID!) { delete${type}(id: $id) { __typename } }`
    : `mutation ($id: ID!, $input: Update${type}Input!) { update${type}(id: $id, input: $input) { __typename ... on ${type} { id title } } }`;
  if (query.includes(' delete')) {
    world.rows[type] = world.rows[type].filter((row) => row.id !== id);
    return world.client.graphql(kind, viewer, query, { id });
  }
  return world.client.graphql(kind, viewer, query, { id, input: { title } });
}

async function say(world, random, viewer) {
  const chat = random.oneOf(world.chats.filter(({ index }) => world.mayBeMember(viewer.user, index)));
  if (!chat) {
    return undefined;
  }
  const variables = { uri: chat.uri, message: `${mark('C', chat.index)} said ${random.between(0, 999)}` };
  if (random.chance(0.2)) {
    return world.client.graphql('load: typing', viewer, 'mutation ($uri: String!) { setTyping(uri: $uri) }', variables);
  }
  const answer = await world.client.graphql('load: message', viewer, SEND, variables);
  const id = answer.data?.sendMessage?.id;
  if (id !== undefined) {
    world.noteMessage(id, viewer.user);
  }
  return answer;
}

function writeByRest(world, random, viewer) {
  const text = mark('O', viewer.user);
  const note = { title: text, description: text, priority: 1, created_at: 'now', created_by: 'me' };
  const ownNote = random.oneOf(world.rows.Note.filter(({ owner }) => owner === viewer.user));
  const ownTodo = random.oneOf(world.rows.Todo.filter(({ owner }) => owner === viewer.user));
  const chat = random.oneOf(world.chats);
  const [method, path, body] = random.oneOf([
    ['PUT', `/notes/${ownNote?.id ?? 0}`, note],
    ['PATCH', `/api/todos/${ownTodo?.id ?? 0}`, { completed: random.chance(0.5) }],
    ['POST', `/api/chats/${chat.uri}/messages/`, { message: `${mark('C', chat.index)} by REST` }],
    ['PATCH', '/auth/me/', { email: `${mark('E', viewer.user)}@example.org` }],
  ]);
  return world.client.send('load: REST write', viewer, {
    method,
    path,
    headers: JSON_HEADERS,
    body: JSON.stringify(body),
  });
}

async function writeForEverybody(world, random) {
  const kind = 'load: without an owner';
  const rows = world.rows.Todo.filter(({ owner }) => owner === undefined);
  if (rows.length < 20) {
    return world.make(ANONYMOUS, 'Todo', { title: mark('N', 0) }, kind);
  }
  const query = 'mutation ($id: ID!) { deleteTodo(id: $id) { __typename } }';
  const { id } = random.oneOf(rows);
  world.rows.Todo = world.rows.Todo.filter((row) => row.id !== id);
  return world.client.graphql(kind, ANONYMOUS, query, { id });
}

/** Keeps a client of each transport subscribed as a user to all that they may see, until `isOver()`. */
export function subscribe(world, random, user, isOver) {
  return Promise.all(
    [overWebSocket, overEventStream, overChangeSocket, overChatSocket].map(async (connect) => {
      while (!isOver()) {
        if (world.users[user].credentials.length > 0) {
          await connect(world, random, world.credentialOf(user));
        }
        await pause(RECONNECT_MS * (1 + random.next()));
      }
    }),
  );
}

/** Resolves when the socket is closed, which the client does by itself after a while. */
function untilClosed(world, random, viewer, path, { protocol, onOpen, onText = () => undefined, query = '' }) {
  return new Promise((resolve) => {
    world.client
      .socket(`socket ${path}`.replace(/[0-9a-f]{15}/, '<uri>'), viewer, `${path}${query}`, {
        protocol,
        onText,
        onClose: resolve,
      })
      .then((socket) => {
        if (socket) {
          onOpen(socket);
          setTimeout(() => socket.close(), random.between(1000, MAX_LIFE_MS)).unref();
        }
      });
  });
}

function overWebSocket(world, random, viewer) {
  const after = random.chance(0.5) ? null : (random.oneOf(world.logCursors) ?? null);
  return untilClosed(world, random, viewer, '/graphql', {
    protocol: 'graphql-transport-ws',
    onOpen: (socket) => socket.send('{"type":"connection_init"}'),
    onText: (text, socket) => {
      if (text.includes('"connection_ack"')) {
        SUBSCRIPTIONS.forEach((query, index) => {
          socket.send(frame({ id: `s${index}`, type: 'subscribe', payload: { query, variables: { after } } }));
        });
        for (const { index, uri } of world.chats.filter((chat) => world.mayBeMember(viewer.user, chat.index))) {
          socket.send(
            frame({ id: `m${index}`, type: 'subscribe', payload: { query: MESSAGES, variables: { uri, after } } }),
          );
          socket.send(frame({ id: `t${index}`, type: 'subscribe', payload: { query: TYPING, variables: { uri } } }));
        }
      }
      noteLogCursor(world, random, text);
    },
  });
}

/** Keeps some positions of the log, so that later subscriptions begin there and receive a replay by the rights that they have then. */
function noteLogCursor(world, random, text) {
  const [, cursor] = /"cursor":"([^"]+)"/.exec(text) ?? [];
  if (cursor && random.chance(0.01)) {
    world.logCursors[random.between(0, 20)] = cursor;
  }
}

function overEventStream(world, random, viewer) {
  const query = random.oneOf(SUBSCRIPTIONS).replace('($after: String) ', '').replace('(after: $after) ', '');
  return world.client.stream('event stream', viewer, query, {
    onOpen: (request) => setTimeout(() => request.destroy(), random.between(1000, MAX_LIFE_MS)).unref(),
  });
}

function overChangeSocket(world, random, viewer) {
  return untilClosed(world, random, viewer, '/ws/subscribe/', {
    onOpen: (socket) => {
      LEGACY_MODELS.forEach((model, index) => {
        socket.send(frame({ type: 'subscribe', id: index, model, action: 'list' }));
      });
    },
  });
}

function overChatSocket(world, random, viewer) {
  const { uri } = random.oneOf(world.chats);
  return untilClosed(world, random, viewer, `/ws/chats/${uri}/`, {
    onOpen: () => undefined,
    query: random.oneOf(['', '?after=']),
  });
}
