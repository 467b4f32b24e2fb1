// What the users of a run do: reads, writes over every transport, messages, sign-ins, and members who are removed and added again.
import { setTimeout as pause } from 'node:timers/promises';
import { Caller } from './caller.js';
import { messageMark, privateMark } from './journal.js';

const MIN_PAUSE_MS = 60;
const MAX_PAUSE_MS = 260;
const MAX_ROWS = 12;
const AWAY_MS = { from: 200, to: 1500 };
/** Every process refuses an ended session within a second, and this is a little more. */
const ENDED_WITHIN_MS = 1500;
const ENDED_LOOKS = 4;
const PASSWORD = 'a good long password';
export const OBTAIN =
  'mutation ($name: String!, $password: String!) { obtainToken(input: { username: $name, password: $password }) { __typename ... on TokenPair { token } } }';
const SIGN_UP =
  'mutation ($name: String!, $password: String!, $key: String) { signUp(idempotencyKey: $key, input: { username: $name, password: $password }) { __typename } }';
const CREATE_TODO =
  'mutation ($key: String!, $title: String!) { createTodo(idempotencyKey: $key, input: { title: $title }) { __typename ... on Todo { id: databaseId title } } }';
const UPDATE_TODO =
  'mutation ($id: ID!, $title: String!) { updateTodo(id: $id, input: { title: $title }) { __typename ... on Todo { id: databaseId title } } }';
const DELETE_TODO = 'mutation ($id: ID!) { deleteTodo(id: $id) { __typename } }';
const CREATE_POST =
  'mutation ($key: String!, $title: String!) { createPost(idempotencyKey: $key, input: { title: $title, content: $title }) { __typename ... on Post { id: databaseId } } }';
const DELETE_POST = 'mutation ($id: ID!) { deletePost(id: $id) { __typename } }';
const SEND =
  'mutation ($key: String!, $uri: String!, $message: String!) { sendMessage(idempotencyKey: $key, uri: $uri, message: $message) { __typename ... on ChatMessage { id: databaseId } } }';
const ADD = 'mutation ($uri: String!, $name: String!) { addChatMembers(uri: $uri, usernames: [$name]) { __typename } }';
const REMOVE =
  'mutation ($uri: String!, $name: String!) { removeChatMember(uri: $uri, username: $name) { __typename } }';
const JOIN = 'mutation ($uri: String!) { joinChat(uri: $uri) { __typename } }';
const READS = [
  '{ cursor todos(first: 50) { totalCount nodes { id title owner { username } } } }',
  '{ todos(first: 20, filter: { titleContains: "u" }, orderBy: { field: UPDATED_AT, direction: DESC }) { nodes { title } } }',
  '{ notes(first: 50) { nodes { id title description } } }',
  '{ posts(first: 20) { nodes { id title author { username } } } }',
  '{ chatSessions(first: 20) { nodes { uri members { username } messages(last: 20) { nodes { message user { username } } } } } }',
];

/** Makes the account of a user, and signs them in. */
export async function signUp(caller) {
  const variables = { name: caller.name, password: PASSWORD, key: `sign-up ${caller.name}` };
  await caller.persist(() => caller.graphql(SIGN_UP, variables));
  await signIn(caller);
}

async function signIn(caller) {
  const { obtainToken } = await caller.persist(() => caller.graphql(OBTAIN, { name: caller.name, password: PASSWORD }));
  if (obtainToken.token === undefined) {
    caller.journal.find('errors', `User ${caller.index} could not sign in: ${obtainToken.__typename}`);
    return;
  }
  caller.token = obtainToken.token;
  caller.journal.count('sign-ins');
}

/** One of the things that a user does at the same time, one after the other. Its rows are written by it alone. */
export class Worker {
  #todos = [];
  #notes = [];
  #posts = [];

  /** `ask` is the transport of its operations. */
  constructor({ caller, chats, random, next, ask }) {
    Object.assign(this, { caller, chats, random, next, ask, journal: caller.journal });
  }

