import { recordAct } from '../../audit/service.ts';
import type { Services } from '../../context.ts';
import { countRows, findRow, findRows } from '../../database/rows.ts';
import { AppError, ConflictError } from '../../errors.ts';
import type { User } from '../../generated/client/client.ts';
import { usernameKey } from '../../identity/usernames.ts';
import { activeSessions } from '../../sessions/session-life.ts';
import type { Terminal } from '../../slice.ts';
import { type AccountStatus, changeStatus, replacePassword } from '../account-status.ts';
import { prepareNewPassword } from '../password-change.ts';
import { resetLink } from '../recovery.ts';
import { userCondition } from '../staff.ts';
import { operator } from './operator.ts';
import { Prompt } from './prompt.ts';
import { detailsOf, tableOf } from './user-texts.ts';

export const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 1000;
/** How many of the latest acts on an account are shown. */
const SHOWN_ACTS = 10;

/** A call of a sub-command of `user`. */
export interface SubcommandCall {
  readonly services: Services;
  /** Whether `PUBLIC_URL` is set. */
  readonly hasPublicUrl: boolean;
  /** The argument of the sub-command: the name of a user, or the text to search for in names. */
  readonly argument: string | undefined;
  readonly options: Readonly<Record<string, unknown>>;
  readonly terminal: Terminal;
}

/**
 * Returns a table of users by name, at most as many as the limit. If there are more, it writes to standard error how to list them.
 *
 * @throws {AppError} `BAD_INPUT` when the limit is invalid
 */
export async function list({ services, argument, options, terminal }: SubcommandCall): Promise<string> {
  const { staff, deactivated, after } = options;
  const limit = limitOf(options['limit']);
  const filter = { usernameContains: argument, ...(staff === true && { isStaff: true }) };
  const users = await findRows(services.database, 'User', {
    where: {
      AND: [
        userCondition({ ...filter, ...(deactivated === true && { isActive: false }) }),
        typeof after === 'string' ? { username: { gt: after } } : {},
      ],
    },
    orderBy: [{ username: 'asc' }],
    take: limit + 1,
  });
  if (users.length > limit) {
    terminal.stderr.write(`There are more: add --after ${users[limit - 1]?.username}\n`);
  }
  return tableOf(users.slice(0, limit));
}

function limitOf(text: unknown): number {
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new AppError('BAD_INPUT', `The limit must be a whole number between 1 and ${MAX_LIMIT}.`);
  }
  return limit;
}

/**
 * Returns the details of a user.
 *
 * @throws {AppError} `NOT_FOUND` when there is no such user
 */
export async function show(call: SubcommandCall): Promise<string> {
  const { database, tokens } = call.services;
  const user = await namedUser(call);
  const own = { userId: user.id };
  return detailsOf({
    user,
    sessions: await countRows(database, 'Session', { ...own, ...activeSessions(tokens, new Date()) }),
    keys: await countRows(database, 'AuthToken', own),
    acts: await findRows(database, 'AuditEntry', {
      where: { subjectId: user.id },
      orderBy: [{ id: 'desc' }],
      take: SHOWN_ACTS,
    }),
  });
}

/**
 * Asks for a new password of a user and sets it, which ends every session and API key.
 *
 * @throws {AppError} `NOT_FOUND` when there is no such user
 * @throws {ValidationError} when the password is rejected
 */
export async function setPassword(call: SubcommandCall): Promise<string> {
  const { database, identities } = call.services;
  const user = await namedUser(call);
  const passwordHash = await prepareNewPassword(await askNewPassword(user, call.terminal), user);
  identities.suspend(user.id);
  const act = { actor: operator(), action: 'PASSWORD_SET' } as const;
  const { isActive } = await database.$transaction((transaction) =>
    replacePassword(transaction, act, user, passwordHash),
  );
  const hint = isActive ? '' : ' The account is deactivated: activate it before the user can sign in.';
  return `The password of ${user.username} is set; every session and key was ended.${hint}`;
}

/**
 * Returns a link to set a new password, for a user whose identity the operator has verified.
 *
 * @throws {AppError} `NOT_FOUND` when there is no such user
 * @throws {ConflictError} when the account is deactivated
 */
export async function printResetLink(call: SubcommandCall): Promise<string> {
  const user = await namedUser(call);
  if (!user.isActive) {
    throw new ConflictError(`The account of ${user.username} is deactivated: activate it first.`);
  }
  const { database } = call.services;
  await database.$transaction((transaction) =>
    recordAct(transaction, { actor: operator(), action: 'RESET_LINK_MADE', subject: user }),
  );
  const { url, expiresAt } = resetLink(call.services, user);
  if (!call.hasPublicUrl) {
    call.terminal.stderr.write(
      'PUBLIC_URL is not set: replace the host in the link by the address at which users reach the server.\n',
    );
  }
  return `${url}\nThe link is valid once, until ${expiresAt.toISOString()} or the next change of the password or email address.`;
}

async function askNewPassword({ username }: User, terminal: Terminal): Promise<string> {
  const prompt = new Prompt(terminal);
  try {
    return await prompt.askNewPassword(`New password of ${username}`);
  } finally {
    prompt.close();
  }
}

/**
 * Changes the status of a user. `is` describes the new status, like `is staff`.
 *
 * @throws {AppError} `NOT_FOUND` when there is no such user
 * @throws {ConflictError} when no active staff member would remain, unless it is forced
 */
export async function setStatus(call: SubcommandCall, status: AccountStatus, is: string): Promise<string> {
  const { services, options } = call;
  const { id, username } = await namedUser(call);
  const force = options['force'] === true;
  try {
    const { isChanged } = await changeStatus(services, operator(), id, status, { force });
    return `${username} ${is} ${isChanged ? 'now' : 'already'}.`;
  } catch (error) {
    throw error instanceof ConflictError ? new ConflictError(`${error.message} Add --force to do it anyway.`) : error;
  }
}

async function namedUser({ services, argument = '' }: SubcommandCall): Promise<User> {
  const user = await findRow(services.database, 'User', { usernameKey: usernameKey(argument) });
  if (!user) {
    throw new AppError(
      'NOT_FOUND',
      `There is no user ${JSON.stringify(argument)}. \`npm run user -- list\` lists the users.`,
    );
  }
  return user;
}
