// Attacks on rights: credentials that are refused, and other people's ids in every place where an id goes.
import { setTimeout as pause } from 'node:timers/promises';
import jwt from 'jsonwebtoken';
import { SECRET_KEY } from '../people.js';
import { frame, LEGACY_MODELS, MESSAGES, TYPING } from './load.js';
import { ANONYMOUS, REFUSED } from './oracle.js';

const SOCKET_LIFE_MS = 1500;
const EVERYTHING =
  '{ todos(first: 100) { nodes { title } } todoLists(first: 100) { nodes { name } } notes(first: 100) { nodes { title } } posts(first: 100) { nodes { title author { username } } } chatSessions(first: 20) { nodes { uri messages { nodes { message } } } } viewer { username email } }';
const PATHS = ['/notes', '/api/posts/', '/auth/me/', '/api/account/'];
const globalId = ({ type, id }) => Buffer.from(`${type}:${id}`).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);
const unsigned = (header, claims) =>
  `${[header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`;

/** A credential that is forged, expired or mutilated. */
function refusedHeaders(world, random) {
  const victim = random.oneOf(world.users);
  const claims = { user_id: Number(victim.id), username: victim.name, orig_iat: now(), exp: now() + 3600 };
  const valid = world.credentialOf(victim.index).headers;
  const [scheme, secret] = valid.authorization?.split(' ') ?? ['', ''];
  const at = random.between(0, Math.max(0, secret.length - 5));
  const cookieName = /^[^=]+/.exec(valid.cookie ?? 'tidings-session')[0];
  const token = random.oneOf([
    () => jwt.sign(claims, 'another secret, which is just as long'),
    () => jwt.sign({ ...claims, exp: now() - random.between(1, 1e6) }, SECRET_KEY),
    () => jwt.sign({ ...claims, user_id: random.oneOf([null, -1, 1e20, 0.5, {}, [], '__proto__', true]) }, SECRET_KEY),
    () => jwt.sign({ ...claims, sid: random.oneOf(['x', '__proto__', random.bytes(16).toString('hex')]) }, SECRET_KEY),
    () => jwt.sign({ ...claims, aud: 'tidings refresh' }, SECRET_KEY),
    () => jwt.sign(claims, SECRET_KEY, { algorithm: 'HS512' }),
    () => unsigned({ alg: 'none', typ: 'JWT' }, claims),
    () => unsigned({ alg: random.oneOf(['None', 'HS256', 'RS256', '__proto__']) }, claims),
    () => random.bytes(random.between(1, 60)).toString(random.oneOf(['hex', 'base64'])),
    () => 'x'.repeat(random.between(1, 8000)),
    () => '__proto__',
    () => 'a.b.c',
    () => `${secret.slice(0, at)}${secret.slice(at + 3)}`,
  ])();
  return random.chance(0.2)
    ? { cookie: `${cookieName}=${token.replace(/[^\w.-]/g, '')}z`, origin: world.client.url }
    : { authorization: `${random.oneOf(['Bearer', 'JWT', 'Token', scheme || 'Bearer'])} ${token}` };
}

/** Reads with a credential that is refused, or that has ended. */
async function useRefused(world, random) {
  const hasEnded = world.ended.length > 0 && random.chance(0.4);
  const viewer = hasEnded ? random.oneOf(world.ended) : { ...REFUSED, headers: refusedHeaders(world, random) };
  const kind = hasEnded ? 'attack: ended credential' : 'attack: refused credential';
  await random.oneOf([
    () => world.client.graphql(kind, viewer, EVERYTHING),
    () => world.client.send(kind, viewer, { path: random.oneOf(PATHS), headers: { 'x-requested-with': 'x' } }),
    () => probeSocket(world, random, kind, viewer),
    () => probeChangeSocket(world, random, kind, viewer),
    () => world.client.send(kind, viewer, { path: `/graphql?query=${encodeURIComponent(EVERYTHING)}` }),
  ])();
}

