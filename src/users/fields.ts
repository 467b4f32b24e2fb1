import { z } from 'zod';
import { type FieldProblem, ValidationError } from '../errors.ts';
import { normaliseUsername, usernameProblem } from '../identity/usernames.ts';
import { text, type Unvalidated, unwritableProblem } from '../validation.ts';

export const MAX_USERNAME = 150;

export const MAX_EMAIL = 254;

const MAX_NAME = 150;

export const username = text(MAX_USERNAME)
  .transform(normaliseUsername)
  // A second time, since NFKC can make a name longer.
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

export type NewAccount = Unvalidated<z.input<typeof newAccount>>;

/** @throws {ValidationError} when there are problems */
export function throwProblems(problems: readonly FieldProblem[]): void {
  if (problems.length > 0) {
    throw new ValidationError(problems);
  }
}

function lowerCaseDomain(address: string): string {
  const at = address.lastIndexOf('@');
  return at < 0 ? address : address.slice(0, at) + address.slice(at).toLowerCase();
}
