import { removeInBatches } from '../../database/cleanup.ts';
import type { Database } from '../../database/open.ts';

/** How long the id of a message that was taken over is remembered, in milliseconds. */
export const INBOUND_LIFE_MS = 7 * 24 * 60 * 60 * 1000;

/** Forgets the ids of messages that were taken over long ago. */
export async function forgetOldInbound({ inboundMessage }: Database, stopping: AbortSignal): Promise<void> {
  const where = { createdAt: { lt: new Date(Date.now() - INBOUND_LIFE_MS) } };
  await removeInBatches(
    {
      find: async (take) => (await inboundMessage.findMany({ where, take, select: { id: true } })).map(({ id }) => id),
      remove: (ids) => inboundMessage.deleteMany({ where: { id: { in: ids } } }),
    },
    stopping,
  );
}