const OPERATIONS = {
  Todo: [
    'query ($id: ID!) { todo(id: $id) { title description owner { username email } } }',
    'mutation ($id: ID!) { updateTodo(id: $id, input: { completed: true }) { __typename ... on Todo { title } } }',
    'mutation ($id: ID!) { updateTodo(id: $id, input: { listId: null }) { __typename ... on Todo { title } } }',
    'mutation ($id: ID!) { updateTodos(ids: [$id], input: { completed: false }) { __typename ... on UpdatedTodos { todos { title } } } }',
    'mutation ($id: ID!) { deleteTodo(id: $id) { __typename ... on Todo { title } } }',
    'mutation ($id: ID!) { deleteTodos(ids: [$id]) { __typename ... on DeletedTodos { ids } } }',
  ],
  TodoList: [
    'query ($id: ID!) { todoList(id: $id) { name todos { totalCount nodes { title } } } }',
    'query ($id: ID!) { todos(filter: { listId: $id }) { totalCount nodes { title list { name } } } }',
    'mutation ($id: ID!) { createTodo(input: { title: "intruder", listId: $id }) { __typename ... on Todo { title list { name } } } }',
    'mutation ($id: ID!) { updateTodoList(id: $id, input: { name: "intruder" }) { __typename ... on TodoList { name } } }',
    'mutation ($id: ID!) { deleteTodoList(id: $id) { __typename ... on TodoList { name } } }',
  ],
  Note: [
    'query ($id: ID!) { note(id: $id) { title description owner { username email } } }',
    'mutation ($id: ID!) { updateNote(id: $id, input: { priority: 3 }) { __typename ... on Note { title } } }',
    'mutation ($id: ID!) { deleteNote(id: $id) { __typename ... on Note { title } } }',
  ],
  Post: [
    'query ($id: ID!) { post(id: $id) { title author { username email isStaff } } }',
    'mutation ($id: ID!) { updatePost(id: $id, input: { title: "intruder" }) { __typename ... on Post { title } } }',
    'mutation ($id: ID!) { deletePost(id: $id) { __typename ... on Post { title } } }',
  ],
  ChatMessage: [],
  ChatSession: [],
  Session: ['mutation ($id: ID!) { endSession(id: $id) { __typename ... on Session { id } } }'],
  AuthToken: ['mutation ($id: ID!) { endAuthToken(id: $id) { __typename ... on AuthToken { id } } }'],
  User: [
    'query ($id: ID!) { users(filter: { usernameContains: "zq" }) { nodes { username email } } nodes(ids: [$id]) { id } }',
    'query ($id: ID!) { auditEntries(filter: { subjectId: $id }) { nodes { subjectName details } } }',
    'mutation ($id: ID!) { setUserStatus(input: { userId: $id, isStaff: true }) { __typename } }',
    'mutation ($id: ID!) { setUserStatus(input: { userId: $id, isActive: false }) { __typename } }',
  ],
};
const NODE = `query ($id: ID!) { node(id: $id) { id ... on Todo { title list { name } owner { username } } ... on TodoList { name todos { nodes { title } } }
  ... on Note { title } ... on Post { title } ... on ChatMessage { message chatSession { uri } } ... on ChatSession { uri members { username } messages { nodes { message } } }
  ... on User { username email sessions { nodes { id } } authTokens { nodes { id } } } } }`;
const ON_URI = [
  'query ($uri: String!) { chatSession(uri: $uri) { uri members { username } messages { nodes { message } } } }',
  'mutation ($uri: String!, $name: String!) { sendMessage(uri: $uri, message: $name) { __typename ... on ChatMessage { message } } }',
  'mutation ($uri: String!, $name: String!) { addChatMembers(uri: $uri, usernames: [$name]) { __typename ... on ChatSession { members { username } } } }',
  'mutation ($uri: String!, $name: String!) { removeChatMember(uri: $uri, username: $name) { __typename ... on ChatSession { members { username } } } }',
  'mutation ($uri: String!) { renewChatUri(uri: $uri) { __typename ... on ChatSession { uri } } }',
  'mutation ($uri: String!) { setTyping(uri: $uri) }',
];
/** What an answer holds when something of somebody else was changed. */
const DONE =
  /"__typename":"(Post|Todo|TodoList|Note|UpdatedTodos|DeletedTodos|ChatSession|ChatMessage|User|Session|AuthToken)"|"setTyping":true/;
const IDS = ['0', '-1', '1e3', '99999999999999999999', '__proto__', '1 OR 1=1', '\0', '', 'null', '1.5', ' 1', '１'];

/** Whoever attacks with the ids of others: anybody but staff, who may. */
function intruder(world, random) {
  const user = world.someone();
  const mayBeStaff = world.oracle.holds(`staff ${user}`) || world.oracle.hasEndedLately(`staff ${user}`);
  return mayBeStaff || random.chance(0.2) ? ANONYMOUS : world.credentialOf(user);
}

