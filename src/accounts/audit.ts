import type { Context, RequestSource } from '../context.ts';
import { removeInBatches } from '../database/cleanup.ts';
import type { Condition } from '../database/condition.ts';
import type { Database } from '../database/open.ts';
import { type Order, type OrderColumns, type Page, type PageArguments, readPage } from '../database/page.ts';
import type { Transaction } from '../database/transactions.ts';
import type { AuditEntry, User } from '../generated/client/client.ts';
import { parseId } from '../validation.ts';
import { signedIn, staffMember, visibleAuditEntries } from './policy.ts';

export const AUDIT_ORDERS = { id: 'number', at: 'date' } as const satisfies OrderColumns;

/** Where an act came from: a request, or an operator's command. */
export type AuditSource = RequestSource | 'COMMAND';

/** What is recorded of accounts. */
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

/** Who does something to an account. */
export interface Actor {
  /** The id of the user; null for an operator on the command line, and where nobody knows. */
  readonly id: number | null;
  /** The username, or the operator's name on the operating system; empty where nobody knows. */
  readonly name: string;
  readonly source: AuditSource;
}

/** The caller of a request as an actor. */
export function actorOf({ viewer, source }: Pick<Context, 'viewer' | 'source'>): Actor {
  const { id, username } = signedIn(viewer);
  return { id, name: username, source };
}

/** Something that is done to an account. */
export interface Act {
  readonly actor: Actor;
  readonly action: AuditAction;
  /** Whose account it is, by the name before the act. */
  readonly subject: Pick<User, 'id' | 'username'>;
  readonly details?: string;
}

/** Records an act in the transaction that does it, so that neither is kept without the other. */
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

/** Narrows a list of audit entries; conditions that are left out do not narrow it. */
export interface AuditFilter {
  readonly actorId?: string | null | undefined;
  readonly subjectId?: string | null | undefined;
  readonly action?: AuditAction | null | undefined;
  readonly source?: AuditSource | null | undefined;
  readonly from?: Date | null | undefined;
  readonly before?: Date | null | undefined;
}

function filterWhere(filter: AuditFilter | null | undefined): Condition<'AuditEntry'> {
  const { actorId, subjectId, action, source, from, before } = filter ?? {};
  return {
    ...(actorId != null && { actorId: parseId(actorId) ?? { in: [] } }),
    ...(subjectId != null && { subjectId: parseId(subjectId) ?? { in: [] } }),
    ...(action != null && { action }),
    ...(source != null && { source }),
    ...((from ?? before) && { at: { ...(from && { gte: from }), ...(before && { lt: before }) } }),
  };
}

/**
 * One page of the audit entries; see {@link readPage} for its other failures.
 *
 * @throws {UnauthenticatedError} for anonymous callers
 * @throws {AppError} `FORBIDDEN` unless the viewer is staff
 */
export async function listAuditEntries(
  context: Context,
  filter: AuditFilter | null | undefined,
  order: Order<keyof typeof AUDIT_ORDERS>,
  page: PageArguments,
): Promise<Page<AuditEntry>> {
  const visible = visibleAuditEntries(staffMember(context.viewer));
  return readPage(
    context,
    { model: 'AuditEntry', where: visible, filter: filterWhere(filter), columns: AUDIT_ORDERS },
    page,
    order,
  );
}

/** Removes the entries that were kept for as long as the configuration says. */
export async function forgetAuditEntries(
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
