import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { numberOf } from '../kit/ids.ts';
import type { Person } from '../kit/person.ts';

const COUNT = 9;
const PAGE = `query ($uri: String!, $around: ID, $first: Int, $after: String, $last: Int, $before: String, $direction: OrderDirection! = ASC) {
  chatSession(uri: $uri) {
    messages(around: $around, first: $first, after: $after, last: $last, before: $before, orderBy: { field: ID, direction: $direction }) {
      totalCount
      nodes { id }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}`;

let app: TestApp;
let ann: Person;
let uri: string;
let ids: string[];

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  ({ uri } = (await ann.gql('mutation { createChatSession { uri } }')).createChatSession);
  ids = [];
  for (let index = 0; index < COUNT; index++) {
    ids.push(await send(uri));
    // Others in between, so that positions and ids differ.
    await send((await ann.gql('mutation { createChatSession { uri } }')).createChatSession.uri);
  }
  await ann.gql('mutation ($id: ID!) { deleteMessage(id: $id) { __typename } }', { id: ids[5] });
});
afterAll(() => app.close());

const SEND = 'mutation ($uri: String!) { it: sendMessage(uri: $uri, message: "hi") { ... on ChatMessage { id } } }';
const send = async (to: string): Promise<string> => (await ann.gql(SEND, { uri: to })).it.id;

async function page(variables: Record<string, unknown>) {
  const { messages } = (await ann.gql(PAGE, { uri, ...variables })).chatSession;
  return { ...messages, ids: messages.nodes.map(({ id }: { id: string }) => id) };
}

describe('a page around a message', () => {
  it.each(['ASC', 'DESC'])(
    'should have half of its other messages on each side, and say what lies beyond: %s',
    async (direction) => {
      const order = direction === 'ASC' ? ids : ids.toReversed();
      for (const first of [1, 4, 5, 100]) {
        for (const [at, around] of order.entries()) {
          const from = Math.max(0, at - Math.floor(first / 2));
          const to = Math.min(COUNT, at + first - Math.floor(first / 2));
          expect(await page({ around, first, direction })).toMatchObject({
            ids: order.slice(from, to),
            totalCount: COUNT,
            pageInfo: { hasPreviousPage: from > 0, hasNextPage: to < COUNT },
          });
        }
      }
    },
  );

  it('should be continued in both directions by its cursors', async () => {
    const { ids: middle, pageInfo } = await page({ around: ids[6], first: 4 });
    const { ids: later } = await page({ after: pageInfo.endCursor, first: 100 });
    const { ids: earlier } = await page({ before: pageInfo.startCursor, last: 100 });
    expect([...earlier, ...middle, ...later]).toEqual(ids);
  });

  it('should have at most twenty messages when no number is given, and take the number of the message', async () => {
    expect((await page({ around: String(numberOf(ids[0] ?? '')) })).ids).toEqual(ids);
    expect((await page({ around: ids[8] })).ids).toEqual(ids);
  });

  it('should be refused for other messages, and together with cursors', async () => {
    const elsewhere = await send((await ann.gql('mutation { createChatSession { uri } }')).createChatSession.uri);
    const { endCursor } = (await page({ first: 1 })).pageInfo;
    const refused: Record<string, unknown>[] = [
      { around: elsewhere },
      { around: '0' },
      { around: 'x' },
      { around: Buffer.from('User:1').toString('base64url') },
      { around: ids[0], last: 3 },
      { around: ids[0], after: endCursor },
      { around: ids[0], before: endCursor },
      { around: ids[0], first: 0 },
      { around: ids[0], first: -1 },
      { around: ids[0], first: 101 },
    ];
    for (const variables of refused) {
      expect(await ann.codeOf(PAGE, { uri, ...variables })).toBe('VALIDATION');
    }
  });
});
