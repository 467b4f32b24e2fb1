import { z } from 'zod';
import type { Context, Services } from '../context.ts';
import { findBatched, loadRelated, loadRelatedOfPage } from '../database/batch.ts';
import { isUniqueViolation } from '../database/failures.ts';
import type { Page } from '../database/page.ts';
import { findRow, findRows } from '../database/rows.ts';
import type { Transaction } from '../database/transactions.ts';
import { CredentialsError, type FieldProblem, UnauthenticatedError, ValidationError } from '../errors.ts';
import type { User } from '../generated/client/client.ts';
import { text, type Unchecked, unwritableProblem, validate } from '../validation.ts';
import { closeAccount, replacePassword } from './account-status.ts';
import { limitConfirmation, limitSignIn } from './attempts.ts';
import { actorOf, recordAct } from './audit.ts';
import { clearCookie, isByCookie, newCookie } from './cookies.ts';
import { EXPLANATIONS, QUESTION_SENTENCES } from './fault-sentences.ts';
import { hashPassword, passwordMatches, passwordProblems } from './passwords.ts';
import { signedIn, visibleUsers } from './policy.ts';
import {
  authenticate,
  type Caller,
  createAuthKey,
  lockUser,
  proveUser,
  startSession,
  type TokenPair,
} from './sessions.ts';
import { normaliseUsername, usernameKey, usernameProblem, usernameSkeleton } from './usernames.ts';

export const MAX_USERNAME = 150;
export const MAX_EMAIL = 254;
const MAX_NAME = 150;
const MAX_KEY_NAME = 100;

const username = text(MAX_USERNAME)
  .transform(normaliseUsername)
  // Once more: NFKC can make a name longer.
  .pipe(text(MAX_USERNAME, { trim: false }))
  .superRefine((value, issues) => {
    const message = usernameProblem(value);
    if (message) {
      issues.addIssue({ code: 'custom', message });
    }
  });

const email = text(MAX_EMAIL, { blank: true })
  .refine((value) => value === '' || unwritableProblem(value) || z.email().safeParse(value).success, {
    error: 'Enter a valid email address.',
  })
  .transform(lowerCaseDomain);

export const newAccount = z.object({
  username,
  password: z.string({ error: 'This field is required.' }).min(1, { error: 'This field may not be blank.' }),
  email: email.optional(),
  firstName: text(MAX_NAME, { blank: true }).optional(),
  lastName: text(MAX_NAME, { blank: true }).optional(),
});

export type NewAccount = Unchecked<z.input<typeof newAccount>>;

export interface Login {
  readonly username: string;
  readonly password: string;
}

/** An account that can be made. */
export type PreparedAccount = Readonly<Awaited<ReturnType<typeof prepareAccount>>>;

/**
 * Checks the fields of an account and hashes its password.
 *
 * @throws {ValidationError} when a field breaks its limits
 */
export async function prepareAccount(input: NewAccount) {
  const values = validate(newAccount, input);
  const account = { ...values, email: values.email ?? '' };
  refuse(passwordProblems(account.password, account).map((message) => ({ path: 'password', message })));
  const { password, ...fields } = account;
  const resetEmail = fields.email;
  return { ...fields, resetEmail, ...keysOf(fields.username), passwordHash: await hashPassword(password) };
}

/**
 * Makes an account.
 *
 * @throws {ValidationError} when the name is taken (in any case of letters), or looks like another one
 */
export function createAccount(
  services: { readonly database: Transaction },
  account: PreparedAccount,
  { isStaff = false } = {},
): Promise<User> {
  return orTaken(services, { path: 'username', name: account.username }, () =>
    services.database.user.create({ data: { ...account, isStaff } }),
  );
}

/** Checks an account and makes it; see {@link prepareAccount} and {@link createAccount}. */
export async function signUp(services: Services, input: NewAccount, options = {}): Promise<User> {
  return createAccount(services, await prepareAccount(input), options);
}

/**
 * Checks a username and password.
 *
 * @throws {CredentialsError} when they are not those of an active user
 * @throws {OverloadedError} after too many failures, or when too many passwords are being checked
 */
export async function signIn(services: Caller, { username, password }: Login): Promise<User> {
  const { address = '' } = services;
  const user = await limitSignIn(services, { username, address }, () => authenticate(services, username, password));
  if (!user) {
    throw new CredentialsError();
  }
  return user;
}

/**
 * Signs in with a username and password.
 *
 * @throws {CredentialsError} when they are not those of an active user
 * @throws {OverloadedError} after too many failures, or when too many passwords are being checked
 */
export async function obtainToken(services: Caller, login: Login): Promise<TokenPair> {
  return startSession(services, await signIn(services, login));
}

const keyDetails = z.object({ name: text(MAX_KEY_NAME).nullable() });

