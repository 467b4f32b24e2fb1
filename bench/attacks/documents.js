// Values and GraphQL documents that clients do not send.

const MEGABYTE = 1_048_576;
const times = (count, make) => Array.from({ length: count }, (_, index) => make(index)).join(' ');

const TEXTS = [
  ...[
    '',
    ' ',
    '\0',
    '\ud800',
    '__proto__',
    'constructor',
    'toString',
    "'; DROP TABLE x; --",
    '%',
    '_',
    '\\',
    '"',
    '{{7*7}}',
    '../../etc/passwd',
  ],
  ...[
    '9'.repeat(400),
    'x'.repeat(3000),
    '\u202e',
    '𝟙',
    'e\u0301'.repeat(500),
    '\n'.repeat(2000),
    '(a+)+$',
    'null',
    'true',
    '1e999',
    '-0',
  ],
];
export const junkText = (random) =>
  random.chance(0.2) ? random.bytes(random.between(1, 60)).toString('latin1') : random.oneOf(TEXTS);

export function junkValue(random, depth = 0) {
  return random.weighted([
    [4, () => junkText(random)],
    [2, () => random.oneOf([null, true, false, 0, -1, 0.5, 1e308, 2 ** 53, -(2 ** 31) - 1, '1'])],
    [depth < 4 ? 2 : 0, () => Array.from({ length: random.between(0, 4) }, () => junkValue(random, depth + 1))],
    [
      depth < 4 ? 2 : 0,
      () =>
        Object.fromEntries(
          Array.from({ length: random.between(0, 4) }, () => [junkText(random), junkValue(random, depth + 1)]),
        ),
    ],
  ])();
}

/** A text with a part left out, doubled, turned round or replaced. */
function mutilated(text, random) {
  const at = random.between(0, text.length);
  const end = Math.min(text.length, at + random.between(1, 20));
  const middle = random.oneOf([
    '',
    text.slice(at, end).repeat(2),
    [...text.slice(at, end)].reverse().join(''),
    junkText(random),
    '{',
    '}',
    '"',
    '$',
    '...',
    '@',
    '#',
    '"""',
  ]);
  return text.slice(0, at) + middle + text.slice(end);
}

export const VALID = [
  'query ($id: ID!) { todo(id: $id) { id title list { name todos(first: 3) { nodes { id } } } } }',
  'query ($first: Int, $after: String, $filter: TodoFilter, $order: TodoOrder) { todos(first: $first, after: $after, filter: $filter, orderBy: $order) { totalCount nodes { id } } }',
  'query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Post { title author { username } } } }',
  'mutation ($input: CreateNoteInput!, $key: String) { createNote(input: $input, idempotencyKey: $key) { __typename ... on ValidationError { message fields { path message } } } }',
  'mutation ($input: CreateTodoInput!) { createTodo(input: $input) { __typename ... on ValidationError { message } } }',
  'mutation ($input: UpdateViewerInput!) { updateViewer(input: $input) { __typename ... on ValidationError { message } } }',
  'mutation ($uri: String!, $names: [String!]!) { addChatMembers(uri: $uri, usernames: $names) { __typename } }',
  'query A { __typename } query B($x: Int) { viewer { id } }',
  'subscription ($after: String, $id: ID) { todoChanged(after: $after, id: $id) { action } }',
  'query ($name: String!) { user(username: $name) { id username email createdAt } }',
];
export const VARIABLES = [
  'id',
  'first',
  'after',
  'filter',
  'order',
  'ids',
  'input',
  'key',
  'uri',
  'names',
  'x',
  'name',
  '__proto__',
  'unknown',
];
const FIELDS = [
  'title',
  'description',
  'priority',
  'completed',
  'listId',
  'createdAt',
  'titleContains',
  'createdFrom',
  'field',
  'direction',
  'firstName',
  'addableBy',
];

export function junkVariables(random) {
  const inner = () =>
    Object.fromEntries(FIELDS.filter(() => random.chance(0.3)).map((name) => [name, junkValue(random)]));
  const value = () => (random.chance(0.4) ? inner() : junkValue(random));
  return Object.fromEntries(VARIABLES.filter(() => random.chance(0.5)).map((name) => [name, value()]));
}

const deep = (levels, field) => `${`${field} { `.repeat(levels)}__typename${' }'.repeat(levels)}`;

/** Documents that ask for too much, or for what makes no sense. */
const DOCUMENTS = [
  (random) => `{ todoLists { nodes { ${deep(random.between(2, 400), 'todos { nodes { list')}${' } }'.repeat(2)} } }`,
  (random) => `{ ${deep(random.between(3, 2000), 'a')} }`,
  (random) =>
    `{ ${times(random.between(10, 3000), (index) => `a${index}: todos(first: 100) { totalCount nodes { title owner { username } } }`)} }`,
  (random) =>
    `{ ${times(random.between(10, 29), (index) => `a${index}: todos(first: 100, filter: { titleContains: "${index}" }) { totalCount }`)} }`,
  (random) =>
    `{ ...F0 } ${times(random.between(1, 60), (index) => `fragment F${index} on Query { ...F${index + 1} }`)} fragment F${random.between(0, 60)} on Query { ...F0 }`,
  () => '{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }',
  (random) => `{ __typename } #${'x'.repeat(random.between(1000, MEGABYTE))}`,
  (random) => `{ __typename ${times(random.between(10, 3000), () => '@skip(if: false) @include(if: true)')} }`,
  (random) => `query (${times(random.between(10, 1500), (index) => `$v${index}: Int = ${index}`)}) { __typename }`,
  (random) => `{ __schema { types { ${deep(random.between(1, 10), 'fields { type { ofType')} } } }`,
  () =>
    '{ __schema { types { name fields { name args { name type { name ofType { name } } } type { name ofType { name ofType { name } } } } inputFields { name } enumValues { name } } directives { name } } }',
  () => '{ __proto__: __typename constructor: viewer { id } toString: cursor hasOwnProperty: __typename }',
  () => '{ __proto__ { constructor } prototype valueOf }',
  (random) =>
    `{ todos(first: ${random.oneOf(['-1', '1e9', '99999999999', '"1"', 'null', '[1]', '{}', '$x'])}) { nodes { id } } }`,
  (random) =>
    `{ todo(id: ${random.oneOf(['[[[[1]]]]', '{a: {a: 1}}', 'ENUM', '1.5', '"""\n"""', `"${'9'.repeat(5000)}"`])}) { id } }`,
  (random) => `{ f(a: ${'['.repeat(random.between(10, 900))}1${']'.repeat(5)}) }`,
  (random) => `{ ${times(random.between(100, 900), () => 'todos { nodes { id title } }')} }`,
  (random) =>
    `{ a: cursor a: __typename ${times(random.between(2, 100), (index) => `...on Query { x: todos(first: ${index}) { totalCount } }`)} }`,
  (random) =>
    `mutation { ${times(random.between(2, 31), (index) => `a${index}: createTodo(input: { title: "intruder" }) { __typename }`)} }`,
  () => 'subscription { todoChanged { action } noteChanged { action } }',
  (random) => `"${'x'.repeat(random.between(0, 300))}`,
  () => '\ufeff{__typename}',
  () => '',
];

/** A document that asks for too much, or that is hardly one. */
export function hostileDocument(random) {
  const text = random.chance(0.4) ? random.oneOf(VALID) : random.oneOf(DOCUMENTS)(random);
  return random.chance(0.5) ? mutilated(text, random) : text;
}
