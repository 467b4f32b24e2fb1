import type { Services } from '../context.ts';
import type { Transaction } from '../database/client.ts';
import type { User } from '../generated/client/client.ts';
import { hashPassword, passwordProblems } from '../identity/passwords.ts';
import { validate } from '../validation.ts';
import { type NewAccount, newAccount, throwProblems } from './fields.ts';
import { rejectTakenName, usernameKeys } from './unique-names.ts';

/** The checked values of a new account. */
export type PreparedAccount = Readonly<Awaited<ReturnType<typeof prepareAccount>>>;

/**
 * Checks the fields of a new account and hashes its password.
 *
 * @throws {ValidationError} when a field breaks its limits
 */
export async function prepareAccount(input: NewAccount) {
  const values = validate(newAccount, input);
  const account = { ...values, email: values.email ?? '' };
  throwProblems(passwordProblems(account.password, account).map((message) => ({ path: 'password', message })));
  const { password, ...fields } = account;
  const resetEmail = fields.email;
  return { ...fields, resetEmail, ...usernameKeys(fields.username), passwordHash: await hashPassword(password) };
}

/**
 * Creates an account.
 *
 * @throws {ValidationError} when the name is taken, without regard to case, or looks like that of another user
 */
export function createAccount(
  services: { readonly database: Transaction },
  account: PreparedAccount,
  { isStaff = false } = {},
): Promise<User> {
  return rejectTakenName(services, { path: 'username', name: account.username }, () =>
    services.database.user.create({ data: { ...account, isStaff } }),
  );
}

/** Checks and creates an account; see {@link prepareAccount} and {@link createAccount}. */
export async function signUp(services: Services, input: NewAccount, options = {}): Promise<User> {
  return createAccount(services, await prepareAccount(input), options);
}
