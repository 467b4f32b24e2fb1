import { DJANGO } from '../rest/dialect.ts';
import { textField } from '../rest/fields.ts';
import { newAccount } from './fields.ts';

/** The properties that the paths of accounts share. */
export const ACCOUNTS = { tag: 'Accounts', dialect: DJANGO, challenge: 'Token' } as const;

export const SIGNED_IN = { 401: 'No credential, or a rejected one.' };
export const REJECTED = { 400: 'The rejected fields, with the reasons.' };

export const EMAIL_FIELD = textField(newAccount.shape.email.unwrap());
