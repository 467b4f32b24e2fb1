import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from './kit/app.ts';
import { numberOf } from './kit/ids.ts';
import type { Person } from './kit/person.ts';

const FIELDS = 'id title description completed createdAt updatedAt list { id } owner { username }';
const ERRORS = '... on Error { message } ... on ValidationError { fields { path message } }';
const CREATE = `mutation ($input: CreateTodoInput!) {
  createTodo(input: $input) { __typename ... on Todo { ${FIELDS} } ${ERRORS} }
}`;
const UPDATE = `mutation ($id: ID!, $input: UpdateTodoInput!) {
  updateTodo(id: $id, input: $input) { __typename ... on Todo { ${FIELDS} } ${ERRORS} }
}`;
const UPDATE_MANY = `mutation ($ids: [ID!]!, $input: UpdateTodoInput!) {
  updateTodos(ids: $ids, input: $input) { __typename ... on UpdatedTodos { todos { ${FIELDS} } } ${ERRORS} }
}`;
const DELETE = `mutation ($id: ID!) { deleteTodo(id: $id) { __typename ... on Todo { ${FIELDS} } ... on Error { message } } }`;
const DELETE_MANY = `mutation ($ids: [ID!]!) {
  deleteTodos(ids: $ids) { __typename ... on DeletedTodos { ids } ${ERRORS} }
}`;
const READ = `query ($id: ID!) { todo(id: $id) { ${FIELDS} } }`;
const SEARCH = `query ($filter: TodoFilter, $orderBy: TodoOrder) {
  todos(first: 100, filter: $filter, orderBy: $orderBy) { totalCount nodes { id title } }
}`;
const CREATE_LIST = `mutation ($name: String!) {
  createTodoList(input: { name: $name }) { __typename ... on TodoList { id name owner { username } } ${ERRORS} }
}`;
const UPDATE_LIST = `mutation ($id: ID!, $input: UpdateTodoListInput!) {
  updateTodoList(id: $id, input: $input) { __typename ... on TodoList { id name } ${ERRORS} }
}`;
const DELETE_LIST = `mutation ($id: ID!) {
  deleteTodoList(id: $id) { __typename ... on TodoList { id name owner { username } } ... on Error { message } }
}`;

const NOT_FOUND = { __typename: 'NotFoundError', message: 'Not found.' };
const GARBAGE_IDS = ['', 'abc', '0', '-1', '1.5', '1e1', ' 1', '01', '2147483648', '99999999999999999999', '1 OR 1=1'];

interface Todo {
  readonly id: string;
  readonly title: string;
  readonly createdAt: string;
  readonly updatedAt: string;
}

let app: TestApp;
let ann: Person;
let ben: Person;
let staff: Person;

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  ben = await app.signUp('ben');
  staff = await app.signUpStaff('sue');
});
afterAll(() => app.close());

async function makeTodo(person: Person, input: Record<string, unknown> = {}): Promise<Todo> {
  const { createTodo } = await person.gql(CREATE, { input: { title: 'Milk', ...input } });
  expect(createTodo.__typename).toBe('Todo');
  return createTodo;
}

async function makeList(person: Person, name = 'Errands'): Promise<string> {
  return (await person.gql(CREATE_LIST, { name })).createTodoList.id;
}

const read = async (person: Person, id: string) => (await person.gql(READ, { id })).todo;
const update = async (person: Person, id: string, input: object) =>
  (await person.gql(UPDATE, { id, input })).updateTodo;
const updateMany = async (person: Person, ids: readonly string[], input: object) =>
  (await person.gql(UPDATE_MANY, { ids, input })).updateTodos;
const search = async (person: Person, filter: object, orderBy?: object) =>
  (await person.gql(SEARCH, { filter, orderBy })).todos;
const titles = (page: { nodes: readonly Todo[] }): string[] => page.nodes.map(({ title }) => title);

