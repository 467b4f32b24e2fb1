import { type Watch, wantedIds, watchRows } from '../changes/watch.ts';
import type { Context } from '../context.ts';
import { visibleNotes } from './policy.ts';

/** The notes that the viewer sees; with `id` only this one. */
export function watchNotes({ viewer, database }: Context, { id }: { id?: string | null | undefined }): Watch {
  return watchRows({
    viewer,
    model: 'Note',
    policy: visibleNotes(viewer),
    wanted: wantedIds({ id }),
    find: (ids) => database.note.findMany({ where: { id: { in: ids } } }),
  });
}
