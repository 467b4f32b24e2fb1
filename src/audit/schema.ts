import type { Builder } from '../graphql/builder.ts';
import { defineFilter, toListFilter } from '../graphql/list-filters.ts';
import { encodeNodeId } from '../graphql/node-ids.ts';
import { connectionComplexity, defineOrder, toConnection, toOrder } from '../graphql/relay-connection.ts';
import { loadUser } from '../identity/named-users.ts';
import { AUDIT_ORDERS, type AuditAction, type AuditFilter, type AuditSource, listAuditEntries } from './service.ts';

const NEWEST_FIRST = { column: 'id', direction: 'desc' } as const;

const ACTIONS: Readonly<Record<AuditAction, string>> = {
  STAFF_CREATED: 'An operator created a staff account by the command `createsuperuser`.',
  PROMOTED: 'The user became staff.',
  DEMOTED: 'The user ceased to be staff.',
  DEACTIVATED: 'The user, staff or an operator deactivated the account, which ended every session and API key of it.',
  ACTIVATED: 'The account was activated again after a deactivation.',
  PASSWORD_CHANGED:
    'The user changed the password and confirmed it with the current one, which ended every session and API key.',
  PASSWORD_RESET: 'The user set a new password by a reset link, which ended every session and API key.',
  PASSWORD_SET: 'An operator set a new password, which ended every session and API key.',
  RESET_LINK_MADE: 'An operator created a reset link, by which the user can set a new password.',
  USERNAME_CHANGED: 'The user changed the username; `details` contains the new one.',
  EMAIL_CHANGED:
    'The user changed or removed the email address; `details` says whether the current password confirmed the change.',
  REFRESH_TOKEN_REUSED:
    'A refresh token was used again more than 30 seconds after its first use, which ended its session. It may have been stolen.',
};

const SOURCES: Readonly<Record<AuditSource, string>> = {
  GRAPHQL: 'A GraphQL operation, over any transport.',
  REST: 'A request to one of the REST paths.',
  COMMAND: 'A command that an operator ran on the server.',
};

/** Returns the values of an enum type, which have the same names in the code. */
function enumValues<Name extends string>(descriptions: Readonly<Record<Name, string>>) {
  return Object.fromEntries(
    Object.entries<string>(descriptions).map(([name, description]) => [name, { value: name as Name, description }]),
  );
}

/** Defines the type and the list of audit entries, for staff. */
export function defineAudit(builder: Builder): void {
  const action = builder.enumType('AuditAction', {
    description: 'The kind of an audit entry: what was done to an account.',
    values: enumValues(ACTIONS),
  });
  const source = builder.enumType('AuditSource', {
    description: 'The interface by which an audited action was requested.',
    values: enumValues(SOURCES),
  });
  const entry = builder.prismaObject('AuditEntry', {
    description:
      'A record of one action on an account: who did what to whose account, when, and by which interface. It is written in the transaction of the action, and stays when the users are deleted.',
    fields: (t) => ({
      id: t.id({
        description: 'The opaque, globally unique id of the entry, to use as the key of client caches.',
        resolve: ({ id }) => encodeNodeId('AuditEntry', id),
      }),
      at: t.expose('at', { type: 'DateTime' }),
      action: t.field({
        type: action,
        description: 'The kind of the action.',
        resolve: ({ action }) => action as AuditAction,
      }),
      source: t.field({
        type: source,
        description: 'The interface by which the action was requested.',
        resolve: ({ source }) => source as AuditSource,
      }),
      actorId: t.id({
        nullable: true,
        description:
          'The `id` of the user who did it; null for an operator on the command line, and when unknown. It stays when the user is deleted.',
        resolve: ({ actorId }) => (actorId === null ? null : encodeNodeId('User', actorId)),
      }),
      actorName: t.exposeString('actorName'),
      actor: t.field({
        type: 'User',
        nullable: true,
        description:
          'The current state of the user who did it; null without an `actorId`, and when the user was deleted.',
        resolve: ({ actorId }, _args, context) => (actorId === null ? null : loadUser(context, actorId)),
      }),
      subjectId: t.id({
        description: 'The `id` of the user whose account it concerns. It stays when the user is deleted.',
        resolve: ({ subjectId }) => encodeNodeId('User', subjectId),
      }),
      subjectName: t.exposeString('subjectName'),
      subject: t.field({
        type: 'User',
        nullable: true,
        description: 'The current state of the user whose account it concerns; null when the user was deleted.',
        resolve: ({ subjectId }, _args, context) => loadUser(context, subjectId),
      }),
      details: t.exposeString('details', { nullable: true }),
    }),
  });

  const filter = defineFilter<AuditFilter>(builder, 'AuditEntry', 'audit entries', (t) => ({
    actorId: t.id({ description: 'Only entries of actions by the user with this `id`.' }),
    subjectId: t.id({ description: 'Only entries about the account of the user with this `id`.' }),
    action: t.field({ type: action, description: 'Only entries of this kind.' }),
    source: t.field({ type: source, description: 'Only entries of actions that were requested by this interface.' }),
    from: t.field({ type: 'DateTime', description: 'Only entries of this time or later.' }),
    before: t.field({ type: 'DateTime', description: 'Only entries from before this time.' }),
  }));
  const order = defineOrder(builder, 'AuditEntry', AUDIT_ORDERS);

  builder.queryField('auditEntries', (t) =>
    t.connection(
      {
        type: entry,
        authScopes: { signedIn: true },
        description:
          'The audit log of accounts, page by page, for staff: changes of status, passwords, usernames and email addresses, and reused refresh tokens. `FORBIDDEN` for other users. Entries are deleted after 400 days, unless the server is configured otherwise (`AUDIT_RETENTION_S`).',
        complexity: connectionComplexity,
        args: {
          filter: t.arg({ type: filter, description: 'Returns only the entries that meet these conditions.' }),
          orderBy: t.arg({ type: order, description: 'The sort order; newest first when left out.' }),
        },
        resolve: (_root, { filter, orderBy, ...page }, context) =>
          toConnection(
            listAuditEntries(context, {
              filter: toListFilter(filter, 'AuditEntry', { actorId: 'User', subjectId: 'User' }),
              order: orderBy ? toOrder(orderBy) : NEWEST_FIRST,
              page,
            }),
          ),
      },
      { name: 'AuditEntryConnection', description: 'A page of a list of audit entries.' },
      { name: 'AuditEntryEdge', description: 'An audit entry of a page, with its cursor.' },
    ),
  );
}
