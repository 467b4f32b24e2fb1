import type { JsonShape } from '../database/json-sql.ts';
import type { Post } from '../generated/client/client.ts';
import { dateBody } from '../rest/dates.ts';

/** Returns a post as the documented paths show it. */
export function postBody({ id, title, content, createdAt, updatedAt }: Omit<Post, 'authorId'>) {
  return { id, title, content, created_at: dateBody(createdAt), updated_at: dateBody(updatedAt) };
}

/** The shape of a post in a list, the same as that of {@link postBody}. */
export const LISTED_POST = {
  id: 'id',
  title: 'title',
  content: 'content',
  created_at: 'createdAt',
  updated_at: 'updatedAt',
} as const satisfies JsonShape;