describe('making todos', () => {
  it('should keep what was given and belong to the viewer', async () => {
    const { createTodo } = await ann.gql(CREATE, { input: { title: '  Milk  ', description: 'two', completed: true } });
    expect(createTodo).toMatchObject({
      __typename: 'Todo',
      title: 'Milk',
      description: 'two',
      completed: true,
      list: null,
      owner: { username: 'ann' },
    });
  });

  it('should need no more than a title', async () => {
    expect(await makeTodo(ann)).toMatchObject({ description: null, completed: false, list: null });
  });

  it('should name every field that breaks a limit', async () => {
    const { createTodo } = await ann.gql(CREATE, {
      input: { title: ' ', description: 'x'.repeat(2001), listId: '999' },
    });
    expect(createTodo).toEqual({
      __typename: 'ValidationError',
      message: 'Some fields are not valid.',
      fields: [
        { path: 'title', message: 'This field may not be blank.' },
        { path: 'description', message: 'Ensure this field has no more than 2000 characters.' },
      ],
    });
  });

  it('should count characters, not UTF-16 units', async () => {
    const fits = await ann.gql(CREATE, { input: { title: '🍏'.repeat(140) } });
    expect(fits.createTodo.__typename).toBe('Todo');
    const tooLong = await ann.gql(CREATE, { input: { title: '🍏'.repeat(141) } });
    expect(tooLong.createTodo.__typename).toBe('ValidationError');
  });

  it('should refuse a list that the viewer does not see as if there were none', async () => {
    const list = await makeList(ben, 'Private');
    for (const listId of [list, '999999', ...GARBAGE_IDS]) {
      const { createTodo } = await ann.gql(CREATE, { input: { title: 'x', listId } });
      expect(createTodo.fields).toEqual([{ path: 'listId', message: 'List does not exist.' }]);
    }
  });

  it('should give a todo in a list to the owner of the list', async () => {
    const shared = await makeList(app.anonymous, 'Everybody');
    expect(await makeTodo(ann, { listId: shared })).toMatchObject({ list: { id: shared }, owner: null });
    const anns = await makeList(ann);
    expect(await makeTodo(staff, { listId: anns })).toMatchObject({ list: { id: anns }, owner: { username: 'ann' } });
  });
});

describe('changing a todo', () => {
  it('should change what is given and leave the rest', async () => {
    const list = await makeList(ann);
    const todo = await makeTodo(ann, { description: 'two', listId: list });
    const changed = await update(ann, todo.id, { completed: true });
    expect(changed).toEqual({ ...todo, __typename: 'Todo', completed: true, updatedAt: expect.any(String) });
    expect(Date.parse(changed.updatedAt)).toBeGreaterThanOrEqual(Date.parse(todo.updatedAt));
    expect(await update(ann, todo.id, { title: ' Bread ' })).toMatchObject({ title: 'Bread', description: 'two' });
    expect(await read(ann, todo.id)).toMatchObject({ title: 'Bread', completed: true, list: { id: list } });
  });

  it('should clear what null clears', async () => {
    const todo = await makeTodo(ann, { description: 'two', listId: await makeList(ann) });
    expect(await update(ann, todo.id, { description: null })).toMatchObject({ description: null, list: {} });
    expect(await update(ann, todo.id, { listId: null })).toMatchObject({ list: null, owner: { username: 'ann' } });
    expect(await read(ann, todo.id)).toMatchObject({ description: null, list: null });
  });

  it('should refuse null and values beyond the limits where a value is needed, and change nothing', async () => {
    const todo = await makeTodo(ann);
    const refused = await update(ann, todo.id, { title: null, completed: null, description: 'x'.repeat(2001) });
    expect(refused.fields).toEqual([
      { path: 'title', message: 'This field may not be null.' },
      { path: 'description', message: 'Ensure this field has no more than 2000 characters.' },
      { path: 'completed', message: 'This field may not be null.' },
    ]);
    expect(await read(ann, todo.id)).toMatchObject({ title: 'Milk', completed: false, description: null });
  });

  it('should move it between lists of one owner only', async () => {
    const [first, second, shared] = [await makeList(ann), await makeList(ann), await makeList(app.anonymous)];
    const todo = await makeTodo(ann, { listId: first });
    expect(await update(ann, todo.id, { listId: second })).toMatchObject({ list: { id: second } });

    const otherOwner = [{ path: 'listId', message: 'The list belongs to another owner.' }];
    expect((await update(ann, todo.id, { listId: shared })).fields).toEqual(otherOwner);
    expect((await update(staff, todo.id, { listId: await makeList(ben) })).fields).toEqual(otherOwner);
    const ownerless = await makeTodo(app.anonymous);
    expect((await update(ann, ownerless.id, { listId: first })).fields).toEqual(otherOwner);
    expect(await update(ann, ownerless.id, { listId: shared })).toMatchObject({ list: { id: shared }, owner: null });

    const unseen = [{ path: 'listId', message: 'List does not exist.' }];
    for (const listId of [await makeList(ben), ...GARBAGE_IDS]) {
      expect((await update(ann, todo.id, { listId, title: 'Moved' })).fields).toEqual(unseen);
    }
    expect(await read(ann, todo.id)).toMatchObject({ title: 'Milk', list: { id: second } });
  });

  it('should find nothing under an id that is garbage or gone', async () => {
    const { id } = await makeTodo(ann);
    await ann.gql(DELETE, { id });
    for (const missing of [id, ...GARBAGE_IDS]) {
      expect(await read(ann, missing)).toBeNull();
      expect(await update(ann, missing, { title: 'x' })).toEqual(NOT_FOUND);
      expect((await ann.gql(DELETE, { id: missing })).deleteTodo).toEqual(NOT_FOUND);
    }
  });
});

