// The tabs of a first visit: operations that run as they are, one after the other.

/** The content of a tab, as GraphiQL takes it. */
interface Example {
  readonly query: string;
  readonly variables: string | null;
  readonly headers: null;
}

/** The data of a result, as far as examples continue with it. */
interface ResultData {
  readonly cursor?: string;
  readonly createChatSession?: { readonly uri?: string } | null;
}

/** Returns random characters, of which a name and a password are made. */
function randomText(length: number): string {
  const characters = 'abcdefghijkmnpqrstuvwxyz23456789';
  return Array.from(
    crypto.getRandomValues(new Uint8Array(length)),
    (byte) => characters[byte % characters.length],
  ).join('');
}

const SIGN_UP = `# Makes an account, and signs this page in.
# Choose another name and password below, or
# note these: this page stores no password.
mutation SignUp(
  $username: String!
  $password: String!
) {
  signUp(input: {
    username: $username
    password: $password
  }) {
    ... on User { id username }
    ... on Error { message }
    ... on ValidationError { fields { path message } }
  }
  signIn(input: {
    username: $username
    password: $password
  }) {
    ... on User { username }
    ... on Error { message }
  }
}
`;

const TODO_LIST = `# A page of the todos that you see, and the
# position of the change log at that moment:
# the tab TodoChanges continues from it.
query TodoList {
  todos(first: 10) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      id
      title
      completed
      owner { username }
    }
  }
  cursor
}
`;

const TODO_CHANGES = `# Each change of the todos that you see, after
# the cursor that the tab TodoList has read.
# While it runs, open a second window, and run
# the tab CreateTodo there.
subscription TodoChanges($after: String) {
  todoChanged(after: $after) {
    action
    cursor
    id
    todo { title completed }
  }
}
`;

const CREATE_TODO = `# Without an account it makes a todo that
# everybody sees and may change.
mutation CreateTodo($title: String!) {
  createTodo(input: { title: $title }) {
    ... on Todo { id title completed }
    ... on Error { message }
  }
}
`;

const CREATE_CHAT = `# Makes a chat, for which you have to be signed
# in. The page enters its uri in the tabs
# ChatMessages and SendMessage.
mutation CreateChat {
  createChatSession {
    uri
    owner { username }
  }
}
`;

const CHAT_MESSAGES = `# The messages of the chat that the tab
# CreateChat has made, as they are sent.
# While it runs, open a second window, and run
# the tab SendMessage there.
subscription ChatMessages($uri: String!) {
  chatMessageChanged(uri: $uri) {
    action
    cursor
    chatMessage {
      message
      createdAt
      user { username }
    }
  }
}
`;

const SEND_MESSAGE = `# Sends a message to the chat that the tab
# CreateChat has made.
mutation SendMessage(
  $uri: String!
  $message: String!
) {
  sendMessage(uri: $uri, message: $message) {
    ... on ChatMessage { message createdAt }
    ... on Error { message }
  }
}
`;

/** Returns the tabs. */
export function createExamples(): readonly Example[] {
  const tabs: readonly (readonly [string, object?])[] = [
    [SIGN_UP, { username: `guest-${randomText(6)}`, password: randomText(16) }],
    [TODO_LIST],
    [TODO_CHANGES, { after: null }],
    [CREATE_TODO, { title: 'Say hello' }],
    [CREATE_CHAT],
    [CHAT_MESSAGES, { uri: '' }],
    [SEND_MESSAGE, { uri: '', message: 'Hello!' }],
  ];
  return tabs.map(([query, variables]) => ({
    query,
    variables: variables ? JSON.stringify(variables, null, 2) : null,
    headers: null,
  }));
}

const createdUri = (data: ResultData): string | undefined => data.createChatSession?.uri;
/** What the variables of examples are set to: values of the results of others, by the name of the operation. */
const FILLED: Readonly<Record<string, Readonly<Record<string, (data: ResultData) => string | undefined>>>> = {
  TodoChanges: { after: (data) => data.cursor },
  ChatMessages: { uri: createdUri },
  SendMessage: { uri: createdUri },
};

/** Returns the text of the variables of a tab after a result arrived in another one; null when they stay as they are. */
export function filledVariables(
  { title, variables }: { readonly title: string; readonly variables?: string | null },
  data: ResultData,
): string | null {
  const values = Object.entries(FILLED[title] ?? {})
    .map(([name, read]) => [name, read(data)])
    .filter(([, value]) => value !== undefined);
  if (values.length === 0) {
    return null;
  }
  try {
    return JSON.stringify({ ...JSON.parse(variables ?? ''), ...Object.fromEntries(values) }, null, 2);
  } catch {
    // Somebody is writing them.
    return null;
  }
}
