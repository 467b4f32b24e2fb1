import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { expect } from 'vitest';
import { perform, type Run, runArbitrary, type Stage } from './commands.ts';
import { TOPICS, Watcher } from './watcher.ts';
import type { World } from './world.ts';

/** How long the last events may take to arrive. */
const DEADLINE_MS = 15_000;
const LOOK_INTERVAL_MS = 40;

/** Waits until every watcher believes what a query says, or gives what still differs. */
export async function settle({ watchers }: Pick<Stage, 'watchers'>, deadlineMs = DEADLINE_MS): Promise<string[]> {
  const deadline = Date.now() + deadlineMs;
  let open = [...watchers];
  let differences: string[] = [];
  while (open.length > 0) {
    differences = [];
    const next: Watcher[] = [];
    for (const [index, watcher] of open.entries()) {
      await watcher.connect(index);
      const difference = await watcher.difference(index + 1);
      if (difference) {
        next.push(watcher);
        differences.push(difference);
      }
    }
    open = next;
    if (Date.now() > deadline) {
      break;
    }
    await pause(open.length > 0 ? LOOK_INTERVAL_MS : 0);
  }
  return differences;
}

export interface Tally {
  steps: number;
  events: number;
  watchers: number;
}

/** Performs random runs on a world that lives on from one to the next, and compares every client with the database after each. */
export async function consultOracle(
  world: World,
  { numRuns, tally }: { numRuns: number; tally: Tally },
): Promise<void> {
  const recent: Stage['recent'] = { todo: [], todoList: [], note: [], post: [], message: [] };
  const chats: string[] = [];
  const check = async (run: Run): Promise<void> => {
    const watchers = world.actors.flatMap((actor, index) => {
      const topic = TOPICS[(index + tally.steps) % TOPICS.length];
      return topic && !(topic.needsAccount && actor.id === null) ? [new Watcher(world, actor, topic)] : [];
    });
    const stage: Stage = { world, watchers, recent, chats, slow: [] };
    try {
      await Promise.all(watchers.map((watcher, index) => watcher.connect(index)));
      tally.steps += await perform(stage, run);
      expect(await settle(stage)).toEqual([]);
      for (const watcher of watchers) {
        watcher.expectNoFaults();
        tally.events += watcher.events;
      }
      tally.watchers += watchers.length;
    } finally {
      for (const watcher of watchers) {
        watcher.drop();
      }
      chats.splice(0, chats.length - 3);
      await world.sql('DELETE FROM "Todo" WHERE "id" NOT IN (SELECT "id" FROM "Todo" ORDER BY "id" DESC LIMIT 40)');
    }
  };
  await fc.assert(fc.asyncProperty(runArbitrary, check), { numRuns, endOnFailure: true });
}
