import { z } from 'zod';
import { estimateBits } from './secret-strength.ts';
import { listOf } from './variable.ts';

const MIN_SECRET_LENGTH = 32;
/** The least estimated entropy of a secret, which is lower than that of 32 random digits. */
const MIN_SECRET_BITS = 100;
/** Each token without a key id is tried with every key, and each counter is kept with every key. */
const MAX_OLD_SECRETS = 4;

/** Placeholders of documentation, which are public whatever their length. */
const EXAMPLE_SECRET = /change.?me|example|secret.?key|your.?secret|insecure/i;

const NEW_SECRET = 'generate one with `openssl rand -hex 32`';

/** Returns the reason for which a secret is refused, which does not contain the secret; null when it is accepted. */
function secretProblem(secret: string): string | null {
  if (secret.length < MIN_SECRET_LENGTH) {
    return `must have at least ${MIN_SECRET_LENGTH} characters`;
  }
  if (EXAMPLE_SECRET.test(secret)) {
    return `looks like an example value: ${NEW_SECRET}`;
  }
  return estimateBits(secret) < MIN_SECRET_BITS
    ? `is easy to guess, since it has repetitions or sequences of characters: ${NEW_SECRET}`
    : null;
}

/** A secret that is hard to guess. */
export const secretKey = z.string().superRefine((value, issues) => {
  const message = secretProblem(value);
  if (message) {
    issues.addIssue({ code: 'custom', message });
  }
});

/** The time behind an earlier secret in the file that `rotate-key` writes, which may be listed as it is. */
const ACCEPTED_UNTIL = / until \S+$/;

/** A list of such secrets: one a line, or on a single line separated by commas, so that secrets with commas can be listed by lines. */
export const secretKeys = z
  .string()
  .transform((text) => (text.includes('\n') ? text.split(/\r?\n/).filter(Boolean) : listOf(text)))
  .transform((secrets) => secrets.map((secret) => secret.replace(ACCEPTED_UNTIL, '')))
  .superRefine((secrets, issues) => {
    if (secrets.length > MAX_OLD_SECRETS) {
      const message = `must have at most ${MAX_OLD_SECRETS} keys, separated by commas or one a line; it has ${secrets.length}`;
      issues.addIssue({ code: 'custom', message });
    }
    for (const [index, secret] of secrets.slice(0, MAX_OLD_SECRETS).entries()) {
      const problem = secretProblem(secret);
      if (problem) {
        const message = `must be keys, separated by commas or one a line; key ${index + 1} of ${secrets.length} ${problem}`;
        issues.addIssue({ code: 'custom', message });
      }
    }
  });