describe('changing many todos', () => {
  it('should answer in the order of the ids, each once', async () => {
    const [a, b, c] = [await makeTodo(ann), await makeTodo(ann), await makeTodo(ann)];
    const { todos } = await updateMany(ann, [c.id, a.id, b.id, a.id, c.id], { completed: true });
    expect(todos).toMatchObject([
      { id: c.id, completed: true },
      { id: a.id, completed: true },
      { id: b.id, completed: true },
    ]);
    const { deleteTodos } = await ann.gql(DELETE_MANY, { ids: [b.id, c.id, b.id, a.id] });
    expect(deleteTodos).toEqual({ __typename: 'DeletedTodos', ids: [b.id, c.id, a.id] });
    expect(await read(ann, a.id)).toBeNull();
  });

  it('should change all or nothing', async () => {
    const mine = [await makeTodo(ann), await makeTodo(ann)].map(({ id }) => id);
    const notMine = (await makeTodo(ben)).id;
    for (const bad of [notMine, '2147483647', ...GARBAGE_IDS]) {
      const ids = [...mine, bad];
      expect(await updateMany(ann, ids, { title: 'Changed' })).toEqual(NOT_FOUND);
      expect((await ann.gql(DELETE_MANY, { ids })).deleteTodos).toEqual(NOT_FOUND);
    }
    for (const id of mine) {
      expect(await read(ann, id)).toMatchObject({ title: 'Milk' });
    }
    expect(await read(ben, notMine)).toMatchObject({ title: 'Milk' });
  });

  it('should move all or nothing', async () => {
    const list = await makeList(ann);
    const [anns, bens] = [await makeTodo(ann), await makeTodo(ben)];
    const refused = await updateMany(staff, [anns.id, bens.id], { listId: list });
    expect(refused.fields).toEqual([{ path: 'listId', message: 'The list belongs to another owner.' }]);
    expect(await read(ann, anns.id)).toMatchObject({ list: null });
    const { todos } = await updateMany(staff, [anns.id], { listId: list, description: 'moved' });
    expect(todos).toMatchObject([{ list: { id: list }, description: 'moved', owner: { username: 'ann' } }]);
  });

  it('should take 500 at a time and no more', async () => {
    const cat = await app.signUp('cat');
    const ids: string[] = [];
    const twentyFive = Array.from({ length: 25 }, (_, n) => `t${n}: createTodo(input: $input) { ... on Todo { id } }`);
    while (ids.length < 500) {
      const made = await cat.gql(`mutation ($input: CreateTodoInput!) { ${twentyFive.join('\n')} }`, {
        input: { title: 'one of many' },
      });
      ids.push(...Object.values<Todo>(made).map(({ id }) => id));
    }
    const extra = (await makeTodo(cat)).id;
    const tooMany = [{ path: 'ids', message: 'Ensure this field has no more than 500 elements.' }];
    expect((await updateMany(cat, [...ids, extra], { completed: true })).fields).toEqual(tooMany);
    expect((await cat.gql(DELETE_MANY, { ids: [...ids, extra] })).deleteTodos.fields).toEqual(tooMany);
    expect(await search(cat, { titleContains: 'one of many', completed: true })).toMatchObject({ totalCount: 0 });

    expect((await updateMany(cat, ids, { completed: true })).todos).toHaveLength(500);
    expect((await cat.gql(DELETE_MANY, { ids })).deleteTodos.ids).toEqual(ids);
    expect(await search(cat, { titleContains: 'one of many' })).toMatchObject({ totalCount: 0 });
    expect(await read(cat, extra)).not.toBeNull();
  });

  it('should take no ids at all for no change', async () => {
    expect(await updateMany(ann, [], { title: 'x' })).toEqual({ __typename: 'UpdatedTodos', todos: [] });
    const { deleteTodos } = await ann.gql(DELETE_MANY, { ids: [] });
    expect(deleteTodos).toEqual({ __typename: 'DeletedTodos', ids: [] });
  });
});

