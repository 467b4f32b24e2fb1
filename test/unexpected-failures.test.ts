import Sqlite from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { privateDatabase, startApp } from './kit/app.ts';
import type { GraphQLAnswer } from './kit/person.ts';
import { startProcess } from './kit/process.ts';

const COUNT_TODOS = '{ todos { totalCount } }';
const CREATE_TODO = 'mutation { createTodo(input: { title: "written" }) { __typename } }';

describe('an unexpected failure', () => {
  const INSIDE = /select|no such|sqlite|prisma|\bat [\w.]+|node_modules|\/src\/|\.[jt]s\b|stack|tmp/i;
  const KEY = `Token ${'0'.repeat(40)}`;
  const BREAKING = ['DROP TABLE "Todo"', 'DROP TABLE "AuthToken"'];

  it.each([
    ['in a query', COUNT_TODOS, null],
    ['in a mutation', CREATE_TODO, null],
    ['while the caller is identified', '{ __typename }', KEY],
  ])('should say nothing but the id of its request, %s', async (_where, query, authorization) => {
    const broken = await startApp();
    try {
      for (const statement of BREAKING) {
        await broken.sql(statement);
      }
      const body = JSON.stringify({ query });
      const headers = { 'content-type': 'application/json' };
      const response = await broken.anonymous.with(authorization).fetch('/graphql', { method: 'POST', headers, body });
      const text = await response.text();
      expect(text).not.toMatch(INSIDE);
      const { errors } = JSON.parse(text) as GraphQLAnswer;
      const requestId = response.headers.get('x-request-id');
      expect(errors).toMatchObject([{ message: 'Unexpected error', extensions: { code: 'INTERNAL', requestId } }]);
    } finally {
      await broken.close();
    }
  });

  it('should be logged once, under the id of its request', async () => {
    const database = privateDatabase();
    const server = await startProcess({ DATABASE_URL: `file:${database.path}` });
    try {
      const file = new Sqlite(database.path);
      file.exec(BREAKING.join('; '));
      file.close();
      const ids: (string | null)[] = [];
      for (const [query, headers] of [
        [COUNT_TODOS, {}],
        ['{ __typename }', { authorization: KEY }],
      ] as const) {
        const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers } };
        const response = await fetch(`${server.url}/graphql`, { ...init, body: JSON.stringify({ query }) });
        ids.push(response.headers.get('x-request-id'));
      }
      const { output } = await server.stop();
      const logged = output
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line))
        .filter(({ level }) => level === 'error');
      expect(logged.map(({ reqId }) => reqId)).toEqual(ids);
      expect(logged[0].err.stack).toContain('Todo');
    } finally {
      await server.stop();
      database.remove();
    }
  });
});