/** A key that can be made. */
export interface PreparedKey {
  readonly user: User;
  readonly name: string | null;
}

/**
 * Checks the name of a key and whose it will be.
 *
 * @throws {ValidationError} when the name is empty or too long
 * @throws {CredentialsError} when username and password are not those of an active user
 * @throws {OverloadedError} after too many failures, or when too many passwords are being checked
 */
export async function prepareAuthToken(services: Caller, login: Login, name: string | null): Promise<PreparedKey> {
  return { ...validate(keyDetails, { name }), user: await signIn(services, login) };
}

/**
 * Makes an opaque key for programs; it is shown once and lives until it is destroyed.
 *
 * @throws {CredentialsError} when the password was changed or the account closed since the user signed in
 */
export async function createAuthToken(
  services: Services,
  { user, name }: PreparedKey,
): Promise<{ authToken: string; user: User }> {
  return { authToken: await createAuthKey(services, user, name), user };
}

/**
 * Whose an access token is, and until when.
 *
 * @throws {CredentialsError} saying why the token proves nothing
 */
export async function verifyToken(
  services: Services,
  token: string,
): Promise<{ token: string; user: User; expiresAt: Date }> {
  const proof = await proveUser(services, token);
  if (typeof proof === 'string') {
    throw new CredentialsError(QUESTION_SENTENCES[proof], EXPLANATIONS[proof]);
  }
  return { token, user: proof.user, expiresAt: proof.expiresAt };
}

export interface NewPassword {
  readonly currentPassword: string;
  readonly newPassword: string;
}

/** A user whose password was checked, and the hash of the next one. */
export interface PreparedPassword {
  readonly user: User;
  readonly passwordHash: string;
}

/**
 * Checks the present password of the viewer, and hashes the next one.
 *
 * @throws {ValidationError} when the present password is wrong or the new one is refused
 * @throws {OverloadedError} after too many wrong passwords, or when too many are being checked
 */
export async function preparePassword(context: Context, input: NewPassword): Promise<PreparedPassword> {
  const user = await confirmPassword(context, input.currentPassword);
  return { user, passwordHash: await prepareNewPassword(input.newPassword, user) };
}

/**
 * Checks a password that a user is to have, and hashes it.
 *
 * @throws {ValidationError} when it is refused
 * @throws {OverloadedError} when too many passwords are being checked
 */
export async function prepareNewPassword(newPassword: string, user: User): Promise<string> {
  refuse(passwordProblems(newPassword, user).map((message) => ({ path: 'newPassword', message })));
  return hashPassword(newPassword);
}

/** Sets a new password and ends every credential that was issued before. */
export async function setPassword(context: Context, { user, passwordHash }: PreparedPassword): Promise<User> {
  context.identities.suspend(user.id);
  const act = { actor: actorOf(context), action: 'PASSWORD_CHANGED' } as const;
  const changed = await context.database.$transaction(async (transaction) => {
    await expectUnchanged(transaction, user);
    return replacePassword(transaction, act, user, passwordHash);
  });
  clearCookie(context);
  return changed;
}

/**
 * The same, and signs in anew; by a cookie where the request came with one.
 *
 * @throws {ValidationError} when the present password is wrong or the new one is refused
 * @throws {OverloadedError} after too many wrong passwords, or when too many are being checked
 */
export async function changePassword(context: Context, input: NewPassword): Promise<TokenPair> {
  const user = await setPassword(context, await preparePassword(context, input));
  const { viewer, cookie, tokens } = context;
  if (!cookie?.write || !isByCookie(viewer)) {
    return startSession(context, user);
  }
  const { hash, ...next } = newCookie(tokens, new Date());
  const pair = await startSession(context, user, hash);
  cookie.write(next);
  return pair;
}

/**
 * Gives a user another username. Access tokens name the old one, and so they end.
 *
 * @throws {ValidationError} when the name is taken or refused
 */
export async function setUsername(context: Context, user: User, name: string): Promise<User> {
  const { newUsername } = validate(z.object({ newUsername: username }), { newUsername: name });
  context.identities.suspend(user.id);
  const details = `new name: ${newUsername}`;
  return orTaken(context, { path: 'newUsername', name: newUsername, id: user.id }, () =>
    context.database.$transaction(async (transaction) => {
      await expectUnchanged(transaction, user);
      await recordAct(transaction, { actor: actorOf(context), action: 'USERNAME_CHANGED', subject: user, details });
      return transaction.user.update({
        where: { id: user.id },
        data: { username: newUsername, ...keysOf(newUsername) },
      });
    }),
  );
}

/**
 * The viewer's own row.
 *
 * @throws {UnauthenticatedError} for anonymous callers, and when the account was deleted a moment ago
 */
