import type { Services } from '../context.ts';
import { countRows, findRow, findRows } from '../database/rows.ts';
import { inTransaction, lockRows, type Transaction } from '../database/transactions.ts';
import { ConflictError, NotFoundError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { type Actor, type AuditAction, recordAct } from './audit.ts';
import { permit } from './policy.ts';

const ACTIVE_STAFF = { isStaff: true, isActive: true } as const;

/** Ends every session and key of a user whose row the transaction has written. Returns how many there were, in words. */
async function endCredentials({ session, authToken }: Transaction, userId: number): Promise<string> {
  const { count: sessions } = await session.deleteMany({ where: { userId } });
  const { count: keys } = await authToken.deleteMany({ where: { userId } });
  return `sessions ended: ${sessions}, keys ended: ${keys}`;
}

/** Sets the password of a user and ends every credential that was issued before. Returns the user as they are then. */
export async function replacePassword(
  transaction: Transaction,
  { actor, action }: { readonly actor: Actor; readonly action: AuditAction },
  { id }: Pick<User, 'id'>,
  passwordHash: string,
): Promise<User> {
  // The user first: who signs in at the same moment waits for this row, or has this wait and is found among the sessions.
  const changed = await transaction.user.update({
    where: { id },
    data: { passwordHash, credentialsChangedAt: new Date() },
  });
  const details = await endCredentials(transaction, id);
  await recordAct(transaction, { actor, action, subject: changed, details });
  return changed;
}

/** Closes an account and ends every credential of its user, who is returned as they are then. */
export async function closeAccount(transaction: Transaction, actor: Actor, { id }: Pick<User, 'id'>): Promise<User> {
  const closed = await transaction.user.update({
    where: { id },
    // A token that was minted elsewhere has no session that could end: it must stay refused when the account is opened again.
    data: { isActive: false, credentialsChangedAt: new Date() },
  });
  const details = await endCredentials(transaction, id);
  await recordAct(transaction, { actor, action: 'DEACTIVATED', subject: closed, details });
  return closed;
}

/** The status that an account is given; what is left out stays. */
export interface AccountStatus {
  readonly isActive?: boolean;
  readonly isStaff?: boolean;
}

export interface ChangedStatus {
  readonly user: User;
  /** False when the account had the status already. */
  readonly isChanged: boolean;
}

/**
 * Opens or closes an account, or makes its user staff or not staff any longer, and records each change.
 *
 * @throws {NotFoundError} when there is no such user
 * @throws {AppError} `FORBIDDEN` when the actor is a user who is no longer active staff
 * @throws {ConflictError} when no active staff would be left, unless `force` is set
 */
export function changeStatus(
  { database, identities }: Pick<Services, 'database' | 'identities'>,
  actor: Actor,
  userId: number,
  status: AccountStatus,
  { force = false } = {},
): Promise<ChangedStatus> {
  identities.suspend(userId);
  return inTransaction(database, async (transaction) => {
    await lockStaffAnd(transaction, userId);
    const user = await findRow(transaction, 'User', { id: userId });
    if (!user) {
      throw new NotFoundError();
    }
    if (actor.id !== null) {
      permit((await countRows(transaction, 'User', { id: actor.id, ...ACTIVE_STAFF })) > 0);
    }
    const next = { isActive: user.isActive, isStaff: user.isStaff, ...status };
    if (!force && user.isActive && user.isStaff && !(next.isActive && next.isStaff)) {
      await refuseWithoutOthers(transaction, user);
    }
    const changed = await applyStatus(transaction, actor, user, next);
    return { user: changed, isChanged: changed !== user };
  });
}

/** Locks all active staff and one more user: of two staff members who demote each other at the same moment, the second one is no longer allowed to. */
async function lockStaffAnd(transaction: Transaction, userId: number): Promise<void> {
  const staff = await findRows(transaction, 'User', { where: ACTIVE_STAFF });
  await lockRows(transaction, 'User', [...staff.map(({ id }) => id), userId]);
}

async function refuseWithoutOthers(transaction: Transaction, { id, username }: User): Promise<void> {
  if ((await countRows(transaction, 'User', { ...ACTIVE_STAFF, id: { not: id } })) === 0) {
    throw new ConflictError(`${username} is the last active staff member.`);
  }
}

/** Writes what differs, and returns the same object when nothing does. */
async function applyStatus(
  transaction: Transaction,
  actor: Actor,
  user: User,
  { isActive, isStaff }: Required<AccountStatus>,
): Promise<User> {
  let changed = user;
  if (isStaff !== user.isStaff) {
    changed = await transaction.user.update({ where: { id: user.id }, data: { isStaff } });
    await recordAct(transaction, { actor, action: isStaff ? 'PROMOTED' : 'DEMOTED', subject: user });
  }
  if (!isActive && user.isActive) {
    return closeAccount(transaction, actor, user);
  }
  if (isActive && !user.isActive) {
    changed = await transaction.user.update({ where: { id: user.id }, data: { isActive } });
    await recordAct(transaction, { actor, action: 'ACTIVATED', subject: user });
  }
  return changed;
}
