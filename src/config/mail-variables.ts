import { z } from 'zod';
import { optional, wholeNumber } from './variable.ts';

const DAY_S = 86_400;

const webPage = z.string().refine((text) => /^https?:\/\/[^#\s]+$/.test(text) && URL.canParse(text), {
  error: 'must be an http: or https: URL without a fragment',
});

/** The variables of mails and of the links in them. */
export const MAIL_VARIABLES = {
  SMTP_URL: optional(
    z.string().refine((text) => /^smtps?:\/\/[^/\s]+/.test(text) && URL.canParse(text), {
      error: 'must be an smtp: or smtps: URL, like smtp://user:password@mail.example.org:587',
    }),
    {
      absence: 'no mails',
      meaning: 'the mail server; it requires `MAIL_FROM` and `PUBLIC_URL`',
      values: '`smtp://user:password@mail.example.org:587`, `smtps://…`',
      secrecy: 'password',
    },
  ),
  MAIL_FROM: optional(
    z.string().regex(/^(?:[^<>@,;\r\n]+ <[^<>@\s,;]+@[^<>@\s,;]+>|[^<>@\s,;]+@[^<>@\s,;]+)$/, {
      error: 'must be one email address, with a name or without, like Tidings <tidings@example.org>',
    }),
    {
      absence: 'none',
      meaning: 'the sender of mails',
      values: 'an email address, like `Tidings <tidings@example.org>`',
    },
  ),
  MAX_MAILS_PER_USER: wholeNumber(
    10,
    { min: 1, max: 100_000_000 },
    'mails an hour that are requested for one account from one IP address, or sent to one email address for one purpose',
  ),
  MAX_MAILS_PER_ADDRESS: wholeNumber(
    100,
    { min: 1, max: 100_000_000 },
    'mails an hour that are requested from one IP address',
  ),
  PASSWORD_RESET_LIFE_S: wholeNumber(
    3600,
    { min: 1, max: 30 * DAY_S, unit: 's' },
    'how long a link that sets a password is valid',
  ),
  EMAIL_VERIFICATION_LIFE_S: wholeNumber(
    3 * DAY_S,
    { min: 1, max: 30 * DAY_S, unit: 's' },
    'how long a link that verifies an email address is valid',
  ),
  PASSWORD_RESET_PAGE: optional(webPage, {
    absence: 'a page of the server',
    meaning:
      'a page of yours to set a new password; it reads the token of a link from `#token=`, and calls `resetPassword`',
    values: 'an `http:` or `https:` URL without a fragment',
  }),
  EMAIL_VERIFICATION_PAGE: optional(webPage, {
    absence: 'a page of the server',
    meaning:
      'a page of yours to verify an email address; it reads the token of a link from `#token=`, and calls `verifyEmail`',
    values: 'an `http:` or `https:` URL without a fragment',
  }),
};
