import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RowChange, RowImage } from '../../src/changes/change.ts';
import { changeEvent } from '../../src/changes/filter.ts';
import { rowFilter } from '../../src/changes/row-filter.ts';
import { scopeOf } from '../../src/changes/scopes.ts';
import { ownedScopes, SCOPE_OF_OWNER } from '../../src/identity/ownership.ts';
import { visibleTodos } from '../../src/todos/policy.ts';
import type { Viewer } from '../../src/viewer.ts';
import { ann, anonymous, ids, staff, user, viewers } from './viewers.ts';

const ID = 5;
const CURSOR = '0123456789abcdef:12-x';

function todosOf(viewer: Viewer, where: Readonly<Record<string, number>> = {}, stored: readonly RowImage[] = []) {
  return rowFilter<'Todo'>({
    viewer,
    model: 'Todo',
    scopes: ownedScopes(viewer),
    policy: visibleTodos(viewer),
    where,
    find: async (rowIds) => stored.filter(({ id }) => rowIds.includes(id)),
  });
}

const todo = (ownerId: number | null, listId: number | null = null, id = ID): RowImage => ({ id, ownerId, listId });
const change = (before: RowImage | null, after: RowImage | null): RowChange => ({
  cursor: CURSOR,
  model: 'Todo',
  rowId: ID,
  before,
  after,
});

describe('the events of a subscription to rows', () => {
  const LIST = 3;
  const mine = todo(ann.id);
  const foreign = todo(2);
  const inList = todo(ann.id, LIST);

  it.each<[string, RowImage | null, RowImage | null, object | null]>([
    ['a creation', null, mine, { action: 'CREATED', row: mine }],
    ['an update', mine, inList, { action: 'UPDATED', row: inList }],
    ['a deletion', mine, null, { action: 'DELETED', row: null, isRevoked: false }],
    ['a row that becomes visible', foreign, mine, { action: 'CREATED', row: mine }],
    ['a row that is no longer visible', mine, foreign, { action: 'DELETED', row: null, isRevoked: true }],
    ['a creation that is not visible', null, foreign, null],
    ['an update that is not visible', foreign, todo(3), null],
    ['a deletion that is not visible', foreign, null, null],
  ])('should be made of %s', (_, before, after, expected) => {
    const event = todosOf(ann).toEvent(change(before, after));
    if (expected === null) {
      expect(event).toBeNull();
    } else {
      expect(event).toMatchObject({ ...expected, id: ID, cursor: CURSOR });
    }
  });

  it.each<[string, RowImage | null, RowImage | null, object | null]>([
    ['enters what was asked for', mine, inList, { action: 'CREATED', row: inList }],
    ['leaves what was asked for, still visible', inList, mine, { action: 'DELETED', row: null, isRevoked: false }],
    ['leaves it and is no longer visible', inList, foreign, { action: 'DELETED', row: null, isRevoked: true }],
    ['is elsewhere', mine, mine, null],
    ['is not visible', null, todo(2, LIST), null],
  ])('should be made of a row that %s', (_, before, after, expected) => {
    const event = todosOf(ann, { listId: LIST }).toEvent(change(before, after));
    expect(event === null ? null : { action: event.action, row: event.row, isRevoked: event.isRevoked }).toEqual(
      expected,
    );
  });

  it('should have equal keys exactly when action, row and position are equal', () => {
    const keyOf = (before: RowImage | null, after: RowImage | null, cursor = CURSOR): string | undefined =>
      todosOf(ann).toEvent({ ...change(before, after), cursor })?.key;
    expect(keyOf(null, mine)).toBe(keyOf(null, mine));
    expect(new Set([keyOf(null, mine), keyOf(mine, mine), keyOf(mine, null), keyOf(null, mine, 'x')]).size).toBe(4);
  });

  it('should keep the set of a client the same as the rows that it may see and asked for', () => {
    const images = fc.option(fc.record({ ownerId: fc.option(ids), listId: fc.option(ids) }));
    fc.assert(
      fc.property(viewers, images, images, fc.option(ids), (viewer, before, after, listId) => {
        const has = (image: { ownerId: number | null; listId: number | null } | null): boolean =>
          image !== null &&
          (listId === null || image.listId === listId) &&
          ((viewer.kind === 'user' && (viewer.isStaff || image.ownerId === viewer.id)) ||
            (viewer.sharesOwnerless && image.ownerId === null));
        const filter = todosOf(viewer, listId === null ? {} : { listId });
        const event = filter.toEvent(change(before && { id: ID, ...before }, after && { id: ID, ...after }));
        const expected = { 'false true': 'CREATED', 'true true': 'UPDATED', 'true false': 'DELETED' };
        expect(event?.action).toBe(expected[`${has(before)} ${has(after)}` as keyof typeof expected]);
      }),
    );
  });
});