function expectRefused(world, viewer, query, variables, { text }) {
  const wasPromoted = world.oracle.holds(`staff ${viewer.user}`);
  if (query.startsWith('mutation') && DONE.test(text) && !wasPromoted) {
    world.oracle.breach(
      `user ${viewer.user ?? '(anonymous)'} changed what is not theirs: ${query} ${frame(variables)}\n    ${text}`,
    );
  }
}

async function useForeignIds(world, random) {
  const kind = 'attack: ids of others';
  const viewer = intruder(world, random);
  const type = random.oneOf(Object.keys(OPERATIONS));
  const wanderingIds = new Set(world.wandering.map((todo) => todo?.id));
  const row = random.oneOf(
    world.rows[type].filter(({ owner, id }) => owner !== viewer.user && owner !== undefined && !wanderingIds.has(id)),
  );
  if (!row) {
    return;
  }
  const isJunk = random.chance(0.15);
  const id = isJunk ? random.oneOf(IDS) : row.id;
  if (OPERATIONS[type].length === 0 || random.chance(0.3)) {
    await world.client.graphql(kind, viewer, NODE, {
      id: isJunk ? id : globalId({ type: random.chance(0.8) ? type : random.oneOf(Object.keys(OPERATIONS)), id }),
    });
    return;
  }
  const query = random.oneOf(OPERATIONS[type]);
  const answer = await world.client.graphql(kind, viewer, query, { id });
  if (!isJunk) {
    expectRefused(world, viewer, query, { id }, answer);
  }
}

/** The chats that the viewer takes no part in, by their present or former uris. */
async function useForeignUris(world, random) {
  const kind = 'attack: chats of others';
  const viewer = intruder(world, random);
  const chat = random.oneOf(
    world.chats.filter(({ index }) => viewer === ANONYMOUS || world.isStranger(viewer.user, index)),
  );
  if (!chat) {
    return;
  }
  const uri = random.chance(0.3) && world.deadUris.length > 0 ? random.oneOf(world.deadUris) : chat.uri;
  const name = world.users[viewer.user ?? 2].name;
  await random.weighted([
    [
      4,
      async () => {
        const query = random.oneOf(ON_URI);
        const answer = await world.client.graphql(kind, viewer, query, { uri, name });
        if (world.isStranger(viewer.user, chat.index)) {
          expectRefused(world, viewer, query, { uri, name }, answer);
        }
      },
    ],
    // With its present uri, joining is allowed.
    [
      1,
      () =>
        uri !== chat.uri &&
        world.client.graphql(
          kind,
          viewer,
          'mutation ($uri: String!) { joinChat(uri: $uri) { __typename ... on ChatSession { uri } } }',
          { uri },
        ),
    ],
    [
      2,
      () =>
        world.client.send(kind, viewer, { path: `/api/chats/${uri}/messages/`, headers: { 'x-requested-with': 'x' } }),
    ],
    [1, () => listenIn(world, `/ws/chats/${uri}/`, kind, viewer)],
    [2, () => probeSocket(world, random, kind, viewer, uri)],
  ])();
}

/** Ids of others in the paths of the older clients. */
async function useForeignPaths(world, random) {
  const viewer = intruder(world, random);
  const of = (type) =>
    random.chance(0.2)
      ? encodeURIComponent(random.oneOf(IDS))
      : (random.oneOf(world.rows[type].filter(({ owner }) => owner !== viewer.user && owner !== undefined))?.id ?? 0);
  const note = { title: 'intruder', description: 'x', priority: 1, created_at: 'x', created_by: 'x' };
  const [method, path, body] = random.oneOf([
    ['GET', `/notes/${of('Note')}`],
    ['PUT', `/notes/${of('Note')}`, note],
    ['DELETE', `/notes/${of('Note')}`],
    ['PATCH', `/api/todos/${of('Todo')}`, { completed: true }],
    ['PUT', `/api/posts/${of('Post')}/`, { title: 'intruder', content: 'x' }],
    ['DELETE', `/api/posts/${of('Post')}/`],
    ['GET', `/api/posts/?limit=5&cursor=${encodeURIComponent(random.oneOf(world.cursors) ?? '')}`],
  ]);
  const headers = { 'content-type': 'application/json', 'x-requested-with': 'x' };
  const { status } = await world.client.send('attack: paths of others', viewer, {
    method,
    path,
    headers,
    ...(body && { body: frame(body) }),
  });
  const wandering = world.wandering.some((todo) => path.endsWith(`/${todo?.id}`));
  if (method !== 'GET' && status > 0 && status < 300 && !wandering && !world.oracle.holds(`staff ${viewer.user}`)) {
    world.oracle.breach(`user ${viewer.user ?? '(anonymous)'} changed what is not theirs: ${method} ${path}`);
  }
}

