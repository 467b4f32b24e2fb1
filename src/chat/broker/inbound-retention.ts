import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../../database/open.ts';

/** How long the id of a message that was taken over is remembered, in milliseconds. */
export const INBOUND_LIFE_MS = 7 * 24 * 60 * 60 * 1000;

/** How many ids one statement removes: few enough that writers hardly wait. */
const BATCH = 500;
const PAUSE_MS = 25;

/** Forgets the ids of messages that were taken over long ago, batch by batch. */
export async function forgetOldInbound(database: Database, stopping: AbortSignal): Promise<void> {
  while (!stopping.aborted && (await forgetBatch(database))) {
    await sleep(PAUSE_MS);
  }
}

async function forgetBatch({ inboundMessage }: Database): Promise<boolean> {
  const old = await inboundMessage.findMany({
    where: { createdAt: { lt: new Date(Date.now() - INBOUND_LIFE_MS) } },
    take: BATCH,
    select: { id: true },
  });
  if (old.length > 0) {
    await inboundMessage.deleteMany({ where: { id: { in: old.map(({ id }) => id) } } });
  }
  return old.length === BATCH;
}
