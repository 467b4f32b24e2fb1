import type { Context, Services } from '../context.ts';
import { loadBatched } from '../database/batch.ts';
import { findChildren, findRows } from '../database/rows.ts';
import type { User } from '../generated/client/client.ts';
import { visibleChats } from './policy.ts';
import { PresencePeers } from './presence-peers.ts';
import { PresenceRooms } from './presence-rooms.ts';

/** The precision of `lastSeen`, in milliseconds. */
const LAST_SEEN_PRECISION_MS = 60_000;

/** What a server knows about who is online. */
interface Presence {
  readonly peers: PresencePeers;
  readonly rooms: PresenceRooms;
}

const presences = new WeakMap<Services['signals'], Presence>();

/** Returns the presence of a server. */
export function presenceOf({ signals, feed, database, connectedUsers }: Services): Presence {
  const known = presences.get(signals);
  if (known) {
    return known;
  }
  const peers = new PresencePeers(signals, connectedUsers);
  const presence = { peers, rooms: new PresenceRooms({ peers, feed, database }) };
  presences.set(signals, presence);
  return presence;
}

/** Returns whether a user is online: connected to any process of the server. Null when the viewer may not know. Batched. */
export async function isOnline(context: Context, user: User): Promise<boolean | null> {
  if (!(await showsPresence(context, user))) {
    return null;
  }
  const isConnected = await loadBatched(context, 'User.online', user.id, async (ids) => {
    const connected = await presenceOf(context).peers.connectedAmong(ids);
    return new Map(ids.map((id) => [id, connected.has(id)]));
  });
  return isConnected ?? false;
}

/** Returns when a user was last seen, to the minute: now while they are online, otherwise when one of their sessions was last used. Null when that is unknown, or the viewer may not know. Batched. */
export async function findLastSeen(context: Context, user: User): Promise<Date | null> {
  const online = await isOnline(context, user);
  if (online === null) {
    return null;
  }
  const usedAt = online ? new Date() : await loadLastUse(context, user.id);
  return usedAt === null
    ? null
    : new Date(Math.floor(usedAt.getTime() / LAST_SEEN_PRECISION_MS) * LAST_SEEN_PRECISION_MS);
}

async function loadLastUse(context: Context, userId: number): Promise<Date | null> {
  const { database } = context;
  const relation = { child: 'Session', parent: 'User', column: 'userId' } as const;
  const usedAt = await loadBatched(context, 'User.lastSeen', userId, async (ids) => {
    const query = { where: {}, orderBy: [{ lastUsedAt: 'desc' as const }], take: 1 };
    const sessions = await findChildren(database, relation, ids, query);
    return new Map(sessions.map((session) => [session.userId, session.lastUsedAt]));
  });
  return usedAt ?? null;
}

/** Returns whether the viewer may know about the presence of a user: only users who share a chat may, and only of users who are visible. */
async function showsPresence(context: Context, { id, presence }: User): Promise<boolean> {
  if (presence !== 'VISIBLE' || context.viewer.kind === 'anonymous') {
    return false;
  }
  return (await loadBatched(context, 'users who share a chat', id, (ids) => findSharers(context, ids))) ?? false;
}

/** Returns those of the users who share a chat with the viewer, and the viewer. It reads the memberships of these users only. */
async function findSharers({ database, viewer }: Context, ids: readonly number[]): Promise<Map<number, boolean>> {
  const visible = visibleChats(viewer);
  const userIds = [...ids];
  const [members, owned] = await Promise.all([
    findRows(database, 'ChatMember', { where: { userId: { in: userIds }, chatSession: visible } }),
    findRows(database, 'ChatSession', { where: { AND: [{ ownerId: { in: userIds } }, visible] } }),
  ]);
  const own = viewer.kind === 'user' ? [viewer.id] : [];
  const sharers = [...members.map(({ userId }) => userId), ...owned.map(({ ownerId }) => ownerId), ...own];
  return new Map(sharers.map((id) => [id, true]));
}