describe('deleting', () => {
  it('should give what the todo was', async () => {
    const todo = await makeTodo(ann, { description: 'two', listId: await makeList(ann) });
    const { deleteTodo } = await ann.gql(DELETE, { id: todo.id });
    expect(deleteTodo).toEqual({ ...todo, __typename: 'Todo' });
    expect(await read(ann, todo.id)).toBeNull();
  });

  it('should take the todos of a deleted list along, and no others', async () => {
    const [list, other] = [await makeList(ann, 'Doomed'), await makeList(ann)];
    const inside = [await makeTodo(ann, { listId: list }), await makeTodo(ann, { listId: list })];
    const outside = [await makeTodo(ann, { listId: other }), await makeTodo(ann)];
    const { deleteTodoList } = await ann.gql(DELETE_LIST, { id: list });
    expect(deleteTodoList).toEqual({ __typename: 'TodoList', id: list, name: 'Doomed', owner: { username: 'ann' } });
    for (const { id } of inside) {
      expect(await read(ann, id)).toBeNull();
    }
    for (const { id } of outside) {
      expect(await read(ann, id)).toMatchObject({ id });
    }
  });
});

describe('todo lists', () => {
  it('should keep a name of 1 to 64 characters', async () => {
    const made = await ann.gql(CREATE_LIST, { name: ` ${'é'.repeat(64)} ` });
    expect(made.createTodoList).toMatchObject({ name: 'é'.repeat(64), owner: { username: 'ann' } });
    const blank = [{ path: 'name', message: 'This field may not be blank.' }];
    const tooLong = [{ path: 'name', message: 'Ensure this field has no more than 64 characters.' }];
    expect((await ann.gql(CREATE_LIST, { name: '  ' })).createTodoList.fields).toEqual(blank);
    expect((await ann.gql(CREATE_LIST, { name: 'x'.repeat(65) })).createTodoList.fields).toEqual(tooLong);
    const id = made.createTodoList.id;
    expect((await ann.gql(UPDATE_LIST, { id, input: { name: '' } })).updateTodoList.fields).toEqual(blank);
    const { updateTodoList } = await ann.gql(UPDATE_LIST, { id, input: { name: 'Renamed' } });
    expect(updateTodoList).toEqual({ __typename: 'TodoList', id, name: 'Renamed' });
  });

  it('should find nothing under an id that is garbage or gone', async () => {
    const gone = await makeList(ann);
    await ann.gql(DELETE_LIST, { id: gone });
    for (const id of [gone, ...GARBAGE_IDS]) {
      expect((await ann.gql('query ($id: ID!) { todoList(id: $id) { id } }', { id })).todoList).toBeNull();
      expect((await ann.gql(UPDATE_LIST, { id, input: { name: 'x' } })).updateTodoList).toEqual(NOT_FOUND);
      expect((await ann.gql(DELETE_LIST, { id })).deleteTodoList).toEqual(NOT_FOUND);
    }
  });

  it('should be found by name and ordered by it', async () => {
    await Promise.all(['Zoo trip', 'zoo ants', 'Zoo'].map((name) => makeList(ann, name)));
    const { todoLists } = await ann.gql(`{
      todoLists(filter: { nameContains: "zoo" }, orderBy: { field: NAME, direction: DESC }) { nodes { name } }
    }`);
    expect(todoLists.nodes).toEqual([{ name: 'zoo ants' }, { name: 'Zoo trip' }, { name: 'Zoo' }]);
  });
});