/** Cursors of others, of other lists and of the log, in every place where a cursor goes. */
async function useForeignCursors(world, random) {
  const cursor = random.chance(0.2)
    ? random.bytes(20).toString('base64url')
    : (random.oneOf(world.cursors) ?? random.oneOf(world.logCursors) ?? 'x');
  const direction = random.oneOf(['first: 50, after: $cursor', 'last: 50, before: $cursor']);
  const order = random.oneOf(['', ', orderBy: { field: ID }', ', orderBy: { field: ID, direction: DESC }']);
  const list = random.oneOf(['todos', 'todoLists', 'notes', 'posts', 'chatSessions']);
  const name = { todos: 'title', todoLists: 'name', notes: 'title', posts: 'title', chatSessions: 'uri' }[list];
  const query = `query ($cursor: String) { ${list}(${direction}${order}) { nodes { id ${name} } pageInfo { endCursor } } }`;
  await world.client.graphql('attack: cursors of others', intruder(world, random), query, { cursor });
}

/** Opens a socket and only listens, for a moment. */
async function listenIn(world, path, kind, viewer, options = {}) {
  const socket = await world.client.socket(kind, viewer, path, options);
  if (socket) {
    options.onOpen?.(socket);
    await pause(SOCKET_LIFE_MS);
    socket.terminate();
  }
}

/** Subscribes by WebSocket to rows of others, by the credential of the connection's header or of its first message. */
async function probeSocket(world, random, kind, viewer, uri = random.oneOf(world.chats).uri) {
  const row = random.oneOf(world.rows.Todo);
  const list = random.oneOf(world.rows.TodoList);
  const after = random.oneOf(world.logCursors) ?? null;
  const payloads = [
    {
      query: 'subscription ($id: ID, $after: String) { todoChanged(id: $id, after: $after) { action todo { title } } }',
      variables: { id: row.id, after },
    },
    {
      query:
        'subscription ($id: ID, $after: String) { todoChanged(listId: $id, after: $after) { action todo { title } } }',
      variables: { id: list.id, after },
    },
    { query: MESSAGES, variables: { uri, after } },
    { query: TYPING, variables: { uri } },
    {
      query: 'subscription ($uri: String!) { chatSessionChanged(uri: $uri) { chatSession { uri } } }',
      variables: { uri },
    },
    { query: EVERYTHING },
  ];
  const inMessage = viewer.headers?.authorization !== undefined && random.chance(0.5);
  await listenIn(world, '/graphql', kind, inMessage ? { ...viewer, headers: {} } : viewer, {
    protocol: 'graphql-transport-ws',
    onOpen: (socket) => {
      socket.send(frame({ type: 'connection_init', ...(inMessage && { payload: viewer.headers }) }));
      payloads.forEach((payload, index) => {
        socket.send(frame({ id: String(index), type: 'subscribe', payload }));
      });
    },
  });
}

async function probeChangeSocket(world, random, kind, viewer) {
  const secret = viewer.headers?.authorization?.split(' ')[1] ?? '';
  const byQuery = secret !== '' && random.chance(0.5);
  const path = byQuery ? `/ws/subscribe/?token=${encodeURIComponent(secret)}` : '/ws/subscribe/';
  await listenIn(world, path, kind, byQuery ? { ...viewer, headers: {} } : viewer, {
    onOpen: (socket) => {
      for (const [index, model] of LEGACY_MODELS.entries()) {
        socket.send(
          frame({
            request_id: index,
            model,
            value: random.between(1, 50),
            group_by: random.oneOf(['pk', 'list_id', 'chat_session_id']),
          }),
        );
        socket.send(
          frame({ type: 'subscribe', id: `${index}`, model, action: 'retrieve', lookup_by: random.between(1, 50) }),
        );
      }
    },
  });
}

export const INTRUDERS = [
  [5, useRefused],
  [6, useForeignIds],
  [4, useForeignUris],
  [4, useForeignPaths],
  [3, useForeignCursors],
  [1, (world, random) => probeChangeSocket(world, random, 'attack: ids of others by socket', intruder(world, random))],
];
