import { hash, verify } from '@node-rs/argon2';
import { lengthInCharacters, unwritableProblem } from '../validation.ts';
import { inHashQueue } from './hash-queue.ts';

export const MIN_PASSWORD_LENGTH = 8;
export const MAX_PASSWORD_LENGTH = 128;

/** The highest similarity of a password with a name that is accepted, between 0 (nothing in common) and 1 (equal). */
const MAX_SIMILARITY = 0.7;

const COMMON_PASSWORDS: ReadonlySet<string> = new Set(
  `password password1 password123 passw0rd p@ssw0rd p@ssword 12345678 123456789 1234567890 11111111 00000000 87654321 88888888
   qwertyuiop qwerty123 qwerty12 1q2w3e4r 1qaz2wsx q1w2e3r4 zaq12wsx asdfghjkl asdf1234 zxcvbnm1 abcd1234 abc12345 a1b2c3d4
   iloveyou iloveyou1 sunshine princess football baseball basketball superman batman123 michael1 jennifer computer internet
   whatever trustno1 letmein1 welcome1 welcome123 dragon123 monkey123 master123 shadow123 starwars pokemon1 changeme admin123
   administrator test1234 testtest secret123 liverpool chelsea1 arsenal1 corvette mercedes maverick midnight nicholas samantha
   danielle victoria alexander jonathan elizabeth christian hello123 freedom1 charlie1 password12 1234qwer qwer1234`.split(
    /\s+/,
  ),
);

// Verifying against it makes an unknown user take as long as a wrong password.
let dummyHash: Promise<string> | null = null;

/**
 * Hashes a password with argon2id. The memory and time costs are the library's defaults, which follow OWASP's recommendation.
 *
 * @throws {OverloadedError} when too many hashes wait to be computed
 */
export function hashPassword(password: string): Promise<string> {
  return inHashQueue(() => hash(password));
}

/**
 * Returns whether the password matches the hash. Without a hash (an unknown user) it returns false after the same time.
 *
 * @throws {OverloadedError} when too many hashes wait to be computed
 */
export async function passwordMatches(passwordHash: string | null, password: string): Promise<boolean> {
  if (lengthInCharacters(password) > MAX_PASSWORD_LENGTH) {
    return false;
  }
  dummyHash ??= hash('a password that nobody has');
  const compared = passwordHash ?? (await dummyHash);
  const matches = await inHashQueue(() => verify(compared, password));
  return passwordHash !== null && matches;
}

/** Returns everything that is wrong with a new password, in the documented order; empty when it is acceptable. */
export function passwordProblems(password: string, user: { username: string; email: string }): string[] {
  const unwritable = unwritableProblem(password);
  if (unwritable) {
    return [unwritable];
  }
  const problems: string[] = [];
  const length = lengthInCharacters(password);
  if (length < MIN_PASSWORD_LENGTH) {
    problems.push(`This password is too short. It must contain at least ${MIN_PASSWORD_LENGTH} characters.`);
  }
  if (length > MAX_PASSWORD_LENGTH) {
    problems.push(`Ensure this field has no more than ${MAX_PASSWORD_LENGTH} characters.`);
    return problems;
  }
  if (resembles(password, user.username)) {
    problems.push('The password is too similar to the username.');
  } else if (resembles(password, user.email)) {
    problems.push('The password is too similar to the email address.');
  }
  if (COMMON_PASSWORDS.has(password.toLowerCase())) {
    problems.push('This password is too common.');
  }
  if (/^\d+$/.test(password)) {
    problems.push('This password is entirely numeric.');
  }
  return problems;
}

function resembles(password: string, name: string): boolean {
  const lower = name.toLowerCase();
  return [lower, ...lower.split(/\W+/)].some(
    (part) => part !== '' && similarity(password.toLowerCase(), part) >= MAX_SIMILARITY,
  );
}

/** Returns the share of characters that two texts have in common, in any order (`quick_ratio` of Python's difflib). */
function similarity(left: string, right: string): number {
  const available = new Map<string, number>();
  for (const character of right) {
    available.set(character, (available.get(character) ?? 0) + 1);
  }
  let common = 0;
  for (const character of left) {
    const count = available.get(character) ?? 0;
    if (count > 0) {
      available.set(character, count - 1);
      common += 1;
    }
  }
  return (2 * common) / (left.length + right.length);
}
