import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { visibleAuditEntries } from '../../src/audit/policy.ts';
import { scopeOf } from '../../src/changes/scopes.ts';
import { addableUsers, canManageChat, joinableChats, visibleChats, visibleMessages } from '../../src/chat/policy.ts';
import { type AnyCondition, matches, type Part, partsOf } from '../../src/database/condition.ts';
import { ownedRows, ownedScopes, ownerOfNewRow, SCOPE_OF_OWNER } from '../../src/identity/ownership.ts';
import { requirePermission, requireStaff, requireUser } from '../../src/identity/rights.ts';
import { visibleNotes } from '../../src/notes/policy.ts';
import { canChangePost, visiblePosts } from '../../src/posts/policy.ts';
import { visibleTodoLists } from '../../src/todo-lists/policy.ts';
import { visibleTodos } from '../../src/todos/policy.ts';
import { canSeePrivateFields, visibleUsers } from '../../src/users/policy.ts';
import type { Viewer } from '../../src/viewer.ts';
import { ann, anonymous, ids, staff, user, viewers } from './viewers.ts';

const owners = fc.option(ids);
const isStaff = (viewer: Viewer): boolean => viewer.kind === 'user' && viewer.isStaff;

describe.each([
  ['todos', visibleTodos],
  ['todo lists', visibleTodoLists],
  ['notes', visibleNotes],
  ['rows with an owner', ownedRows],
])('%s', (_, policy) => {
  const sees = (viewer: Viewer, ownerId: number | null): boolean =>
    matches<'Todo'>(policy(viewer) as ReturnType<typeof visibleTodos>, { id: 5, ownerId });

  it('should be visible to their owner and to staff', () => {
    fc.assert(
      fc.property(viewers, ids, (viewer, ownerId) => {
        expect(sees(viewer, ownerId)).toBe(isStaff(viewer) || (viewer.kind === 'user' && viewer.id === ownerId));
      }),
    );
  });

  it('should be visible to everybody where they have no owner, unless ALLOW_ANONYMOUS is off', () => {
    fc.assert(
      fc.property(viewers, (viewer) => {
        expect(sees(viewer, null)).toBe(isStaff(viewer) || viewer.sharesOwnerless);
      }),
    );
  });

  it('should be in the scopes of a viewer exactly when the viewer may see them', () => {
    fc.assert(
      fc.property(viewers, owners, (viewer, ownerId) => {
        const scopes = ownedScopes(viewer);
        expect(scopes === null || scopes.includes(scopeOf(SCOPE_OF_OWNER, { ownerId }))).toBe(sees(viewer, ownerId));
      }),
    );
  });

  it('should be visible to the viewer who creates them', () => {
    fc.assert(
      fc.property(
        viewers.filter((viewer) => viewer.kind === 'user' || viewer.sharesOwnerless),
        (viewer) => {
          expect(sees(viewer, ownerOfNewRow(viewer))).toBe(true);
        },
      ),
    );
  });
});

describe('the owner of a new row', () => {
  it('should be the viewer, or nobody', () => {
    expect(ownerOfNewRow(ann)).toBe(ann.id);
    expect(ownerOfNewRow(user(2, { sharesOwnerless: false }))).toBe(2);
    expect(ownerOfNewRow(anonymous)).toBeNull();
  });

  it('should be required where anonymous callers share nothing', () => {
    expect(() => ownerOfNewRow({ ...anonymous, sharesOwnerless: false })).toThrow(
      expect.objectContaining({ code: 'UNAUTHENTICATED' }),
    );
  });

  it('should be in scopes of the stored form, which subscriptions resume by', () => {
    expect(ownedScopes(ann)).toEqual(['owner:1', 'everybody']);
    expect(ownedScopes({ ...anonymous, sharesOwnerless: false })).toEqual([]);
  });
});

describe('audit entries, posts and users', () => {
  it('should be visible to staff, and posts and users to all who are signed in', () => {
    fc.assert(
      fc.property(viewers, ids, (viewer, id) => {
        const isUser = viewer.kind === 'user';
        expect(matches(visibleAuditEntries(viewer), { id })).toBe(isStaff(viewer));
        expect(matches(visiblePosts(viewer), { id })).toBe(isUser);
        expect(matches(visibleUsers(viewer), { id })).toBe(isUser);
      }),
    );
  });

  it('should let staff and the author change a post', () => {
    fc.assert(
      fc.property(viewers, owners, (viewer, authorId) => {
        const isAuthor = viewer.kind === 'user' && viewer.id === authorId;
        expect(canChangePost(viewer, { authorId })).toBe(isStaff(viewer) || isAuthor);
      }),
    );
  });

  it('should show private fields to staff and the user', () => {
    fc.assert(
      fc.property(viewers, ids, (viewer, id) => {
        expect(canSeePrivateFields(viewer, { id })).toBe(
          isStaff(viewer) || (viewer.kind === 'user' && viewer.id === id),
        );
      }),
    );
  });
});

