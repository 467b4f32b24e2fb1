import { type Actor, type AuditAction, recordAct } from '../audit/service.ts';
import type { Services } from '../context.ts';
import type { Transaction } from '../database/client.ts';
import { countRows, findRow, findRows } from '../database/rows.ts';
import { inTransaction, lockRows } from '../database/transactions.ts';
import { ConflictError, NotFoundError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { requirePermission } from '../identity/rights.ts';

const ACTIVE_STAFF = { isStaff: true, isActive: true } as const;

/** Ends every session and API key of a user whose row the transaction has written. Returns their numbers as a text for the audit. */
async function endCredentials({ session, authToken }: Transaction, userId: number): Promise<string> {
  const { count: sessions } = await session.deleteMany({ where: { userId } });
  const { count: keys } = await authToken.deleteMany({ where: { userId } });
  return `sessions ended: ${sessions}, keys ended: ${keys}`;
}

/** Sets the password of a user and ends every credential that was issued before. Returns the changed user. */
export async function replacePassword(
  transaction: Transaction,
  { actor, action }: { readonly actor: Actor; readonly action: AuditAction },
  { id }: Pick<User, 'id'>,
  passwordHash: string,
): Promise<User> {
  // The user is written first: a concurrent sign-in waits for this row, or this waits for the sign-in and then ends its session, too.
  const changed = await transaction.user.update({
    where: { id },
    data: { passwordHash, credentialsChangedAt: new Date() },
  });
  const details = await endCredentials(transaction, id);
  await recordAct(transaction, { actor, action, subject: changed, details });
  return changed;
}

/** Deactivates an account and ends every credential of its user. Returns the changed user. */
export async function deactivateAccount(
  transaction: Transaction,
  actor: Actor,
  { id }: Pick<User, 'id'>,
): Promise<User> {
  const closed = await transaction.user.update({
    where: { id },
    // A token that another program signed has no session to end. This keeps it invalid after the account is activated again.
    data: { isActive: false, credentialsChangedAt: new Date() },
  });
  const details = await endCredentials(transaction, id);
  await recordAct(transaction, { actor, action: 'DEACTIVATED', subject: closed, details });
  return closed;
}

/** The new status of an account; a field that is left out keeps its value. */
export interface AccountStatus {
  readonly isActive?: boolean;
  readonly isStaff?: boolean;
}

export interface ChangedStatus {
  readonly user: User;
  /** False when the account already had the status. */
  readonly isChanged: boolean;
}

/**
 * Activates or deactivates an account, or promotes its user to staff or demotes them, and records each change.
 *
 * @throws {NotFoundError} when there is no such user
 * @throws {AppError} `FORBIDDEN` when the actor is a user who is no longer active staff
 * @throws {ConflictError} when no active staff member would remain, unless `force` is set
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
      requirePermission((await countRows(transaction, 'User', { id: actor.id, ...ACTIVE_STAFF })) > 0);
    }
    const next = { isActive: user.isActive, isStaff: user.isStaff, ...status };
    if (!force && user.isActive && user.isStaff && !(next.isActive && next.isStaff)) {
      await rejectLastStaff(transaction, user);
    }
    const changed = await applyStatus(transaction, actor, user, next);
    return { user: changed, isChanged: changed !== user };
  });
}

/** Locks all active staff and one more user: when two staff members demote each other concurrently, the second one no longer has the right. */
async function lockStaffAnd(transaction: Transaction, userId: number): Promise<void> {
  const staff = await findRows(transaction, 'User', { where: ACTIVE_STAFF });
  await lockRows(transaction, 'User', [...staff.map(({ id }) => id), userId]);
}

/** @throws {ConflictError} when the user is the last active staff member */
async function rejectLastStaff(transaction: Transaction, { id, username }: User): Promise<void> {
  if ((await countRows(transaction, 'User', { ...ACTIVE_STAFF, id: { not: id } })) === 0) {
    throw new ConflictError(`${username} is the last active staff member.`);
  }
}

/** Writes the fields that differ. Returns the changed user, or the same object when no field differs. */
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
    return deactivateAccount(transaction, actor, user);
  }
  if (isActive && !user.isActive) {
    changed = await transaction.user.update({ where: { id: user.id }, data: { isActive } });
    await recordAct(transaction, { actor, action: 'ACTIVATED', subject: user });
  }
  return changed;
}
