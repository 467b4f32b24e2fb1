// The users of the run, what they own, and the changes of their rights, of which the oracle learns before a right begins and after it has ended.
import { setTimeout as pause } from 'node:timers/promises';
import { isSqlite } from '../databases.js';
import { sqlOn } from '../people.js';
import { ANONYMOUS, mark } from './oracle.js';

const USERS = 12;
/** The one who changes the status of others; their own status stays. */
const ROOT = 0;
/** Somebody with whose rows and rights nobody else has anything to do: at the end all must be as it was. */
const KEEPER = 1;
const CHATS = 5;
const MEMBERS = 4;
const LISTS = 3;
const WANDERING = 6;
const ROWS_KEPT = 300;
const ENDED_KEPT = 60;
const AWAY_MS = 2500;

const SIGN_UP =
  'mutation ($input: SignUpInput!) { signUp(input: $input) { __typename ... on User { id: databaseId } } }';
const OBTAIN =
  'mutation ($input: LoginInput!) { obtainToken(input: $input) { __typename ... on TokenPair { token refreshToken } } }';
const KEY =
  'mutation ($input: LoginInput!) { createAuthToken(input: $input) { __typename ... on AuthTokenKey { authToken } } }';
const COOKIE = 'mutation ($input: LoginInput!) { signIn(input: $input) { __typename } }';
const STATUS =
  'mutation ($input: SetUserStatusInput!) { setUserStatus(input: $input) { __typename ... on User { isStaff isActive } } }';
const ADD = 'mutation ($uri: String!, $name: String!) { addChatMembers(uri: $uri, usernames: [$name]) { __typename } }';
const REMOVE =
  'mutation ($uri: String!, $name: String!) { removeChatMember(uri: $uri, username: $name) { __typename } }';
const JOIN = 'mutation ($uri: String!) { joinChat(uri: $uri) { __typename ... on ChatSession { uri } } }';
const LEAVE = 'mutation ($uri: String!) { leaveChat(uri: $uri) { __typename } }';
const RENEW = 'mutation ($uri: String!) { renewChatUri(uri: $uri) { __typename ... on ChatSession { uri } } }';
const PASSWORD =
  'mutation ($input: ChangePasswordInput!) { changePassword(input: $input) { __typename ... on TokenPair { token } } }';
const range = (count) => Array.from({ length: count }, (_, index) => index);

export class World {
  users = [];
  chats = [];
  /** Ids of the rows that were made, by type, each with its owner: what attacks ask for. */
  rows = {
    Todo: [],
    TodoList: [],
    Note: [],
    Post: [],
    ChatMessage: [],
    ChatSession: [],
    User: [],
    Session: [],
    AuthToken: [],
  };
  /** Uris that their owner has renewed since. */
  deadUris = [];
  /** Credentials that are ended: nobody may get anything with them. */
  ended = [];
  /** Cursors of pages, whoever got them. */
  cursors = [];
  /** Positions of the log, at which subscriptions begin. */
  logCursors = [];
  /** The todos whose owner changes, by their marks. */
  wandering = [];

  constructor(client, oracle, database, random) {
    Object.assign(this, { client, oracle, database, random });
  }

  async fill() {
    for (const user of range(USERS)) {
      await this.#makeUser(user);
    }
    const { id } = this.users[ROOT];
    const isStaff = isSqlite(this.database) ? 1 : true;
    await sqlOn(this.database, `UPDATE "User" SET "isStaff" = ? WHERE "id" = ?`, [isStaff, id]);
    this.oracle.begin(`staff ${ROOT}`);
    for (const { index } of this.users) {
      for (const kind of ['bearer', 'key', 'cookie'].slice(0, index === KEEPER ? 1 : 3)) {
        await this.signIn(index, kind);
      }
      await this.#makeRows(index);
    }
    for (const chat of range(CHATS)) {
      await this.#makeChat(chat, chat + 1);
    }
    await this.make(ANONYMOUS, 'Todo', { title: `${mark('N', 0)} of everybody` });
    this.kept = await this.#keepersRows();
  }

