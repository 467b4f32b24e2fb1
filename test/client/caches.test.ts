import { gql, InMemoryCache } from '@apollo/client';
import { ConnectionHandler, Environment, Network, RecordSource, Store } from 'relay-runtime';
import { applyToCache } from 'tidings-client/apollo';
import { changeUpdates } from 'tidings-client/graphcache';
import { applyToStore, getDataID } from 'tidings-client/relay';
import { describe, expect, it, vi } from 'vitest';

const DELETED = { __typename: 'TodoChange', action: 'DELETED', id: 'a', cursor: 'c', todo: null } as const;

describe('a todo that moves out of a list', () => {
  const LIST = gql`query ($listId: ID!) { todos(listId: $listId) { nodes { id title } } }`;
  const pageOf = (...ids: string[]) => ({
    todos: { __typename: 'TodoConnection', nodes: ids.map((id) => ({ __typename: 'Todo', id, title: id })) },
  });

  it('should stay in the other list in Apollo’s cache', () => {
    const cache = new InMemoryCache();
    const write = (listId: string, ...ids: string[]) =>
      cache.writeQuery({ query: LIST, variables: { listId }, data: pageOf(...ids) });
    const read = (listId: string) => cache.readQuery({ query: LIST, variables: { listId } });
    write('14', 'a', 'b');
    write('15', 'a');
    applyToCache(cache, DELETED, { query: LIST, variables: { listId: '14' } });
    expect(read('14')).toEqual(pageOf('b'));
    expect(read('15')).toEqual(pageOf('a'));
    applyToCache(cache, DELETED, { query: LIST, variables: { listId: '15' } });
    expect(Object.keys(cache.extract())).not.toContain('Todo:a');
    // An event whose object the cache cannot identify.
    applyToCache(cache, { ...DELETED, id: undefined as never }, { query: LIST, variables: { listId: '16' } });
    expect(read('14')).toEqual(pageOf('b'));
  });

  it('should stay in the store of Relay', () => {
    const environment = new Environment({
      network: Network.create(() => ({ data: {} }) as never),
      store: new Store(new RecordSource()),
      getDataID,
    });
    environment.commitUpdate((store) => {
      const todo = store.create('a', 'Todo');
      const [first, second] = ['14', '15'].map((id) => {
        const connection = store.create(id, 'TodoConnection');
        const edge = ConnectionHandler.createEdge(store, connection, todo, 'TodoEdge');
        return connection.setLinkedRecords([edge], 'edges');
      });
      const proxy = Object.assign(store, { getRootField: () => null });
      applyToStore(proxy as never, { todoChanged: DELETED }, { connections: ['14'] });
      expect(first?.getLinkedRecords('edges')).toEqual([]);
      expect(second?.getLinkedRecords('edges')?.[0]?.getLinkedRecord('node')?.getDataID()).toBe('a');
      expect(store.get('a')).toBe(todo);
    });
  });

  it('should stay in Graphcache', () => {
    const cache = {
      keyOfEntity: ({ id }: { id: string }) => `Todo:${id}`,
      inspectFields: () => [{ fieldName: 'todos', fieldKey: 'todos', arguments: null }],
      resolve: (entity: string, field: string) =>
        new Map<string, unknown>([
          ['Query.todos', 'Page'],
          ['Page.nodes', ['Todo:a', 'Todo:b']],
        ]).get(`${entity}.${field}`),
      link: vi.fn(),
      invalidate: vi.fn(),
    };
    const { todoChanged } = changeUpdates({ todoChanged: { list: 'todos' } });
    todoChanged?.({ todoChanged: DELETED }, {} as never, cache as never, {} as never);
    expect(cache.link).toHaveBeenCalledWith('Page', 'nodes', ['Todo:b']);
    expect(cache.invalidate).not.toHaveBeenCalled();
  });
});
