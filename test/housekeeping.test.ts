import { setTimeout as pause } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { runUntilDone } from '../src/database/housekeeping.ts';

it('should go on with a backfill that failed, until it is done', async () => {
  const failures: unknown[] = [];
  let runs = 0;
  const work = async (): Promise<void> => {
    runs += 1;
    if (runs === 1) {
      throw new Error('the connection was lost');
    }
  };
  await runUntilDone({ work, onFailure: (error) => failures.push(error) }, new AbortController().signal);
  expect(runs).toBe(2);
  expect(failures).toEqual([new Error('the connection was lost')]);
});

it('should end a backfill that fails when the server stops', async () => {
  const stopping = new AbortController();
  let runs = 0;
  const work = async (): Promise<void> => {
    runs += 1;
    throw new Error('the database is away');
  };
  const done = runUntilDone({ work, onFailure: () => undefined }, stopping.signal);
  await pause(10);
  stopping.abort();
  await done;
  expect(runs).toBe(1);
});