  async #makeUser(index) {
    const name = mark('U', index);
    const user = { index, name, password: `first password ${index}`, credentials: [], lists: [] };
    const input = { username: name, password: user.password, email: `${mark('E', index)}@example.org` };
    this.oracle.begin(`active ${index}`);
    const viewer = { user: index, until: Number.POSITIVE_INFINITY };
    const { data, text } = await this.client.graphql('set-up', viewer, SIGN_UP, { input });
    if (!data?.signUp?.id) {
      throw new Error(`The sign-up failed: ${text}`);
    }
    user.id = data.signUp.id;
    this.users.push(user);
    this.oracle.addUser(index, user.id);
    this.#note('User', user.id, index);
  }

  async #makeRows(index) {
    const viewer = this.credentialOf(index);
    for (const list of range(LISTS)) {
      const id = await this.make(viewer, 'TodoList', { name: `${mark('O', index)} list ${list}` });
      this.users[index].lists.push(id);
      await this.make(viewer, 'Todo', {
        title: `${mark('O', index)} todo ${list}`,
        description: mark('O', index),
        listId: id,
      });
    }
    await this.make(viewer, 'Note', { title: mark('O', index), description: mark('O', index), priority: index });
    await this.make(viewer, 'Post', { title: mark('P', index), content: mark('P', index) });
  }

  async #makeChat(chat, owner) {
    const query = 'mutation { createChatSession { id: databaseId uri } }';
    const { data } = await this.client.graphql('set-up', this.credentialOf(owner), query);
    const { id, uri } = data.createChatSession;
    this.chats.push({ index: chat, id, uri, owner });
    this.oracle.addUri(chat, uri);
    this.oracle.begin(`member ${owner} ${chat}`);
    this.#note('ChatSession', id, owner);
    for (const member of range(MEMBERS)) {
      await this.#join(this.chats[chat], (owner + 2 * member + 1) % USERS);
    }
  }

  /** Makes a row; returns its id, or undefined when it was refused. */
  async make(viewer, type, input, kind = 'set-up') {
    const query = `mutation ($input: Create${type}Input!) { create${type}(input: $input) { __typename ... on ${type} { id: databaseId } } }`;
    const { data } = await this.client.graphql(kind, viewer, query, { input });
    const id = data?.[`create${type}`]?.id;
    if (id !== undefined) {
      this.#note(type, id, viewer.user);
    }
    return id;
  }

  #note(type, id, owner) {
    const rows = this.rows[type];
    if ((type === 'Session' || type === 'AuthToken') && rows.some((row) => row.id === id)) {
      return;
    }
    rows.push({ type, id, owner });
    if (rows.length > ROWS_KEPT) {
      // The first rows, which the set-up made, stay.
      rows.splice(this.random.between(USERS * LISTS, ROWS_KEPT - 1), 1);
    }
  }

  noteMessage(id, owner) {
    this.#note('ChatMessage', id, owner);
  }

  noteCredentials({ sessions, authTokens }, owner) {
    for (const { id } of sessions?.nodes ?? []) {
      this.#note('Session', id, owner);
    }
    for (const { id } of authTokens?.nodes ?? []) {
      this.#note('AuthToken', id, owner);
    }
  }

  noteCursors(text) {
    for (const [, cursor] of text.matchAll(/"(?:cursor|endCursor|startCursor)":"([^"]+)"/g)) {
      this.cursors[this.random.between(0, ROWS_KEPT)] = cursor;
    }
  }

  /** A credential of the user that is not known to have ended; otherwise one that is refused. */
  credentialOf(index) {
    const { credentials } = this.users[index];
    return credentials.length > 0 ? this.random.oneOf(credentials) : this.random.oneOf(this.ended);
  }

  /** A user whose account is open. */
  someone() {
    const open = this.users.filter(({ credentials }) => credentials.length > 0);
    return this.random.oneOf(open).index;
  }

  mayBeMember(user, chat) {
    return this.oracle.holds(`member ${user} ${chat}`);
  }

  /** Whether the user takes no part in the chat, nor did just before. */
  isStranger(user, chat) {
    return !this.oracle.hasEndedLately(`member ${user} ${chat}`);
  }

  #addCredential(user, kind, headers) {
    if (Object.values(headers).some((value) => /undefined/.test(value))) {
      return;
    }
    this.users[user].credentials.push({ user, kind, headers, until: Number.POSITIVE_INFINITY });
  }

  #endCredentials(user, ended = this.users[user].credentials) {
    const now = performance.now();
    for (const credential of ended) {
      credential.until = now;
    }
    this.ended.push(...ended);
    this.ended.splice(0, this.ended.length - ENDED_KEPT);
    this.users[user].credentials = this.users[user].credentials.filter((credential) => !ended.includes(credential));
  }

  async signIn(index, kind) {
    const { name, password } = this.users[index];
    const viewer = { user: index, until: Number.POSITIVE_INFINITY };
    const variables = { input: { username: name, password } };
    if (kind === 'cookie') {
      const origin = this.client.url;
      const { headers } = await this.client.graphql('sign-in', viewer, COOKIE, variables, { headers: { origin } });
      const [cookie] = headers['set-cookie']?.[0]?.split(';') ?? [];
      this.#addCredential(index, kind, { cookie: String(cookie), origin });
    } else if (kind === 'key') {
      const { data } = await this.client.graphql('sign-in', viewer, KEY, variables);
      this.#addCredential(index, kind, { authorization: `Token ${data?.createAuthToken?.authToken}` });
    } else {
      const { data } = await this.client.graphql('sign-in', viewer, OBTAIN, variables);
      this.#addCredential(index, kind, {
        authorization: `${this.random.oneOf(['Bearer', 'JWT'])} ${data?.obtainToken?.token}`,
      });
    }
  }

  async #ask(user, query, variables) {
    const [field] = /(?<=\{ )\w+/.exec(query);
    const { data } = await this.client.graphql('rights', this.credentialOf(user), query, variables);
    return data?.[field];
  }

  async #join(chat, user, adding = true) {
    const undo = this.oracle.begin(`member ${user} ${chat.index}`);
    const result = adding
      ? await this.#ask(chat.owner, ADD, { uri: chat.uri, name: this.users[user].name })
      : await this.#ask(user, JOIN, { uri: chat.uri });
    if (result !== undefined && result?.__typename !== 'ChatSession') {
      undo();
    }
  }

  async #remove(chat, user) {
    const result = await this.#ask(chat.owner, REMOVE, { uri: chat.uri, name: this.users[user].name });
    if (result?.__typename !== 'ChatSession') {
      return;
    }
    this.oracle.end(`member ${user} ${chat.index}`);
    const joined = await this.#ask(user, JOIN, { uri: chat.uri });
    if (joined?.__typename === 'ChatSession') {
      this.oracle.breach(`User ${user} joined chat ${chat.index}, from which its owner had removed them.`);
    }
  }

  async #leave(chat, user) {
    const result = await this.#ask(user, LEAVE, { uri: chat.uri });
    if (result?.__typename === 'LeftChat') {
      this.oracle.end(`member ${user} ${chat.index}`);
      await pause(this.random.between(0, AWAY_MS));
      await this.#join(chat, user, false);
    }
  }

  async #renew(chat) {
    const result = await this.#ask(chat.owner, RENEW, { uri: chat.uri });
    if (result?.__typename === 'ChatSession') {
      this.deadUris.push(chat.uri);
      chat.uri = result.uri;
      this.oracle.addUri(chat.index, result.uri);
    }
  }

  async #changeStaff(user) {
    const isStaff = !this.oracle.holds(`staff ${user}`);
    const undo = isStaff && this.oracle.begin(`staff ${user}`);
    const result = await this.#ask(ROOT, STATUS, { input: { userId: this.users[user].id, isStaff } });
    if (result?.isStaff === false) {
      this.oracle.end(`staff ${user}`);
    } else if (isStaff && result?.isStaff !== true) {
      undo();
    }
  }

  async #closeAccount(user) {
    const { id } = this.users[user];
    const closed = await this.#ask(ROOT, STATUS, { input: { userId: id, isActive: false } });
    if (closed?.isActive !== false) {
      return;
    }
    this.oracle.end(`active ${user}`);
    this.#endCredentials(user);
    await pause(this.random.between(0, AWAY_MS));
    this.oracle.begin(`active ${user}`);
    await this.#ask(ROOT, STATUS, { input: { userId: id, isActive: true } });
    await this.signIn(user, this.random.oneOf(['bearer', 'key', 'cookie']));
  }

  async #signOut(user) {
    const credential = this.credentialOf(user);
    const query = credential.kind === 'cookie' ? 'mutation { signOut }' : 'mutation { destroyAuthToken }';
    const { data } = await this.client.graphql('rights', credential, query);
    if (data?.signOut || data?.destroyAuthToken) {
      this.#endCredentials(user, [credential]);
      await this.signIn(user, this.random.oneOf(['bearer', 'key', 'cookie']));
    }
  }

  async #changePassword(user) {
    const { password } = this.users[user];
    const newPassword = `another password ${this.random.between(0, 1e9)}`;
    const result = await this.#ask(user, PASSWORD, { input: { currentPassword: password, newPassword } });
    if (result?.__typename === 'TokenPair') {
      this.users[user].password = newPassword;
      this.#endCredentials(user);
      this.#addCredential(user, 'bearer', { authorization: `Bearer ${result.token}` });
      await this.signIn(user, this.random.oneOf(['key', 'cookie']));
    }
  }

  /** Gives a todo to another owner by SQL, as an operator or another program may. */
  async #wander(number) {
    const from = this.wandering[number]?.owner;
    const owner = this.random.between(2, USERS - 1);
    if (from === owner) {
      return;
    }
    this.oracle.begin(`owner ${owner} ${number}`);
    if (from === undefined) {
      const id = await this.make(this.credentialOf(owner), 'Todo', {
        title: mark('T', number),
        description: mark('T', number),
      });
      this.rows.Todo = this.rows.Todo.filter((row) => row.id !== id);
      this.wandering[number] = id === undefined ? undefined : { id, owner };
      return;
    }
    await sqlOn(this.database, 'UPDATE "Todo" SET "ownerId" = ? WHERE "id" = ?', [
      this.users[owner].id,
      this.wandering[number].id,
    ]);
    this.oracle.end(`owner ${from} ${number}`);
    this.wandering[number].owner = owner;
  }

  async #moveTodo(user) {
    const todo = this.random.oneOf(this.rows.Todo.filter(({ owner }) => owner === user));
    const listId = this.random.oneOf([null, ...this.users[user].lists]);
    const query = 'mutation ($id: ID!, $listId: ID) { updateTodo(id: $id, input: { listId: $listId }) { __typename } }';
    await this.#ask(user, query, { id: todo?.id ?? '0', listId });
  }

  /** Makes one change of rights after the other. */
  async changeRights() {
    const { random } = this;
    const chat = random.oneOf(this.chats);
    // Neither the member of staff who changes the status of others nor the keeper.
    const user = random.between(2, USERS - 1);
    const member = random.oneOf(this.users.filter(({ index }) => index > KEEPER && index !== chat.owner)).index;
    await random.weighted([
      [6, () => (this.mayBeMember(member, chat.index) ? this.#remove(chat, member) : this.#join(chat, member))],
      [2, () => this.mayBeMember(member, chat.index) && this.#leave(chat, member)],
      [2, () => this.#renew(chat)],
      [3, () => this.#changeStaff(user)],
      [1, () => this.#closeAccount(user)],
      [2, () => this.#signOut(user)],
      [1, () => this.#changePassword(user)],
      [4, () => this.#wander(random.between(0, WANDERING - 1))],
      [3, () => this.#moveTodo(user)],
    ])();
  }

  async #keepersRows() {
    const query = `{ todoLists(first: 100) { nodes { id name updatedAt } } todos(first: 100) { nodes { id title description completed updatedAt owner { id: databaseId } } }
      notes(first: 100) { nodes { id title description owner { id: databaseId } } } viewer { id username email addableBy firstName } }`;
    const { data } = await this.client.graphql('keeper', this.credentialOf(KEEPER), query);
    const own = ({ owner, name }) => owner?.id === this.users[KEEPER].id || name?.includes(mark('O', KEEPER));
    return JSON.stringify([
      data?.todoLists.nodes.filter(own),
      data?.todos.nodes.filter(own),
      data?.notes.nodes.filter(own),
      data?.viewer,
    ]);
  }

  /** Whether all is as it was for somebody with whose rows nobody had anything to do. */
  async isKeeperUnharmed() {
    return (await this.#keepersRows()) === this.kept;
  }

  /** Whether normal load and attacks of staff leave the rows of this user alone. */
  isKeeper(index) {
    return index === KEEPER;
  }
}
