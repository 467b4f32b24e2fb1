import { type AccountStatus, changeStatus, replacePassword } from '../accounts/account-status.ts';
import { recordAct } from '../accounts/audit.ts';
import { resetLink } from '../accounts/recovery.ts';
import { prepareNewPassword } from '../accounts/service.ts';
import { runningSessions } from '../accounts/sessions.ts';
import { usersWhere } from '../accounts/staff.ts';
import { usernameKey } from '../accounts/usernames.ts';
import type { Services } from '../context.ts';
import { countRows, findRow, findRows } from '../database/rows.ts';
import { AppError, ConflictError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { operator } from './operator.ts';
import { Prompt, type Terminal } from './prompt.ts';
import { detailsOf, tableOf } from './user-texts.ts';

export const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 1000;
/** How many of the newest acts on an account are shown. */
const SHOWN_ACTS = 10;

/** A sub-command of `user` as the operator called it. */
export interface Call {
  readonly services: Services;
  /** Whether the configuration says at which URL users reach the server. */
  readonly hasPublicUrl: boolean;
  /** The word behind the sub-command: the name of a user, or the text that names are searched for. */
  readonly word: string | undefined;
  readonly options: Readonly<Record<string, unknown>>;
  readonly terminal: Terminal;
}

/**
 * Returns a table of users by name, no more than the limit; says on standard error how to read on.
 *
 * @throws {AppError} `BAD_INPUT` when the limit is none
 */
export async function list({ services, word, options, terminal }: Call): Promise<string> {
  const { staff, deactivated, after } = options;
  const limit = limitOf(options['limit']);
  const filter = { usernameContains: word, ...(staff === true && { isStaff: true }) };
  const users = await findRows(services.database, 'User', {
    where: {
      AND: [
        usersWhere({ ...filter, ...(deactivated === true && { isActive: false }) }),
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
    throw new AppError('BAD_INPUT', `The limit has to be a number between 1 and ${MAX_LIMIT}.`);
  }
  return limit;
}

/**
 * Returns what there is to know of a user.
 *
 * @throws {AppError} `NOT_FOUND` when there is none of that name
 */
export async function show(call: Call): Promise<string> {
  const { database, tokens } = call.services;
  const user = await namedUser(call);
  const own = { userId: user.id };
  return detailsOf({
    user,
    sessions: await countRows(database, 'Session', { ...own, ...runningSessions(tokens, new Date()) }),
    keys: await countRows(database, 'AuthToken', own),
    acts: await findRows(database, 'AuditEntry', {
      where: { subjectId: user.id },
      orderBy: [{ id: 'desc' }],
      take: SHOWN_ACTS,
    }),
  });
}

/**
 * Asks for a new password of a user and sets it, which ends every session and key.
 *
 * @throws {AppError} `NOT_FOUND` when there is none of that name
 * @throws {ValidationError} when the password is refused
 */
export async function setPassword(call: Call): Promise<string> {
  const { database, identities } = call.services;
  const user = await namedUser(call);
  const passwordHash = await prepareNewPassword(await askNewPassword(user, call.terminal), user);
  identities.suspend(user.id);
  const act = { actor: operator(), action: 'PASSWORD_SET' } as const;
  const { isActive } = await database.$transaction((transaction) =>
    replacePassword(transaction, act, user, passwordHash),
  );
  const hint = isActive ? '' : ' The account is deactivated: nobody can sign in before it is activated.';
  return `The password of ${user.username} is set; every session and key ended.${hint}`;
}

/**
 * Returns a link with which a user sets a new password, for who can show the operator who they are.
 *
 * @throws {AppError} `NOT_FOUND` when there is none of that name
 * @throws {ConflictError} when the account is deactivated
 */
export async function printResetLink(call: Call): Promise<string> {
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
      'PUBLIC_URL is not set: put the address at which users reach the server into the link.\n',
    );
  }
  return `${url}\nIt works once, until ${expiresAt.toISOString()} or the next change of the password or email address.`;
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
 * Changes the status of a user; `is` says what the user is then.
 *
 * @throws {AppError} `NOT_FOUND` when there is none of that name
 * @throws {ConflictError} when no active staff would be left, unless it is forced
 */
export async function setStatus(call: Call, status: AccountStatus, is: string): Promise<string> {
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

async function namedUser({ services, word = '' }: Call): Promise<User> {
  const user = await findRow(services.database, 'User', { usernameKey: usernameKey(word) });
  if (!user) {
    throw new AppError('NOT_FOUND', `There is no user ${JSON.stringify(word)}: \`npm run user -- list\` shows them.`);
  }
  return user;
}