describe('finding todos', () => {
  it('should narrow by every condition that is given', async () => {
    const listId = await makeList(ann);
    await makeTodo(ann, { listId, title: 'Buy milk', completed: true });
    await makeTodo(ann, { listId, title: 'MILK the cow' });
    await makeTodo(ann, { listId, title: 'Sleep' });
    await makeTodo(ann, { title: 'Milk elsewhere' });
    expect(titles(await search(ann, { listId }))).toEqual(['Buy milk', 'MILK the cow', 'Sleep']);
    expect(titles(await search(ann, { listId, titleContains: 'milk' }))).toEqual(['Buy milk', 'MILK the cow']);
    for (const text of ['m_lk%cow', '%', '_']) {
      expect(titles(await search(ann, { listId, titleContains: text }))).toEqual([]);
    }
    expect(titles(await search(ann, { listId, completed: true }))).toEqual(['Buy milk']);
    expect(titles(await search(ann, { listId, completed: false, titleContains: 'milk' }))).toEqual(['MILK the cow']);
    expect(titles(await search(ann, { listId, completed: null, titleContains: null }))).toHaveLength(3);
  });

  it('should find nothing in a list that does not exist or is not the viewer’s', async () => {
    const listId = await makeList(ben);
    await makeTodo(ben, { listId });
    for (const id of [listId, '2147483647', ...GARBAGE_IDS]) {
      expect(await search(ann, { listId: id })).toEqual({ totalCount: 0, nodes: [] });
    }
  });

  it('should bound the time of making, from an instant on and before another', async () => {
    const listId = await makeList(ann);
    const early = await makeTodo(ann, { listId, title: 'early' });
    while (Date.now() <= Date.parse(early.createdAt)) {
      await sleep(1);
    }
    const late = await makeTodo(ann, { listId, title: 'late' });
    const between = (createdFrom?: string, createdBefore?: string) =>
      search(ann, { listId, createdFrom, createdBefore });
    expect(titles(await between(early.createdAt))).toEqual(['early', 'late']);
    expect(titles(await between(late.createdAt))).toEqual(['late']);
    expect(titles(await between(undefined, late.createdAt))).toEqual(['early']);
    expect(titles(await between(undefined, early.createdAt))).toEqual([]);
    expect(titles(await between(early.createdAt, late.createdAt))).toEqual(['early']);
    expect(titles(await between('0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999Z'))).toEqual(['early', 'late']);
    const abroad = late.createdAt.replace(/^(.+)Z$/, '$1+01:00');
    expect(titles(await between(abroad))).toEqual(['early', 'late']);
  });

  it('should order by code points, equal ones by id, in both directions', async () => {
    const listId = await makeList(ann);
    for (const title of ['🍏', 'b', '～', 'Z', 'é', 'b', 'a']) {
      await makeTodo(ann, { listId, title });
    }
    const ascending = await search(ann, { listId }, { field: 'TITLE' });
    expect(titles(ascending)).toEqual(['Z', 'a', 'b', 'b', 'é', '～', '🍏']);
    expect(numberOf(ascending.nodes[3].id)).toBeGreaterThan(numberOf(ascending.nodes[2].id));
    const descending = await search(ann, { listId }, { field: 'TITLE', direction: 'DESC' });
    expect(descending.nodes).toEqual(ascending.nodes.toReversed());
    expect(titles(await search(ann, { listId }, { field: 'ID', direction: 'DESC' }))[0]).toBe('a');
  });

  it('should order by the time of the last change', async () => {
    const listId = await makeList(ann);
    const [first, second] = [await makeTodo(ann, { listId }), await makeTodo(ann, { listId })];
    while (Date.now() <= Date.parse(second.updatedAt)) {
      await sleep(1);
    }
    await update(ann, first.id, { title: 'touched' });
    const { nodes } = await search(ann, { listId }, { field: 'UPDATED_AT', direction: 'DESC' });
    expect(nodes.map(({ id }: Todo) => id)).toEqual([first.id, second.id]);
    const made = await search(ann, { listId }, { field: 'CREATED_AT', direction: 'ASC' });
    expect(made.nodes.map(({ id }: Todo) => id)).toEqual([first.id, second.id]);
  });
});
