import { z } from 'zod';
import { DJANGO } from '../rest/dialect.ts';
import { textField } from '../rest/fields.ts';
import { operation, type Resource } from '../rest/resource.ts';
import { text } from '../validation.ts';
import { signIn, verifyToken } from './service.ts';
import { reissueToken, startSession } from './sessions.ts';

const MAX_TOKEN = 8192;
const MAX_CREDENTIAL = 1000;

/** A username and password as clients send them to sign in. */
export const LOGIN_FIELDS = {
  username: textField(text(MAX_CREDENTIAL)),
  password: textField(text(MAX_CREDENTIAL)),
};
const login = z.object(LOGIN_FIELDS);
const given = z.object({ token: textField(text(MAX_TOKEN)) });

const shared = {
  tag: 'Access tokens',
  dialect: DJANGO,
  // A client may still send a token that has run out.
  access: 'ignored',
} as const;
const ANSWERS = { 200: 'An access token, a JWT.', 400: 'Why there is none.' };
/** What a path that checks passwords answers beside its own. */
export const TOO_MANY = { 429: 'Too many wrong passwords: `Retry-After` says in how many seconds to try again.' };

/** What django-rest-framework-jwt served. */
export const JWT_RESOURCES: readonly Resource[] = [
  {
    ...shared,
    path: '/auth/obtain_token',
    aliases: ['/auth/jwt/create', '/api/auth/obtain_token'],
    name: 'Obtain Json Web Token',
    description: 'Gives an access token for a username and password.',
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
    description: 'Tells whether an access token is good.',
    methods: {
      POST: operation({
        summary: 'Checks an access token',
        body: given,
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
      'Gives a new access token for one that has not run out, up to 7 days after signing in unless configured otherwise.',
    methods: {
      POST: operation({
        summary: 'Renews an access token',
        body: given,
        answers: ANSWERS,
        handle: async ({ context, body }) => ({
          status: 200,
          body: { token: await reissueToken(context, body.token) },
        }),
      }),
    },
  },
];