export async function viewerRow({ database, viewer }: Context): Promise<User> {
  const user = await findRow(database, 'User', { id: signedIn(viewer).id });
  if (!user) {
    throw new UnauthenticatedError();
  }
  return user;
}

/** Closes an account: every credential stops working at once. What the user wrote stays. */
export async function deactivateUser(context: Context, user: User): Promise<User> {
  context.identities.suspend(user.id);
  const closed = await context.database.$transaction(async (transaction) => {
    await expectUnchanged(transaction, user);
    return closeAccount(transaction, actorOf(context), user);
  });
  clearCookie(context);
  return closed;
}

/** The user with this name (in any case of letters), if the viewer may know of users. */
export function findUser({ database, viewer }: Context, name: string): Promise<User | undefined> {
  return findRow(database, 'User', { AND: [{ usernameKey: usernameKey(name) }, visibleUsers(viewer)] });
}

/** The user with this id, if the viewer may know of users; batched. */
export function findUserById(context: Context, id: string | number): Promise<User | undefined> {
  const { database, viewer } = context;
  return findBatched(context, 'User', id, (ids) =>
    findRows(database, 'User', { where: { AND: [{ id: { in: ids } }, visibleUsers(viewer)] } }),
  );
}

/** The users whom the objects of a page name, by the objects. */
const usersOfPages = new WeakMap<object, ReadonlyMap<number, User>>();

/** The user that an object names which the viewer may see; batched. It costs nothing for an object of a page {@link withUsers}. */
export function loadUser(context: Context, id: number, object?: object): Promise<User | undefined> | User {
  return (object && usersOfPages.get(object)?.get(id)) ?? loadRelated(context, 'User', id, usersIn(context));
}

/** Reads a page together with the users whom its objects name. */
export async function withUsers<Row extends object>(
  context: Context,
  reading: Promise<Page<Row>>,
  idOf: (row: Row) => number | null,
): Promise<Page<Row>> {
  const page = await reading;
  const ids = new Set(page.rows.flatMap((row) => idOf(row) ?? []));
  if (ids.size === 0) {
    return page;
  }
  const users = await loadRelatedOfPage(context, 'User', [...ids], usersIn(context));
  for (const row of page.rows) {
    usersOfPages.set(row, users);
  }
  return page;
}

function usersIn({ database }: Context) {
  return (ids: number[]): Promise<User[]> => findRows(database, 'User', { where: { id: { in: ids } } });
}

/**
 * Locks a user who has confirmed a change with their password.
 *
 * @throws {UnauthenticatedError} when the password was changed or the account closed since: what the old password confirmed is no longer to be done
 */
export async function expectUnchanged(transaction: Transaction, user: User): Promise<void> {
  if (!(await lockUser(transaction, user))) {
    throw new UnauthenticatedError();
  }
}

/** What may be only one user's each. */
function keysOf(name: string): { usernameKey: string; usernameSkeleton: string } {
  return { usernameKey: usernameKey(name), usernameSkeleton: usernameSkeleton(name) };
}

async function orTaken(
  { database }: { readonly database: Transaction },
  { path, name, id }: { readonly path: string; readonly name: string; readonly id?: number },
  write: () => PromiseLike<User>,
): Promise<User> {
  // Asked first, since which of two violations a database reports is not specified, and since nothing can be asked after it in a transaction of PostgreSQL.
  const similar = await findRow(database, 'User', { usernameSkeleton: usernameSkeleton(name) });
  if (similar && similar.id !== id && similar.usernameKey !== usernameKey(name)) {
    throw new ValidationError([{ path, message: 'This username looks like that of another user.' }]);
  }
  try {
    return await write();
  } catch (error) {
    if (isUniqueViolation(error)) {
      throw new ValidationError([{ path, message: 'A user with that username already exists.' }]);
    }
    throw error;
  }
}

/**
 * The viewer's own row, when this is their password.
 *
 * @throws {ValidationError} when it is not
 * @throws {OverloadedError} after too many failures, or when too many passwords are being checked
 */
export async function confirmPassword(context: Context, currentPassword: string): Promise<User> {
  const user = await limitConfirmation(context, signedIn(context.viewer), async () => {
    const row = await viewerRow(context);
    return (await passwordMatches(row.passwordHash, currentPassword)) ? row : null;
  });
  if (!user) {
    throw new ValidationError([{ path: 'currentPassword', message: 'Invalid password.' }]);
  }
  return user;
}

function refuse(problems: readonly FieldProblem[]): void {
  if (problems.length > 0) {
    throw new ValidationError(problems);
  }
}

function lowerCaseDomain(address: string): string {
  const at = address.lastIndexOf('@');
  return at < 0 ? address : address.slice(0, at) + address.slice(at).toLowerCase();
}
