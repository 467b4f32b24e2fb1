import fc from 'fast-check';
import { applyChange, applyToList, type ChangeEvent } from 'tidings-client';
import { describe, expect, it } from 'vitest';

interface Todo {
  readonly id: string;
  readonly title: string;
}

const event = (action: ChangeEvent['action'], id: string, title = id): ChangeEvent & { todo: Todo | null } => ({
  action,
  id,
  cursor: `${action} ${id} ${title}`,
  todo: action === 'DELETED' ? null : { id, title },
});
const page = (...ids: readonly string[]) => ({
  totalCount: ids.length,
  nodes: ids.map((id) => ({ id, title: id })),
  edges: ids.map((id) => ({ cursor: `c${id}`, node: { id, title: id } })),
  pageInfo: { hasNextPage: false, hasPreviousPage: false },
});
const idsOf = (list: ReturnType<typeof page>) => list.nodes.map(({ id }) => id).join('');

describe('a list after a change', () => {
  it.each([
    ['CREATED', 'c', 'abc'],
    ['CREATED', 'a', 'ab'],
    ['UPDATED', 'a', 'ab'],
    ['UPDATED', 'c', 'ab'],
    ['DELETED', 'a', 'b'],
    ['DELETED', 'c', 'ab'],
  ] as const)('should have after %s of %s: %s', (action, id, expected) => {
    const list = applyToList(page('a', 'b'), event(action, id, 'new'));
    expect(idsOf(list)).toBe(expected);
    expect(list.edges.map(({ node }) => node.id).join('')).toBe(expected);
    expect(list.totalCount).toBe(expected.length);
    expect(list.nodes.find((node) => node.id === id)?.title).toBe(
      action === 'DELETED' || !expected.includes(id) ? undefined : 'new',
    );
  });

  it('should have new objects where its order has them, unless that page is not loaded', () => {
    expect(idsOf(applyToList(page('a'), event('CREATED', 'b'), { insert: 'start' }))).toBe('ba');
    const partial = { ...page('a'), pageInfo: { hasNextPage: true, hasPreviousPage: false } };
    expect(idsOf(applyToList(partial, event('CREATED', 'b')))).toBe('a');
    expect(idsOf(applyToList(partial, event('CREATED', 'b'), { insert: 'start' }))).toBe('ba');
  });

  it('should have the objects that belong to it', () => {
    const belongs = ({ title }: Todo) => title !== 'done';
    expect(idsOf(applyToList(page('a', 'b'), event('UPDATED', 'a', 'done'), { belongs }))).toBe('b');
    expect(idsOf(applyToList(page('b'), event('UPDATED', 'a', 'open'), { belongs }))).toBe('ba');
    expect(idsOf(applyToList(page('b'), event('CREATED', 'a', 'done'), { belongs }))).toBe('b');
  });

  it('should be found in data by its path, or as the first list', () => {
    const data = { cursor: 'x', todoList: { name: 'home', todos: page('a') } };
    expect(idsOf(applyChange(data, event('CREATED', 'b'), { at: 'todoList.todos' }).todoList.todos)).toBe('ab');
    expect(idsOf(applyChange({ cursor: 'x', todos: page('a') }, event('DELETED', 'a')).todos)).toBe('');
    expect(applyChange({ todo: { id: 'a', title: 'old' } }, event('UPDATED', 'a', 'new'))).toEqual({
      todo: { id: 'a', title: 'new' },
    });
    expect(applyChange({ todo: { id: 'a', title: 'old' } }, event('DELETED', 'a'))).toEqual({ todo: null });
    expect(applyChange({ todo: null }, event('UPDATED', 'a'))).toEqual({ todo: null });
    expect(applyChange({ todoList: null }, event('UPDATED', 'a'), { at: 'todoList.todos' })).toEqual({
      todoList: null,
    });
  });

  it('should be the list of the server, wherever the snapshot was taken and however many events are repeated', () => {
    const step = fc.record({ kind: fc.constantFrom('create', 'update', 'delete'), pick: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.nat(), fc.nat(), (steps, at, overlap) => {
        let present: Todo[] = [];
        const snapshots = [present];
        const events: ChangeEvent[] = [];
        for (const [index, { kind, pick }] of steps.entries()) {
          const target = present[pick % Math.max(1, present.length)];
          if (kind === 'create' || !target) {
            const id = `todo${String(index).padStart(3, '0')}`;
            present = [...present, { id, title: 'new' }];
            events.push(event('CREATED', id, 'new'));
          } else if (kind === 'update') {
            present = present.map((todo) => (todo === target ? { ...todo, title: `${index}` } : todo));
            events.push(event('UPDATED', target.id, `${index}`));
          } else {
            present = present.filter((todo) => todo !== target);
            events.push(event('DELETED', target.id));
          }
          snapshots.push(present);
        }
        const loaded = at % snapshots.length;
        const nodes = snapshots[loaded] ?? [];
        // The cursor of a snapshot is at or before its data.
        const missed = events.slice(Math.max(0, loaded - (overlap % 5)));
        const list = missed.reduce((before, each) => applyToList(before, each), { nodes, totalCount: nodes.length });
        expect([...list.nodes].sort((left, right) => left.id.localeCompare(right.id))).toEqual(present);
        expect(list.totalCount).toBe(present.length);
      }),
    );
  });
});
