import fc from 'fast-check';
import type { AnonymousViewer, UserViewer, Viewer } from '../../src/viewer.ts';

/** Returns a signed-in viewer. */
export function user(id: number, settings: Partial<Pick<UserViewer, 'isStaff' | 'sharesOwnerless'>> = {}): UserViewer {
  const credential = { kind: 'key', id: 1 } as const;
  return { kind: 'user', id, username: `user${id}`, isStaff: false, sharesOwnerless: true, credential, ...settings };
}

export const anonymous: AnonymousViewer = { kind: 'anonymous', sharesOwnerless: true };
export const ann: UserViewer = user(1);
export const staff: UserViewer = user(9, { isStaff: true });

/** Few ids, so that viewers and rows often meet. */
export const ids: fc.Arbitrary<number> = fc.integer({ min: 1, max: 4 });

export const viewers: fc.Arbitrary<Viewer> = fc.oneof(
  fc.record({ kind: fc.constant('anonymous' as const), sharesOwnerless: fc.boolean() }),
  fc
    .record({ id: ids, isStaff: fc.boolean(), sharesOwnerless: fc.boolean() })
    .map(({ id, ...settings }) => user(id, settings)),
);
