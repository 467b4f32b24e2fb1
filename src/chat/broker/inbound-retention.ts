import { removeInBatches } from '../../database/cleanup.ts';
import type { Database } from '../../database/client.ts';

/** How long the id of a stored message is remembered, in milliseconds. */
export const INBOUND_LIFE_MS = 7 * 24 * 60 * 60 * 1000;

/** Removes the ids of messages that are older than {@link INBOUND_LIFE_MS}. */
export async function removeExpiredInbound({ inboundMessage }: Database, stopping: AbortSignal): Promise<void> {
  const where = { createdAt: { lt: new Date(Date.now() - INBOUND_LIFE_MS) } };
  await removeInBatches(
    {
      find: async (take) => (await inboundMessage.findMany({ where, take, select: { id: true } })).map(({ id }) => id),
      remove: (ids) => inboundMessage.deleteMany({ where: { id: { in: ids } } }),
    },
    stopping,
  );
}
