import { afterAll, beforeAll, expect, it } from 'vitest';
import { consultOracle, type Tally } from '../feed/oracle.ts';
import { postgresStorage, World } from '../feed/world.ts';
import { describeWith } from '../kit/present.ts';

const RUNS = Number(process.env['TIDINGS_ORACLE_RUNS'] ?? 4);
const TIMEOUT_MS = 180_000 * Math.max(1, RUNS / 4);

describeWith('postgres', 'every client, over three nodes and PostgreSQL', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.create(3, await postgresStorage());
  }, 60_000);
  afterAll(() => world.close());

  it('should see what a query would return, hopping from node to node', { timeout: TIMEOUT_MS }, async () => {
    const tally: Tally = { steps: 0, events: 0, watchers: 0 };
    await consultOracle(world, { numRuns: RUNS, tally });
    expect(tally.events).toBeGreaterThan(RUNS * 10);
    process.stdout.write(
      `oracle over three nodes: ${tally.steps} steps, ${tally.watchers} clients, ${tally.events} events\n`,
    );
  });
});
