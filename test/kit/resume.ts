import { expect, vi } from 'vitest';
import type { Person } from './person.ts';

/** Returns the cursor once the server has read on from another one: it may be before what was just written. */
export function passed(person: Person, before: string): Promise<string> {
  return vi.waitFor(async () => {
    const { cursor } = await person.gql('{ cursor }');
    expect(cursor).not.toBe(before);
    return cursor;
  });
}

/** Subscribes to todos after a cursor; returns what comes up to the first event or error. */
export async function resume(person: Person, after: string): Promise<string> {
  const query = `subscription { todoChanged(after: "${after}") { action todo { title } } }`;
  const response = await person.fetch(`/graphql?query=${encodeURIComponent(query)}`, {
    headers: { accept: 'text/event-stream' },
  });
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString();
    if (text.includes('data: {')) {
      break;
    }
  }
  return text;
}
