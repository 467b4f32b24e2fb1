import type { Builder } from '../graphql/builder.ts';
import { defineOrder, orderOf, pageCost, toConnection } from '../graphql/connection.ts';
import { AUDIT_ORDERS, type AuditAction, type AuditSource, listAuditEntries } from './audit.ts';
import { loadUser } from './service.ts';

const NEWEST_FIRST = { column: 'id', direction: 'desc' } as const;

const ACTIONS: Readonly<Record<AuditAction, string>> = {
  STAFF_CREATED: 'A staff account was made by the command `createsuperuser`.',
  PROMOTED: 'The user was made staff.',
  DEMOTED: 'The user is no longer staff.',
  DEACTIVATED: 'The account was closed, by the user, by staff or by an operator: every session and key ended.',
  ACTIVATED: 'The account was opened again.',
  PASSWORD_CHANGED: 'The user set a new password and gave the one before: every session and key ended.',
  PASSWORD_RESET: 'The user followed a link and set a new password: every session and key ended.',
  PASSWORD_SET: 'An operator set a new password: every session and key ended.',
  RESET_LINK_MADE: 'An operator made a link with which a new password can be set.',
  USERNAME_CHANGED: 'The user took another username, which `details` holds.',
  EMAIL_CHANGED: 'The user gave another email address, or none; `details` says whether the password confirmed it.',
  REFRESH_TOKEN_REUSED: 'A refresh token was presented again long after its use, by whomever: its session ended.',
};

const SOURCES: Readonly<Record<AuditSource, string>> = {
  GRAPHQL: 'A GraphQL operation, over any transport.',
  REST: 'A REST path.',
  COMMAND: 'A command of an operator.',
};

/** The values of an enum type whose names are what the code uses. */
function enumValues<Name extends string>(descriptions: Readonly<Record<Name, string>>) {
  return Object.fromEntries(
    Object.entries<string>(descriptions).map(([name, description]) => [name, { value: name as Name, description }]),
  );
}

/** Adds what was recorded of accounts, for staff. */
export function defineAudit(builder: Builder): void {
  const action = builder.enumType('AuditAction', {
    description: 'Something that is done to an account.',
    values: enumValues(ACTIONS),
  });
  const source = builder.enumType('AuditSource', {
    description: 'Where an act came from.',
    values: enumValues(SOURCES),
  });
  const entry = builder.prismaObject('AuditEntry', {
    description: 'One act on an account: who did what to whose account, and when. It outlives the users that it names.',
    fields: (t) => ({
      id: t.exposeID('id', { description: 'Entries have ids in the order in which they were made.' }),
      at: t.expose('at', { type: 'DateTime' }),
      action: t.field({
        type: action,
        description: 'What was done.',
        resolve: ({ action }) => action as AuditAction,
      }),
      source: t.field({
        type: source,
        description: 'Where it came from.',
        resolve: ({ source }) => source as AuditSource,
      }),
      actorId: t.exposeID('actorId', { nullable: true }),
      actorName: t.exposeString('actorName'),
      actor: t.field({
        type: 'User',
        nullable: true,
        description: 'Who did it, as they are now; null without an `actorId`, and when that user was deleted.',
        resolve: ({ actorId }, _args, context) => (actorId === null ? null : loadUser(context, actorId)),
      }),
      subjectId: t.exposeID('subjectId'),
      subjectName: t.exposeString('subjectName'),
      subject: t.field({
        type: 'User',
        nullable: true,
        description: 'Whose account it was done to, as they are now; null when that user was deleted.',
        resolve: ({ subjectId }, _args, context) => loadUser(context, subjectId),
      }),
      details: t.exposeString('details', { nullable: true }),
    }),
  });

  const filter = builder.inputType('AuditEntryFilter', {
    description: 'Narrows a list of audit entries; conditions add up.',
    fields: (t) => ({
      actorId: t.id({ description: 'Only what this user did.' }),
      subjectId: t.id({ description: 'Only what was done to this user.' }),
      action: t.field({ type: action, description: 'Only acts of this kind.' }),
      source: t.field({ type: source, description: 'Only what came from there.' }),
      from: t.field({ type: 'DateTime', description: 'Only what was done at this instant or later.' }),
      before: t.field({ type: 'DateTime', description: 'Only what was done before this instant.' }),
    }),
  });
  const order = defineOrder(builder, 'AuditEntry', AUDIT_ORDERS);

  builder.queryField('auditEntries', (t) =>
    t.connection(
      {
        type: entry,
        authScopes: { signedIn: true },
        description:
          'What was done to accounts, for staff; `FORBIDDEN` for everybody else. Entries are kept for `AUDIT_RETENTION_S`, 400 days unless configured otherwise.',
        complexity: pageCost,
        args: {
          filter: t.arg({ type: filter, description: 'Which of them.' }),
          orderBy: t.arg({ type: order, description: 'In which order; the newest first when left out.' }),
        },
        resolve: (_root, { filter, orderBy, ...page }, context) =>
          toConnection(listAuditEntries(context, filter, orderBy ? orderOf(orderBy) : NEWEST_FIRST, page)),
      },
      { name: 'AuditEntryConnection', description: 'A page of audit entries.' },
      { name: 'AuditEntryEdge', description: 'An audit entry at its place in a list.' },
    ),
  );
}
