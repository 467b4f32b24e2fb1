import type { Context, RequestSource } from '../context.ts';
import { removeInBatches } from '../database/cleanup.ts';
import type { Database, Transaction } from '../database/client.ts';
import type { RowCondition } from '../database/condition.ts';
import { filterCondition, idEquals, type ListArguments, type ListFilter, timeRange } from '../database/list-filters.ts';
import { type OrderColumns, type Page, readPage } from '../database/page.ts';
import type { AuditEntry, User } from '../generated/client/client.ts';
import { requireStaff, requireUser } from '../identity/rights.ts';
import { visibleAuditEntries } from './policy.ts';

export const AUDIT_ORDERS = { id: 'number', at: 'date' } as const satisfies OrderColumns;

/** The origin of an act: a request, or an operator's command. */
export type AuditSource = RequestSource | 'COMMAND';

/** The acts on accounts that are recorded. */
export type AuditAction =
  | 'STAFF_CREATED'
  | 'PROMOTED'
  | 'DEMOTED'
  | 'DEACTIVATED'
  | 'ACTIVATED'
  | 'PASSWORD_CHANGED'
  | 'PASSWORD_RESET'
  | 'PASSWORD_SET'
  | 'RESET_LINK_MADE'
  | 'USERNAME_CHANGED'
  | 'EMAIL_CHANGED'
  | 'REFRESH_TOKEN_REUSED';

/** The user or operator who acts on an account. */
export interface Actor {
  /** The id of the user; null for an operator on the command line, and for an unknown actor. */
  readonly id: number | null;
  /** The username, or the operator's name on the operating system; empty for an unknown actor. */
  readonly name: string;
  readonly source: AuditSource;
}

/**
 * Returns the viewer of a request as an actor.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 */
export function actorOf({ viewer, source }: Pick<Context, 'viewer' | 'source'>): Actor {
  const { id, username } = requireUser(viewer);
  return { id, name: username, source };
}

/** An act on an account. */
export interface Act {
  readonly actor: Actor;
  readonly action: AuditAction;
  /** The user whose account it is, with the name before the act. */
  readonly subject: Pick<User, 'id' | 'username'>;
  readonly details?: string;
}

/** Records an act in the transaction that performs it, so that neither is committed without the other. */
export async function recordAct({ auditEntry }: Transaction, { actor, action, subject, details }: Act): Promise<void> {
  await auditEntry.create({
    data: {
      actorId: actor.id,
      actorName: actor.name,
      source: actor.source,
      action,
      subjectId: subject.id,
      subjectName: subject.username,
      details: details ?? null,
    },
  });
}

/** The conditions on a list of audit entries; a condition that is left out or null does not apply. */
export interface AuditFilter extends ListFilter<AuditFilter> {
  readonly actorId?: string | null | undefined;
  readonly subjectId?: string | null | undefined;
  readonly action?: AuditAction | null | undefined;
  readonly source?: AuditSource | null | undefined;
  readonly from?: Date | null | undefined;
  readonly before?: Date | null | undefined;
}

function auditCondition(filter: Partial<AuditFilter>): RowCondition<'AuditEntry'> {
  const { actorId, subjectId, action, source, from, before } = filter;
  return {
    ...idEquals('actorId', actorId),
    ...idEquals('subjectId', subjectId),
    ...(action != null && { action }),
    ...(source != null && { source }),
    ...timeRange('at', from, before),
  };
}

/**
 * Returns one page of the audit entries; see {@link readPage} for its other errors.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {AppError} `FORBIDDEN` unless the viewer is staff
 */
export async function listAuditEntries(
  context: Context,
  { filter, order, page }: ListArguments<AuditFilter, typeof AUDIT_ORDERS>,
): Promise<Page<AuditEntry>> {
  const where = visibleAuditEntries(requireStaff(context.viewer));
  const listing = {
    model: 'AuditEntry',
    where,
    filter: filterCondition(filter, auditCondition),
    columns: AUDIT_ORDERS,
  } as const;
  return readPage(context, listing, page, order);
}

/** Removes the entries that are older than `retentionS` seconds. */
export async function removeExpiredAuditEntries(
  { auditEntry }: Database,
  { retentionS }: { readonly retentionS: number },
  stopping?: AbortSignal,
): Promise<void> {
  const where = { at: { lt: new Date(Date.now() - retentionS * 1000) } };
  await removeInBatches(
    {
      find: async (take) => (await auditEntry.findMany({ where, take, select: { id: true } })).map(({ id }) => id),
      remove: (ids) => auditEntry.deleteMany({ where: { id: { in: ids } } }),
    },
    stopping,
  );
}
