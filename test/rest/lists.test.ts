import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { numberOf } from '../kit/ids.ts';
import type { Person } from '../kit/person.ts';
import { ON_POSTGRES } from '../kit/postgres.ts';

let app: TestApp;
let ann: Person;

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
});
afterAll(async () => {
  await app.close();
});

/** Any text that both databases can store: all of Unicode but NUL. */
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
      fc.constantFrom('"', '\\', '\n', '\u0001', '\u001f', '\u007f', '\u2028', '/', '🍏', 'é'),
    ),
    {
      minLength: 1,
      maxLength: 40,
    },
  )
  .map((units) => units.join('').replaceAll('\0', '').toWellFormed())
  .filter((text) => text.trim() !== '');
/** In each second of a minute, with and without a fraction. */
const anyTime = fc.integer({ min: 0, max: 60_000 }).map((ms) => new Date(1_767_225_600_000 + ms));

const stored = (time: Date): string => time.toISOString().replace('Z', '+00:00');
const read = async (path: string, accept = 'application/json'): Promise<string> => {
  const response = await ann.fetch(path, { headers: { accept } });
  expect(response.status).toBe(200);
  return response.text();
};

describe('a list that the database writes', () => {
  it('should show each post as its own path does, in any layout', async () => {
    const post = fc.record({ title: anyText, content: anyText, createdAt: anyTime, updatedAt: anyTime });
    await fc.assert(
      fc.asyncProperty(
        fc.array(post, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 0, max: 8 }),
        async (posts, indent) => {
          await app.sql('DELETE FROM "Post"');
          for (const { title, content, createdAt, updatedAt } of posts) {
            await app.sql(
              'INSERT INTO "Post" ("title", "content", "createdAt", "updatedAt") VALUES (?, ?, ?, ?)',
              title,
              content,
              stored(createdAt),
              stored(updatedAt),
            );
          }
          const accept = `application/json; indent=${indent}`;
          const all = await read('/api/posts/', accept);
          const list = JSON.parse(all);
          const singles = await Promise.all(
            list.map(async ({ id }: { id: number }) => JSON.parse(await read(`/api/posts/${id}/`))),
          );
          expect(list).toEqual(singles);
          expect(list.map(({ title, content }: Record<string, unknown>) => ({ title, content }))).toEqual(
            posts.map(({ title, content }) => ({ title, content })),
          );
          expect(all).toBe(JSON.stringify(list, null, indent));
          const page = await read('/api/posts/?limit=1000', accept);
          expect(page).toBe(
            JSON.stringify({ count: list.length, next: null, previous: null, results: list }, null, indent),
          );
        },
      ),
      { numRuns: 40 },
    );
  });

  it('should show notes in ASCII', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(anyText, anyText, fc.integer({ min: -5, max: 5 })), { maxLength: 5 }),
        async (notes) => {
          await app.sql('DELETE FROM "Note"');
          for (const [title, description, priority] of notes) {
            await app.sql(
              `INSERT INTO "Note" ("title", "description", "priority", "createdAt", "createdBy", "updatedAt") VALUES (?, ?, ?, 'now', '', ?)`,
              title,
              description,
              priority,
              stored(new Date()),
            );
          }
          const text = await read('/notes/');
          expect(text).toMatch(/^[\n -~]*$/);
          const { notes: shown } = JSON.parse(text);
          expect(
            shown.map((note: Record<string, unknown>) => [note['title'], note['description'], note['priority']]),
          ).toEqual(notes);
          const ascii = JSON.stringify({ notes: shown }, null, 4).replace(
            /[\u007f-\uffff]/g,
            (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
          );
          expect(text).toBe(ascii);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('should be whole in every order, however the posts weigh', async () => {
    await app.sql('DELETE FROM "Post"');
    // More than is read at once, in bytes and in rows.
    const values = (index: number): string =>
      `('${index % 7}', '${'x'.repeat(index % 100 === 0 ? 90_000 : 1)}', '${stored(new Date(1_767_225_600_000 + (index % 50) * 1000))}', '${stored(new Date())}')`;
    for (let start = 0; start < 2500; start += 250) {
      const rows = Array.from({ length: 250 }, (_, index) => values(start + index));
      await app.sql(`INSERT INTO "Post" ("title", "content", "createdAt", "updatedAt") VALUES ${rows.join(', ')}`);
    }
    const inOrder = JSON.parse(await read('/api/posts/'));
    expect(inOrder).toHaveLength(2500);
    const ids = inOrder.map(({ id }: { id: number }) => id);
    expect(ids).toEqual(ids.toSorted((a: number, b: number) => a - b));
    const sorted = JSON.parse(await read('/api/posts/?ordering=-title,created_at'));
    const expected = inOrder.toSorted(
      (a: Record<string, string>, b: Record<string, string>) =>
        Number(b['title']) - Number(a['title']) ||
        String(a['created_at']).localeCompare(String(b['created_at'])) ||
        Number(a['id']) - Number(b['id']),
    );
    expect(sorted.map(({ id }: { id: number }) => id)).toEqual(expected.map(({ id }: { id: number }) => id));
    const page = JSON.parse(await read('/api/posts/?ordering=-title,created_at&limit=1000&offset=1200'));
    expect(page.results).toEqual(sorted.slice(1200, 2200));
  });

  it('should end for a slow reader with what is not theirs any more', async () => {
    const ben = await app.signUp('ben');
    const { createChatSession } = await ann.gql('mutation { createChatSession { id uri } }');
    const { id, uri } = createChatSession;
    await ben.gql('mutation ($uri: String!) { joinChat(uri: $uri) { __typename } }', { uri });
    const { viewer } = await ann.gql('{ viewer { id } }');
    // More than sockets take while nobody reads.
    const count = 15_000;
    for (let start = 0; start < count; start += 500) {
      const rows = Array.from(
        { length: 500 },
        () => `(${numberOf(id)}, ${numberOf(viewer.id)}, '${'x'.repeat(2000)}', '${stored(new Date())}')`,
      );
      await app.sql(
        `INSERT INTO "ChatMessage" ("chatSessionId", "userId", "message", "updatedAt") VALUES ${rows.join(', ')}`,
      );
    }
    const asked = request(`${app.url}/api/chats/${uri}/messages/`, {
      headers: { authorization: ben.authorization ?? '' },
    });
    asked.end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    await once(response, 'readable');
    await app.sql('DELETE FROM "ChatMember" WHERE "chatSessionId" = ?', numberOf(id));
    const pieces: Buffer[] = [];
    for await (const piece of response) {
      pieces.push(piece);
    }
    const { messages } = JSON.parse(Buffer.concat(pieces).toString());
    expect(messages.length).toBeGreaterThan(0);
    expect(messages.length).toBeLessThan(count);
  });

  it.skipIf(ON_POSTGRES)(
    'should accept the times that SQLite accepts, and fail rather than leave out a row',
    async () => {
      await app.sql('DELETE FROM "Post"');
      for (const time of [
        '2026-01-02T03:04:05.678+00:00',
        '2026-01-02 03:04:05',
        '2026-01-02T03:04:05+02:00',
        1_767_323_045_678,
      ]) {
        await app.sql(
          'INSERT INTO "Post" ("title", "content", "createdAt", "updatedAt") VALUES (?, ?, ?, ?)',
          'a',
          'b',
          time,
          time,
        );
      }
      const list = JSON.parse(await read('/api/posts/'));
      expect(list.map((post: Record<string, unknown>) => post['created_at'])).toEqual([
        '2026-01-02T03:04:05.678000Z',
        '2026-01-02T03:04:05Z',
        '2026-01-02T01:04:05Z',
        '2026-01-02T03:04:05.678000Z',
      ]);
      await app.sql(`UPDATE "Post" SET "createdAt" = 'never' WHERE "id" = (SELECT max("id") FROM "Post")`);
      expect((await ann.fetch('/api/posts/')).status).toBe(500);
    },
  );
});
