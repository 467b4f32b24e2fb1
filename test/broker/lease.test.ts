import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../src/database/client.ts';
import { type LeaseHandle, LeaseLostError, runUnderLease } from '../../src/database/lease.ts';
import { startApp, type TestApp } from '../kit/app.ts';

describe('a lease', () => {
  let app: TestApp;
  let database: Database;
  beforeAll(async () => {
    app = await startApp();
    database = app.app.services.database;
  });
  afterAll(() => app.close());

  const failures: unknown[] = [];
  const onFailure = (error: unknown): void => {
    failures.push(error);
  };
  /** Competes for a lease; `handle` returns the current handle, if any. */
  const compete = (
    name: string,
    client = database,
  ): { handle: () => LeaseHandle | null; stop: () => Promise<void> } => {
    let present: LeaseHandle | null = null;
    const stop = runUnderLease({ database: client, name, onFailure }, async (lease) => {
      present = lease;
      await new Promise((resolve) => lease.signal.addEventListener('abort', resolve));
      present = null;
    });
    return { handle: () => present, stop };
  };

  it('should be acquired by one of its competitors, and pass on at once when that one stops', async () => {
    const rivals = [...Array(5).keys()].map(() => compete('one'));
    const holders = () => rivals.filter((rival) => rival.handle()?.isValid());
    await expect.poll(() => holders().length).toBe(1);
    for (let left = rivals.length; left > 0; left--) {
      const [holder] = holders();
      await holder?.stop();
      expect(holder?.handle()).toBeNull();
      await expect.poll(() => holders().length, { timeout: 3_000, interval: 20 }).toBe(left > 1 ? 1 : 0);
    }
    expect(await database.lease.count({ where: { name: 'one' } })).toBe(0);
  });

  it('should be given up also when it is taken just as the stop is asked for', async () => {
    for (let pauseMs = 0; pauseMs < 10; pauseMs++) {
      const { stop } = compete('hasty');
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      await stop();
      expect(await database.lease.count({ where: { name: 'hasty' } })).toBe(0);
    }
  });

  it('should be renewed as long as the work lasts', async () => {
    const rivals = [compete('renewed'), compete('renewed')];
    await expect.poll(() => rivals.filter(({ handle }) => handle()).length).toBe(1);
    const holder = rivals.find(({ handle }) => handle());
    const lease = holder?.handle();
    await new Promise((resolve) => setTimeout(resolve, 7_500));
    expect(holder?.handle()).toBe(lease);
    expect(rivals.filter(({ handle }) => handle())).toHaveLength(1);
    await Promise.all(rivals.map(({ stop }) => stop()));
  });

  it('should end, and write nothing more, when somebody else has it', async () => {
    const { handle, stop } = compete('stolen');
    await expect.poll(handle).not.toBeNull();
    const lease = handle();
    const write = (cursor: string): Promise<void> | undefined =>
      lease?.fencedWrite(async ({ logPosition }) => {
        await logPosition.upsert({ where: { name: 'stolen' }, create: { name: 'stolen', cursor }, update: { cursor } });
      });
    await write('mine');
    const expiresAt = new Date(Date.now() + 60_000);
    await database.lease.update({ where: { name: 'stolen' }, data: { holder: 'thief', expiresAt } });
    await expect(write('still mine')).rejects.toThrow(LeaseLostError);
    expect(await database.logPosition.findUnique({ where: { name: 'stolen' } })).toMatchObject({ cursor: 'mine' });
    await expect.poll(() => lease?.signal.aborted, { timeout: 4_000 }).toBe(true);
    expect(lease?.isValid()).toBe(false);
    await stop();
    expect(await database.lease.findUnique({ where: { name: 'stolen' } })).toMatchObject({ holder: 'thief' });
  });

  it('should be over before others may take it when it cannot be renewed', async () => {
    let isStuck = false;
    const refusing = database.$extends({
      query: {
        lease: {
          updateMany: ({ args, query }) => (isStuck ? Promise.reject(new Error('not now')) : query(args)),
        },
      },
    }) as unknown as Database;
    const { handle, stop } = compete('stuck', refusing);
    await expect.poll(handle).not.toBeNull();
    const lease = handle();
    isStuck = true;
    const { expiresAt } = await database.lease.findUniqueOrThrow({ where: { name: 'stuck' } });
    await expect.poll(() => lease?.signal.aborted, { timeout: 7_000 }).toBe(true);
    expect(expiresAt.getTime() - Date.now()).toBeGreaterThan(500);
    await stop();
  });

  it('should start the work again when it fails', async () => {
    let tries = 0;
    const stop = runUnderLease({ database, name: 'failing', onFailure }, async () => {
      tries++;
      throw new Error('on purpose');
    });
    await expect.poll(() => tries, { timeout: 5_000 }).toBeGreaterThan(1);
    expect(failures).toContainEqual(new Error('on purpose'));
    await stop();
  });
});
