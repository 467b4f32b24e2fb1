import { afterEach, describe, expect, it } from 'vitest';
import { SocketClient } from '../kit/socket.ts';
import { expectInOrder, type Flooded, follow, startFlooded, titlesOf } from './flood.ts';

let server: Flooded;

afterEach(() => server.stop());

describe('a reader that reads all the time', () => {
  it('should get a mutation of as many large rows as one takes', async () => {
    server = await startFlooded();
    server.write(Array(500).fill('old'), 'x'.repeat(2000));
    const rows = server.database.prepare<[], { id: number }>(`SELECT "id" FROM "Todo" WHERE "title" = 'old'`).all();
    const { client, events } = await follow(server);
    const update = 'mutation ($ids: [ID!]!) { updateTodos(ids: $ids, input: { title: "new" }) { __typename } }';
    const { updateTodos } = await server.ann.gql(update, { ids: rows.map(({ id }) => String(id)) });
    expect(updateTodos).toEqual({ __typename: 'UpdatedTodos' });
    await expectInOrder(events, Array(500).fill('new'));
    await client.close();
  });

  it('should get long posts that are changed together', async () => {
    server = await startFlooded();
    const client = await SocketClient.open(server.url, server.ann.authorization);
    const { data } = await client.execute('{ cursor }');
    const query = 'subscription ($after: String) { postChanged(after: $after) { post { title } } }';
    const events = client.start(query, { after: data.cursor });
    server.database.exec(`
      WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
      INSERT INTO "Post" ("title", "content", "authorId") SELECT 'post ' || i, printf('%.100000c', 'x'), 1 FROM n;
    `);
    for (let i = 0; i <= 10; i += 1) {
      expect(await events.event()).toEqual({ post: { title: `post ${i}` } });
    }
    server.database.exec(`UPDATE "Post" SET "title" = 'all'`);
    for (let i = 0; i <= 10; i += 1) {
      expect(await events.event()).toEqual({ post: { title: 'all' } });
    }
    await client.close();
  });

  it('should get a long write whole, though few events may wait and each asks the database for more', async () => {
    server = await startFlooded({ STREAM_MAX_EVENTS: '100' });
    const query = `subscription ($after: String) {
      todoChanged(after: $after) { cursor todo { title owner { username } list { name } } }
    }`;
    const { client, events } = await follow(server, query);
    const titles = titlesOf(0, 5000);
    server.write(titles);
    await expectInOrder(events, titles);
    await client.close();
  });
});
