import { once } from 'node:events';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../kit/app.ts';
import { DEFECT, INSIDES, type Person } from '../kit/person.ts';
import { RawSocket, SocketClient } from '../kit/socket.ts';
import { among, body, junkText, URI, value } from '../rest/arbitraries.ts';

const RUNS = 600;
const TIMEOUT_MS = 240_000;
const DEADLINE_MS = 10_000;
/** What the sender has broken is the sender's fault: 1002 to 1009 of RFC 6455, 44xx of GraphQL's protocol. */
const SENDERS_FAULT = /^(100[2-9]|44\d\d)$/;

let app: TestApp;
let ann: Person;

beforeAll(async () => {
  app = await startApp();
  ann = await app.signUp('ann');
  await ann.gql('mutation { createChatSession { __typename } createTodo(input: { title: "t" }) { __typename } }');
  await app.sql('UPDATE "ChatSession" SET "uri" = ?', URI);
});
afterAll(() => app.close());

const query = fc.oneof(
  among('{ __typename }|{ viewer { id } }|subscription { nope }|{|query A { __typename } query B { __typename }'),
  fc.constant('subscription { todoChanged { __typename } }'),
  junkText,
);
const payload = fc.oneof(fc.record({ query, variables: fc.jsonValue({ maxDepth: 1 }) }), value);
const types = among('subscribe|subscribe|complete|ping|pong|connection_init|next|connection_ack');
const message = fc
  .record({ type: types, id: fc.oneof(among('1|2'), junkText), payload }, { requiredKeys: ['type'] })
  .map((fields) => JSON.stringify(fields));
const frames = fc.array(fc.oneof({ weight: 4, arbitrary: message }, { weight: 1, arbitrary: body }), { maxLength: 8 });

const GRAPHQL = { path: '/graphql', protocols: ['graphql-transport-ws'], greeting: ['{"type":"connection_init"}'] };
const CHAT = { path: `/${URI}`, protocols: [], greeting: [] };

describe('a socket', () => {
  it('should answer anything soundly, or end for a reason', { timeout: TIMEOUT_MS }, async () => {
    const bystander = await SocketClient.open(app.url, ann.authorization);
    const todos = bystander.start('subscription { todoChanged { todo { title } } }');
    const property = fc.asyncProperty(fc.constantFrom(GRAPHQL, GRAPHQL, CHAT), frames, async (endpoint, sent) => {
      const headers = { authorization: ann.authorization ?? '' };
      const raw = new RawSocket(`${app.url}${endpoint.path}`, { protocols: endpoint.protocols, headers });
      await raw.opened;
      for (const each of [...endpoint.greeting, ...sent]) {
        raw.socket.send(each);
      }
      const ponged = once(raw.socket, 'pong', { signal: AbortSignal.timeout(DEADLINE_MS) });
      raw.socket.ping();
      const closing = await Promise.race([ponged.then(() => null), raw.closed]);
      ponged.catch(() => undefined);
      expect(closing === null || SENDERS_FAULT.test(String(closing.code)), JSON.stringify(closing)).toBe(true);
      raw.terminate();
      await raw.closed;
      for (const received of raw.frames.drain()) {
        expect(() => JSON.parse(received)).not.toThrow();
        expect(received).not.toMatch(INSIDES);
        expect(received).not.toMatch(DEFECT);
      }
    });
    await fc.assert(property, { numRuns: RUNS, endOnFailure: true });
    await ann.gql('mutation { updateTodo(id: 1, input: { title: "still here" }) { __typename } }');
    expect(await todos.event()).toEqual({ todo: { title: 'still here' } });
    await bystander.close();
  });
});
