import { request } from 'node:http';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { privateDatabase } from './kit/app.ts';
import { Person } from './kit/person.ts';
import { type ServerProcess, startProcess } from './kit/process.ts';

/** As many callers as keep the process busy for far longer than the delay that is allowed. */
const CALLERS = 150;
const LOAD_MS = 4000;
/** How many connections are opened every 20 ms: some times what the process serves. */
const NEW_CONNECTIONS = 20;
const CALM_MS = 3000;

const database = privateDatabase();
let server: ServerProcess;
let anonymous: Person;

beforeAll(async () => {
  server = await startProcess({
    DATABASE_URL: `file:${database.path}`,
    MAX_EVENT_LOOP_DELAY_MS: '40',
    METRICS_PORT: '0',
  });
  anonymous = new Person(server.url, null, '');
  for (let count = 0; count < 100; count += 1) {
    await anonymous.gql('mutation { createTodo(input: { title: "x" }) { __typename } }');
  }
});
afterAll(async () => {
  await server.stop();
  database.remove();
});

const QUERY = `{ ${Array.from({ length: 5 }, (_, index) => `a${index}: todos(first: 100) { nodes { id title } }`).join(' ')} }`;

function post(accept: string): Promise<Response> {
  const body = JSON.stringify({ query: QUERY });
  return anonymous.fetch('/graphql', { method: 'POST', headers: { 'content-type': 'application/json', accept }, body });
}

/** Requests over each transport that has requests. */
const REQUESTS: Record<string, () => Promise<Response>> = {
  HTTP: () => post('application/json'),
  SSE: () => post('text/event-stream'),
  REST: () => anonymous.fetch('/notes'),
};

/** Has many callers ask at the same time, each again and again; gives the answers by status. */
async function load(ask: () => Promise<Response>): Promise<Map<number, Response[]>> {
  const answers = new Map<number, Response[]>();
  const end = Date.now() + LOAD_MS;
  const caller = async (): Promise<void> => {
    while (Date.now() < end) {
      const response = await ask();
      await response.clone().arrayBuffer();
      answers.set(response.status, [...(answers.get(response.status) ?? []).slice(-9), response]);
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return answers;
}

describe('a process with more requests than it can answer', () => {
  it('should refuse some at once, say when to try again, and answer operators', { timeout: 60_000 }, async () => {
    const watched: [string, number][] = [];
    let isOver = false;
    const watching = (async () => {
      while (!isOver) {
        for (const url of [`${server.url}/health`, `${server.url}/ready`, server.metricsUrl]) {
          watched.push([url, (await fetch(url)).status]);
        }
      }
    })();
    const asks = Object.values(REQUESTS);
    let count = 0;
    const answers = await load(() => asks[count++ % asks.length]?.() ?? Promise.reject(new Error('No request.')));
    isOver = true;
    await watching;
    expect([...answers.keys()].toSorted()).toEqual([200, 503]);
    for (const refused of answers.get(503) ?? []) {
      expect(refused.headers.get('retry-after')).toBe('1');
      expect(await refused.json()).toEqual({
        detail: expect.stringContaining('overloaded'),
        errors: [{ message: expect.stringContaining('overloaded'), extensions: { code: 'OVERLOADED' } }],
      });
    }
    expect(watched.length).toBeGreaterThanOrEqual(3);
    expect(watched.filter(([, status]) => status !== 200)).toEqual([]);
    const metrics = await (await fetch(server.metricsUrl)).text();
    expect(Number(/^tidings_refusals_total{reason="overload"} (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(0);
  });

  it('should keep what it takes short where each request comes on a connection of its own', {
    timeout: 60_000,
  }, async () => {
    const times: Record<number, number[]> = { 200: [], 503: [] };
    // Those before wait behind the queue that built up until it was noticed.
    const counted = performance.now() + LOAD_MS / 2;
    const body = JSON.stringify({ query: QUERY });
    const headers = { 'content-type': 'application/json' };
    const waiting = new Set<Promise<void>>();
    const send = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const startedAt = performance.now();
        request(`${server.url}/graphql`, { method: 'POST', headers, agent: false }, (response) => {
          response.resume().once('end', () => {
            if (startedAt > counted) {
              times[response.statusCode ?? 0]?.push(performance.now() - startedAt);
            }
            resolve();
          });
        })
          .once('error', reject)
          .end(body);
      });
    const end = performance.now() + LOAD_MS;
    while (performance.now() < end) {
      for (let count = 0; count < NEW_CONNECTIONS; count += 1) {
        const sent: Promise<void> = send().finally(() => waiting.delete(sent));
        waiting.add(sent);
      }
      await sleep(20);
    }
    await Promise.all(waiting);
    const [taken = [], refused = []] = [times[200], times[503]];
    expect(refused.length).toBeGreaterThan(taken.length / 2);
    expect(taken.length).toBeGreaterThan(5);
    const median = taken.toSorted((a, b) => a - b)[Math.floor(taken.length / 2)] ?? 0;
    expect(median).toBeLessThan(1500);
  });

  it('should take all again once it has caught up', { timeout: 60_000 }, async () => {
    await load(() => post('application/json'));
    await sleep(CALM_MS);
    for (let time = 0; time < 20; time += 1) {
      expect((await post('application/json')).status).toBe(200);
    }
  });

  it('should refuse nothing where MAX_EVENT_LOOP_DELAY_MS is 0', { timeout: 60_000 }, async () => {
    const patient = await startProcess({ DATABASE_URL: `file:${database.path}`, MAX_EVENT_LOOP_DELAY_MS: '0' });
    try {
      const person = new Person(patient.url, null, '');
      const answers = await load(() => person.fetch('/notes'));
      expect([...answers.keys()]).toEqual([200]);
    } finally {
      await patient.stop();
    }
  });
});