  async work() {
    const { random, caller } = this;
    while (!caller.run.isOver()) {
      await random.weighted([
        [6, () => this.#read()],
        [6, () => this.#writeTodo()],
        [2, () => this.#toggleTodo()],
        [2, () => this.#writeNote()],
        [1, () => this.#writePost()],
        [6, () => this.#say()],
        [0.3, () => signIn(caller)],
        [0.3, () => this.#endSession()],
      ])();
      await pause(random.between(MIN_PAUSE_MS, MAX_PAUSE_MS));
    }
  }

  /** Carries a mutation out, however often it has to be sent. Returns its result, or null when it is not of the expected types. */
  async #mutate(query, variables, types) {
    const data = await this.caller.persist(() => this.ask(query, variables));
    const [result] = Object.values(data);
    if (!types.includes(result.__typename)) {
      this.journal.find('errors', `User ${this.caller.index}: ${query} answered ${JSON.stringify(result)}`);
      return null;
    }
    return result;
  }

  /** Signs in once more, ends that session, and looks a little later whether a node still accepts it. */
  async #endSession() {
    const { caller, journal } = this;
    const other = new Caller(caller);
    await signIn(other);
    const ended = await other.graphql('mutation { destroyAuthToken }');
    if (ended?.destroyAuthToken) {
      const since = performance.now();
      await pause(ENDED_WITHIN_MS);
      for (let times = 0; times < ENDED_LOOKS; times += 1) {
        const answer = await other.rest('/auth/me', { expected: [200, 401] });
        journal.count('uses of ended sessions');
        if (answer?.status === 200) {
          journal.accepted(`User ${caller.index}'s session was accepted after its end.`, since);
        }
      }
    }
    other.close();
  }

  async #read() {
    const { random, caller } = this;
    await (random.chance(0.3)
      ? caller.rest(random.oneOf(['/notes', '/api/posts/?limit=20', '/auth/me']))
      : this.ask(random.oneOf(READS)));
  }

  async #writeTodo() {
    const { random, journal, caller } = this;
    const title = privateMark('T', caller.index, this.next());
    const row = random.chance(0.5) ? random.oneOf(this.#todos) : undefined;
    if (!row && this.#todos.length < MAX_ROWS) {
      const todo = await this.#mutate(CREATE_TODO, { key: title, title }, ['Todo']);
      this.#todos.push({ id: todo.id, title, completed: false });
      journal.acknowledge('Todo', 'INSERT', title);
    } else if (row && random.chance(0.7)) {
      await this.#mutate(UPDATE_TODO, { id: row.id, title }, ['Todo']);
      row.title = title;
      journal.acknowledge('Todo', 'UPDATE', title);
    } else {
      const gone = row ?? this.#todos[0];
      this.#todos = this.#todos.filter((todo) => todo !== gone);
      // The first attempt may have deleted it although its answer was lost.
      await this.#mutate(DELETE_TODO, { id: gone.id }, ['Todo', 'NotFoundError']);
      journal.acknowledge('Todo', 'DELETE', gone.title);
    }
  }

  async #toggleTodo() {
    const row = this.random.oneOf(this.#todos);
    if (row) {
      row.completed = !row.completed;
      const body = { completed: row.completed };
      await this.caller.persist(() => this.caller.rest(`/api/todos/${row.id}`, { method: 'PATCH', body }));
      this.journal.toggle(row.id, row.completed);
    }
  }

  async #writeNote() {
    const { random, journal, caller } = this;
    const title = privateMark('N', caller.index, this.next());
    const body = { title, description: title, priority: 1, created_at: 'now', created_by: caller.name };
    const row = random.chance(0.6) ? random.oneOf(this.#notes) : undefined;
    if (!row && this.#notes.length < MAX_ROWS) {
      const { text } = await caller.persist(() => caller.rest('/notes', { method: 'POST', body, key: title }));
      const { id } = JSON.parse(text).notes.find((note) => note.title === title) ?? {};
      if (id === undefined) {
        journal.find('errors', `The answer to POST /notes does not contain ${title}.`);
      }
      this.#notes.push({ id, title });
      journal.acknowledge('Note', 'INSERT', title);
    } else if (row && random.chance(0.6)) {
      await caller.persist(() => caller.rest(`/notes/${row.id}`, { method: 'PUT', body }));
      row.title = title;
      journal.acknowledge('Note', 'UPDATE', title);
    } else {
      const gone = row ?? this.#notes[0];
      this.#notes = this.#notes.filter((note) => note !== gone);
      const expected = [200, 204, 404];
      await caller.persist(() => caller.rest(`/notes/${gone.id}`, { method: 'DELETE', expected }));
      journal.acknowledge('Note', 'DELETE', gone.title);
    }
  }

  async #writePost() {
    const title = `P${this.next()}`;
    if (this.#posts.length < MAX_ROWS) {
      const { id } = await this.#mutate(CREATE_POST, { key: title, title }, ['Post']);
      this.#posts.push({ id, title });
      this.journal.acknowledge('Post', 'INSERT', title);
    } else {
      const gone = this.#posts.shift();
      await this.#mutate(DELETE_POST, { id: gone.id }, ['Post', 'NotFoundError']);
      this.journal.acknowledge('Post', 'DELETE', gone.title);
    }
  }

  async #say() {
    const { random, journal, caller } = this;
    const chat = random.oneOf(this.chats.filter(({ members }) => members.includes(caller.index)));
    const message = messageMark(chat.index, this.next());
    journal.sends(message);
    if (random.chance(0.3)) {
      const path = `/api/chats/${chat.uri}/messages/`;
      const expected = [200, 201, 404];
      const { status } = await caller.persist(() =>
        caller.rest(path, { method: 'POST', body: { message }, key: message, expected }),
      );
      if (status !== 404) {
        journal.acknowledge('ChatMessage', 'INSERT', message);
      }
      return;
    }
    const types = ['ChatMessage', 'NotFoundError'];
    const result = await this.#mutate(SEND, { key: message, uri: chat.uri, message }, types);
    if (result?.__typename === 'ChatMessage') {
      journal.acknowledge('ChatMessage', 'INSERT', message);
    }
  }
}

/** Removes members from chats and adds them again, and looks whether those who were removed can come back by themselves. */
export async function changeMembers({ chats, callers, random, run, journal }) {
  const ask = (caller, query, variables) => caller.persist(() => caller.graphql(query, variables));
  while (!run.isOver()) {
    const chat = random.oneOf(chats);
    const owner = callers[chat.owner];
    const member = callers[random.oneOf(chat.members.filter((index) => index !== chat.owner))];
    const variables = { uri: chat.uri, name: member.name };
    const { removeChatMember } = await ask(owner, REMOVE, variables);
    if (removeChatMember.__typename !== 'ChatSession') {
      journal.find('errors', `A removal answered ${removeChatMember.__typename}.`);
    }
    journal.removed(member.index, chat.index);
    journal.count('removals of members');
    const { joinChat } = await ask(member, JOIN, { uri: chat.uri });
    if (joinChat.__typename !== 'NotFoundError') {
      journal.find('unauthorised', `User ${member.index} joined chat ${chat.index} after the removal.`);
    }
    await pause(random.between(AWAY_MS.from, AWAY_MS.to));
    journal.adds(member.index, chat.index);
    await ask(owner, ADD, variables);
    await pause(random.between(AWAY_MS.from, AWAY_MS.to));
  }
}
