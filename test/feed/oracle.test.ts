import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consultOracle, settle, type Tally } from './oracle.ts';
import { TOPICS, Watcher } from './watcher.ts';
import { sqliteStorage, World } from './world.ts';

const RUNS = Number(process.env['TIDINGS_ORACLE_RUNS'] ?? 5);
/** Long enough for an event to come, were it not ignored. */
const BRIEF_DEADLINE_MS = 2_000;
const TIMEOUT_MS = 150_000 * Math.max(1, RUNS / 5);

describe('every client, whatever happens', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.create(1, sqliteStorage());
  });
  afterAll(() => world.close());

  it('should see from a snapshot and events alone what a query would return', { timeout: TIMEOUT_MS }, async () => {
    const tally: Tally = { steps: 0, events: 0, watchers: 0 };
    await consultOracle(world, { numRuns: RUNS, tally });
    expect(tally.events).toBeGreaterThan(RUNS * 10);
    process.stdout.write(`oracle: ${tally.steps} steps, ${tally.watchers} clients, ${tally.events} events\n`);
  });

  it('should be found out when it misses a single event', { timeout: 60_000 }, async () => {
    const [anonymous] = world.actors;
    const [todos] = TOPICS;
    if (!anonymous || !todos) {
      throw new Error('Nobody watches anything.');
    }
    const watcher = new Watcher(world, anonymous, todos);
    watcher.ignores = ({ action }) => action === 'CREATED';
    await watcher.connect(0);
    await world.caller(anonymous).gql('mutation { createTodo(input: { title: "overlooked" }) { __typename } }');
    const differences = await settle({ watchers: [watcher] }, BRIEF_DEADLINE_MS);
    watcher.drop();
    expect(differences).toHaveLength(1);
    expect(differences[0]).toContain('overlooked');
  });
});