interface Chat {
  readonly ownerId: number;
  readonly members: readonly { readonly userId: number }[];
  readonly removals: readonly { readonly userId: number }[];
}

/** Evaluates a condition over an object with its related objects. */
function holds(condition: AnyCondition, row: object): boolean {
  const fields = row as Readonly<Record<string, unknown>>;
  const isRelation = (name: string): boolean => typeof fields[name] === 'object' && fields[name] !== null;
  return partsOf(condition, isRelation).every((part) => partHolds(part, fields));
}

function partHolds(part: Part, fields: Readonly<Record<string, unknown>>): boolean {
  switch (part.kind) {
    case 'AND':
      return part.parts.every((each) => holds(each, fields));
    case 'OR':
      return part.parts.some((each) => holds(each, fields));
    case 'NOT':
      return !holds(part.part, fields);
    case 'relation':
      return [fields[part.name]].flat().some((related) => holds(part.condition, related as object));
    case 'column':
      return matches({ [part.name]: { [part.operator]: part.operand } }, fields);
  }
}

const people = fc.uniqueArray(ids, { maxLength: 3 }).map((some) => some.map((userId) => ({ userId })));
const chats: fc.Arbitrary<Chat> = fc.record({ ownerId: ids, members: people, removals: people });
const participates = (userId: number, { ownerId, members }: Chat): boolean =>
  ownerId === userId || members.some((member) => member.userId === userId);

describe('chats', () => {
  it('should be visible with their messages to participants, and to no others, staff included', () => {
    fc.assert(
      fc.property(viewers, chats, (viewer, chat) => {
        const expected = viewer.kind === 'user' && participates(viewer.id, chat);
        const row = { id: 1, ...chat };
        expect(holds(visibleChats(viewer), row)).toBe(expected);
        expect(holds(visibleMessages(viewer), { id: 1, chatSession: row })).toBe(expected);
      }),
    );
  });

  it('should be joinable by participants and by users who were not removed', () => {
    fc.assert(
      fc.property(viewers, chats, (viewer, chat) => {
        const { removals } = chat;
        const mayJoin =
          viewer.kind === 'user' &&
          (participates(viewer.id, chat) || !removals.some(({ userId }) => userId === viewer.id));
        expect(holds(joinableChats(viewer), { id: 1, ...chat })).toBe(mayJoin);
      }),
    );
  });

  it('should be managed by their owner only, not by staff', () => {
    fc.assert(
      fc.property(viewers, ids, (viewer, ownerId) => {
        expect(canManageChat(viewer, { ownerId })).toBe(viewer.kind === 'user' && viewer.id === ownerId);
      }),
    );
  });

  it('should be open to users who let everybody add them, or who share a chat with the viewer', () => {
    const addableBy = fc.constantFrom('EVERYBODY', 'CONTACTS');
    fc.assert(
      fc.property(viewers, fc.array(chats, { maxLength: 3 }), ids, addableBy, (viewer, all, id, setting) => {
        const target = {
          id,
          addableBy: setting,
          ownedChats: all.filter(({ ownerId }) => ownerId === id),
          chatMemberships: all
            .filter(({ members }) => members.some(({ userId }) => userId === id))
            .map((chatSession) => ({ chatSession })),
        };
        const share =
          viewer.kind === 'user' && all.some((chat) => participates(viewer.id, chat) && participates(id, chat));
        expect(holds(addableUsers(viewer), target)).toBe(setting === 'EVERYBODY' || share);
      }),
    );
  });
});

describe('rights', () => {
  it('should ask anonymous callers for credentials, whatever they want', () => {
    const unauthenticated = expect.objectContaining({ code: 'UNAUTHENTICATED', status: 401 });
    expect(() => requireUser(anonymous)).toThrow(unauthenticated);
    expect(() => requireStaff(anonymous)).toThrow(unauthenticated);
  });

  it('should refuse users who are not staff', () => {
    const forbidden = expect.objectContaining({ code: 'FORBIDDEN', status: 403 });
    expect(() => requireStaff(ann)).toThrow(forbidden);
    expect(() => requirePermission(false)).toThrow(forbidden);
  });

  it('should return the viewer to those who have them', () => {
    expect(requireUser(ann)).toBe(ann);
    expect(requireUser(staff)).toBe(staff);
    expect(requireStaff(staff)).toBe(staff);
    expect(() => requirePermission(true)).not.toThrow();
  });
});