describe('the interests of a subscription to rows', () => {
  it('should be the scopes of its viewer, or all for staff', () => {
    expect(todosOf(ann).interests()).toEqual([
      { model: 'Todo', scope: 'owner:1' },
      { model: 'Todo', scope: 'everybody' },
    ]);
    expect(todosOf(staff).interests()).toEqual([{ model: 'Todo', scope: null }]);
  });

  it('should select by the column that was asked for', () => {
    expect(todosOf(anonymous, { listId: 3 }).interests()).toEqual([
      { model: 'Todo', scope: 'everybody', where: { column: 'listId', value: 3 } },
    ]);
  });

  it('should include each change of which there is an event', () => {
    fc.assert(
      fc.property(viewers, fc.option(ids), (viewer, ownerId) => {
        const filter = todosOf(viewer);
        const scope = scopeOf(SCOPE_OF_OWNER, { ownerId });
        const concerns = filter.interests().some((interest) => interest.scope === null || interest.scope === scope);
        expect(concerns).toBe(filter.toEvent(change(null, todo(ownerId))) !== null);
      }),
    );
  });
});

describe('the sharing of results', () => {
  it('should be between subscriptions of equal rights that ask for the same', () => {
    expect(todosOf(staff).key).toBe(todosOf(user(8, { isStaff: true })).key);
    expect(todosOf(ann, { listId: 3 }).key).toBe(todosOf(user(1), { listId: 3 }).key);
  });

  it('should not be between others', () => {
    const keys = [
      todosOf(ann),
      todosOf(user(2)),
      todosOf(user(1, { sharesOwnerless: false })),
      todosOf(staff),
      todosOf(anonymous),
      todosOf(ann, { listId: 3 }),
      todosOf(ann, { listId: 4 }),
      todosOf(ann, { ownerId: 3 }),
    ].map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe('the access of a subscription to rows', () => {
  it('should be checked by the policy, and not end with access changes', () => {
    const filter = todosOf(ann);
    const event = filter.toEvent(change(null, todo(ann.id)));
    expect(event && filter.mayReceive(event)).toBe(true);
    expect([filter.hasAccess(), filter.accessScopes, filter.viewer]).toEqual([true, [], ann]);
    expect(() => filter.release()).not.toThrow();
  });

  it('should find those rows that exist and are hidden at present', async () => {
    const stored = [todo(1, null, 1), todo(2, null, 2), todo(null, null, 3), todo(2, null, 4)];
    const filter = todosOf(ann, { listId: 3 }, stored);
    const events = [1, 2, 3, 99, 2].map((id, index) =>
      changeEvent({ cursor: String(index) }, { action: 'UPDATED', id, row: todo(1, null, id) }),
    );
    expect(await filter.findHidden?.(events)).toEqual(new Set([events[1], events[4]]));
  });

  it('should not be read again for viewers who see all rows', () => {
    expect(todosOf(staff)).not.toHaveProperty('findHidden');
  });
});
