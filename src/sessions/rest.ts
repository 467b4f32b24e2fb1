import { z } from 'zod';
import { DJANGO } from '../rest/dialect.ts';
import { textField } from '../rest/fields.ts';
import { operation, type Resource } from '../rest/resource.ts';
import { text } from '../validation.ts';
import { reissueToken } from './reissue.ts';
import { startSession } from './sessions.ts';
import { signIn, verifyToken } from './sign-in.ts';

const MAX_TOKEN = 8192;
const MAX_CREDENTIAL = 1000;

/** The fields of a body with which a client signs in. */
export const LOGIN_FIELDS = {
  username: textField(text(MAX_CREDENTIAL)),
  password: textField(text(MAX_CREDENTIAL)),
};
const login = z.object(LOGIN_FIELDS);
const tokenBody = z.object({ token: textField(text(MAX_TOKEN)) });

const shared = {
  tag: 'Access tokens',
  dialect: DJANGO,
  // A client may still send an expired token.
  access: 'ignored',
} as const;
const ANSWERS = { 200: 'An access token, a JWT.', 400: 'The reason for the rejection.' };
/** The additional answer of a path that checks passwords. */
export const TOO_MANY = { 429: 'Too many wrong passwords; `Retry-After` has the seconds until the next attempt.' };

/** The documented paths of django-rest-framework-jwt. */
export const JWT_RESOURCES: readonly Resource[] = [
  {
    ...shared,
    path: '/auth/obtain_token',
    aliases: ['/auth/jwt/create', '/api/auth/obtain_token'],
    name: 'Obtain Json Web Token',
    description: 'Returns an access token for a username and password.',
    methods: {
      POST: operation({
        summary: 'Signs in',
        body: login,
        answers: { ...ANSWERS, ...TOO_MANY },
        prepare: ({ context, body }) => signIn(context, body),
        handle: async ({ context, prepared }) => ({
          status: 200,
          body: { token: (await startSession(context, prepared)).token },
        }),
      }),
    },
  },
  {
    ...shared,
    path: '/auth/verify_token',
    aliases: ['/auth/jwt/verify', '/api/auth/verify_token'],
    name: 'Verify Json Web Token',
    description: 'Verifies an access token.',
    methods: {
      POST: operation({
        summary: 'Verifies an access token',
        body: tokenBody,
        answers: ANSWERS,
        handle: async ({ context, body }) => ({
          status: 200,
          body: { token: (await verifyToken(context, body.token)).token },
        }),
      }),
    },
  },
  {
    ...shared,
    path: '/auth/refresh_token',
    aliases: ['/auth/jwt/refresh', '/api/auth/refresh_token'],
    name: 'Refresh Json Web Token',
    description:
      'Returns a new access token for one that has not expired, up to 7 days after the sign-in unless configured otherwise.',
    methods: {
      POST: operation({
        summary: 'Renews an access token',
        body: tokenBody,
        answers: ANSWERS,
        handle: async ({ context, body }) => ({
          status: 200,
          body: { token: await reissueToken(context, body.token) },
        }),
      }),
    },
  },
];
