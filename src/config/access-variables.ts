import { z } from 'zod';
import { secretKey, secretKeys } from './secret-key.ts';
import { flag, optional, optionalNumber, wholeNumber } from './variable.ts';

const DAY_S = 86_400;

/** The variables of credentials, and of the parts that are open without one. */
export const CREDENTIAL_VARIABLES = {
  SECRET_KEY: optional(secretKey, {
    absence: 'generated, and stored in `<database>.secret`',
    meaning:
      'the key that signs access tokens; it must be hard to guess, like the output of `openssl rand -hex 32`. Required with PostgreSQL, the same for all nodes; see [rotation](operating.md#rotate-the-signing-key)',
    values: 'at least 32 characters',
    secrecy: 'value',
  }),
  SECRET_KEY_OLD: optional(secretKeys, {
    absence: 'none',
    meaning:
      'further keys whose tokens and links are accepted; nothing is signed with them. See [rotation](operating.md#rotate-the-signing-key)',
    values: 'at most 4 keys, separated by commas or one a line',
    secrecy: 'value',
  }),
  ACCESS_TOKEN_LIFE_S: wholeNumber(1800, { min: 1, max: 365 * DAY_S, unit: 's' }, 'how long an access token is valid'),
  REFRESH_TOKEN_LIFE_S: wholeNumber(
    7 * DAY_S,
    { min: 1, max: 3650 * DAY_S, unit: 's' },
    'how long a refresh token is valid; also how long the session of a cookie lasts without being used',
  ),
  SESSION_LIFE_S: wholeNumber(
    90 * DAY_S,
    { min: 1, max: 3650 * DAY_S, unit: 's' },
    'how long a session lasts from its sign-in; no refresh extends it beyond',
  ),
  ALLOW_ANONYMOUS: flag(
    true,
    '`false` ends access without a credential to the todos, lists and notes without an owner',
  ),
  POSTS_WRITABLE: flag(false, 'whether the REST paths of posts also write'),
  CHAT_SOCKET_OPEN: flag(false, "whether a chat's uri alone opens the chat socket, as in the original service"),
};

/** The variables of the rate limits. */
export const RATE_VARIABLES = {
  MAX_FAILED_SIGN_INS: wholeNumber(
    20,
    { min: 1, max: 1_000_000 },
    'failed sign-ins with one name from one address within five minutes; also failed checks of `currentPassword` with one credential. See [wrong passwords](operating.md#wrong-passwords)',
  ),
  MAX_FAILED_SIGN_INS_PER_NAME: optionalNumber(
    { min: 1, max: 100_000_000, absence: '3 × `MAX_FAILED_SIGN_INS`' },
    'failed sign-ins with one name from any address within five minutes; also failed checks with all credentials of a user',
  ),
  MAX_FAILED_SIGN_INS_PER_ADDRESS: optionalNumber(
    { min: 1, max: 100_000_000, absence: '10 × `MAX_FAILED_SIGN_INS`' },
    'failed sign-ins from one address with any name within five minutes',
  ),
  MAX_ANONYMOUS_WRITES: wholeNumber(
    6000,
    { min: 1, max: 100_000_000 },
    'writes without a credential from one IP address within five minutes; further ones, over GraphQL and REST, get `RATE_LIMITED` with `Retry-After`',
  ),
  MAX_SIGN_UPS: wholeNumber(
    500,
    { min: 1, max: 100_000_000 },
    'attempts to create an account from one IP address within an hour; further ones get `RATE_LIMITED` with `Retry-After`',
  ),
  MAX_USER_SEARCHES: wholeNumber(
    300,
    { min: 1, max: 100_000_000 },
    'searches of users by one user, other than staff, within five minutes; further ones get `RATE_LIMITED` with `Retry-After`',
  ),
};

/** The variables that only commands read. */
export const COMMAND_VARIABLES = {
  TIDINGS_PASSWORD: optional(z.string(), {
    absence: 'asked for',
    meaning: 'the password of the account that `npm run createsuperuser` creates',
    values: 'a password',
    secrecy: 'value',
  }),
};
