import { z } from 'zod';
import { COMMAND_VARIABLES, CREDENTIAL_VARIABLES, RATE_VARIABLES } from './access-variables.ts';
import { GRAPHQL_VARIABLES } from './graphql-variables.ts';
import { HTTP_VARIABLES, ORIGIN_VARIABLES } from './http-variables.ts';
import { MAIL_VARIABLES } from './mail-variables.ts';
import { OPERATIONS_VARIABLES } from './operations-variables.ts';
import { DATABASE_VARIABLES, SERVER_VARIABLES } from './server-variables.ts';
import { SUBSCRIPTION_VARIABLES } from './subscription-variables.ts';
import type { Variable, VariableGroup } from './variable.ts';

/** All environment variables, in the order of docs/configuration.md. */
export const GROUPS: readonly VariableGroup[] = [
  { title: 'Server', variables: SERVER_VARIABLES },
  { title: 'Log and traces', variables: OPERATIONS_VARIABLES },
  { title: 'Database and broker', variables: DATABASE_VARIABLES },
  { title: 'Credentials and access', variables: CREDENTIAL_VARIABLES },
  { title: 'Rates', variables: RATE_VARIABLES },
  { title: 'Mails', variables: MAIL_VARIABLES },
  { title: 'Addresses and origins', variables: ORIGIN_VARIABLES },
  { title: 'Live events', variables: SUBSCRIPTION_VARIABLES },
  { title: 'HTTP', variables: HTTP_VARIABLES },
  { title: 'GraphQL', variables: GRAPHQL_VARIABLES },
  { title: 'Commands', variables: COMMAND_VARIABLES },
];

/** All environment variables by name. */
export const VARIABLES: ReadonlyMap<string, Variable> = new Map(
  GROUPS.flatMap(({ variables }) => Object.entries(variables)),
);

type SchemasOf<Variables extends Readonly<Record<string, Variable>>> = {
  -readonly [Name in keyof Variables]: Variables[Name]['schema'];
};

function schemasOf<Variables extends Readonly<Record<string, Variable>>>(variables: Variables): SchemasOf<Variables> {
  const schemas = Object.entries(variables).map(([name, { schema }]) => [name, schema]);
  return Object.fromEntries(schemas) as SchemasOf<Variables>;
}

const values = z.object({
  ...schemasOf(SERVER_VARIABLES),
  ...schemasOf(OPERATIONS_VARIABLES),
  ...schemasOf(DATABASE_VARIABLES),
  ...schemasOf(CREDENTIAL_VARIABLES),
  ...schemasOf(RATE_VARIABLES),
  ...schemasOf(MAIL_VARIABLES),
  ...schemasOf(ORIGIN_VARIABLES),
  ...schemasOf(SUBSCRIPTION_VARIABLES),
  ...schemasOf(HTTP_VARIABLES),
  ...schemasOf(GRAPHQL_VARIABLES),
  ...schemasOf(COMMAND_VARIABLES),
});

/** Requires a secret with PostgreSQL, where several nodes have to share it. For SQLite it is generated beside the file. */
function requireSharedSecret(
  { DATABASE_URL, SECRET_KEY }: { readonly DATABASE_URL: string; readonly SECRET_KEY?: string | undefined },
  issues: z.RefinementCtx,
): void {
  if (/^postgres(ql)?:/.test(DATABASE_URL) && SECRET_KEY === undefined) {
    issues.addIssue({
      code: 'custom',
      path: ['SECRET_KEY'],
      message: 'is required with PostgreSQL; set the same secret on all nodes',
    });
  }
}

/** Refuses a direct URL without a pooler of PostgreSQL that it goes around. */
function requirePooledDatabase(
  values: Partial<Record<'DATABASE_URL' | 'DATABASE_DIRECT_URL', string | undefined>>,
  issues: z.RefinementCtx,
): void {
  if (values.DATABASE_DIRECT_URL !== undefined && values.DATABASE_URL?.startsWith('file:')) {
    issues.addIssue({
      code: 'custom',
      path: ['DATABASE_DIRECT_URL'],
      message: 'is for PostgreSQL, and DATABASE_URL is a SQLite file; leave it out',
    });
  }
}

/** Refuses scheduled backups with PostgreSQL, whose tools make them. */
function refuseUnsupportedBackups(
  { DATABASE_URL, BACKUP_DIR }: { readonly DATABASE_URL: string; readonly BACKUP_DIR?: string | undefined },
  issues: z.RefinementCtx,
): void {
  if (!DATABASE_URL.startsWith('file:') && BACKUP_DIR !== undefined) {
    issues.addIssue({
      code: 'custom',
      path: ['BACKUP_DIR'],
      message: 'is for SQLite only; back up PostgreSQL with pg_dump, as docs/operating.md describes',
    });
  }
}

/** Requires a sender and the origin of links when mail is configured. */
function requireMailSettings(
  values: Partial<Record<'SMTP_URL' | 'MAIL_FROM' | 'PUBLIC_URL', string | undefined>>,
  issues: z.RefinementCtx,
): void {
  for (const name of ['MAIL_FROM', 'PUBLIC_URL'] as const) {
    if (values.SMTP_URL !== undefined && values[name] === undefined) {
      issues.addIssue({ code: 'custom', path: [name], message: 'is required with SMTP_URL' });
    }
  }
}

/** The schema of the environment variables, with their defaults. */
export const environment = values
  .superRefine(requireSharedSecret)
  .superRefine(refuseUnsupportedBackups)
  .superRefine(requireMailSettings)
  .superRefine(requirePooledDatabase);

/** The parsed environment variables. */
export type Environment = z.infer<typeof environment>;
