import type { Environment } from './environment.ts';

/** The purpose of a link in a mail. */
export type LinkPurpose = 'resetPassword' | 'verifyEmail';

/** The settings of the links for one purpose. */
export interface LinkSettings {
  /** The page that receives the token. The token is appended as the fragment `#token=…`, so that no access log and no `Referer` header contains it. */
  readonly page: string;
  /** How long a link is valid, in seconds. */
  readonly lifeS: number;
}

/** The settings of credentials. */
export interface AuthSettings {
  /** The key that signs access tokens; null for a key that is generated and stored beside the database. */
  readonly secret: string | null;
  /** Further keys that verify tokens and links, and sign none. */
  readonly oldSecrets: readonly string[];
  readonly accessTokenLifeS: number;
  readonly refreshTokenLifeS: number;
  /** The longest life of a session, which refreshing does not extend. */
  readonly sessionLifeS: number;
  /** The number of failed sign-ins with one name from one address within five minutes. */
  readonly maxFailedSignIns: number;
  /** The number of failed sign-ins with one name from all addresses. */
  readonly maxFailedSignInsPerName: number;
  /** The number of failed sign-ins from one address with any name. */
  readonly maxFailedSignInsPerAddress: number;
  /** Whether all viewers share the todos, lists and notes without an owner. */
  readonly allowAnonymous: boolean;
  /** The settings of the links in mails. */
  readonly links: Readonly<Record<LinkPurpose, LinkSettings>>;
}

/** Returns the variables whose defaults follow from other variables. */
export function derivedDefaults(values: Environment) {
  const origin = values.PUBLIC_URL ?? `http://${values.HOST}:${values.PORT}`;
  return {
    MAX_FAILED_SIGN_INS_PER_NAME: values.MAX_FAILED_SIGN_INS_PER_NAME ?? 3 * values.MAX_FAILED_SIGN_INS,
    MAX_FAILED_SIGN_INS_PER_ADDRESS: values.MAX_FAILED_SIGN_INS_PER_ADDRESS ?? 10 * values.MAX_FAILED_SIGN_INS,
    PASSWORD_RESET_PAGE: values.PASSWORD_RESET_PAGE ?? `${origin}/reset-password`,
    EMAIL_VERIFICATION_PAGE: values.EMAIL_VERIFICATION_PAGE ?? `${origin}/verify-email`,
  };
}

/** Returns the settings of credentials of the parsed environment variables. */
export function authSettings(values: Environment): AuthSettings {
  const derived = derivedDefaults(values);
  return {
    secret: values.SECRET_KEY ?? null,
    oldSecrets: values.SECRET_KEY_OLD ?? [],
    accessTokenLifeS: values.ACCESS_TOKEN_LIFE_S,
    refreshTokenLifeS: values.REFRESH_TOKEN_LIFE_S,
    sessionLifeS: values.SESSION_LIFE_S,
    maxFailedSignIns: values.MAX_FAILED_SIGN_INS,
    maxFailedSignInsPerName: derived.MAX_FAILED_SIGN_INS_PER_NAME,
    maxFailedSignInsPerAddress: derived.MAX_FAILED_SIGN_INS_PER_ADDRESS,
    allowAnonymous: values.ALLOW_ANONYMOUS,
    links: {
      resetPassword: { page: derived.PASSWORD_RESET_PAGE, lifeS: values.PASSWORD_RESET_LIFE_S },
      verifyEmail: { page: derived.EMAIL_VERIFICATION_PAGE, lifeS: values.EMAIL_VERIFICATION_LIFE_S },
    },
  };
}
