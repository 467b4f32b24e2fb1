/** The information in a repetition of earlier text, and in a run of equal or consecutive characters, in bits. */
const REPETITION_BITS = 10;
const RUN_BITS = 8;
/** The shortest repetition or run; random text often has shorter ones. */
const MIN_PIECE = 3;
/** The number of characters that are examined, since the time grows with its square. */
const MAX_CHARACTERS = 1000;

/** The alphabets of secrets, the smallest first; the last one matches every text. */
const ALPHABETS: readonly { readonly pattern: RegExp; readonly size: number }[] = [
  { pattern: /^\d*$/, size: 10 },
  { pattern: /^[\da-f]*$/, size: 16 },
  { pattern: /^[\dA-F]*$/, size: 16 },
  { pattern: /^[a-z]*$/, size: 26 },
  { pattern: /^[A-Z]*$/, size: 26 },
  { pattern: /^[\da-z]*$/, size: 36 },
  { pattern: /^[\dA-Z]*$/, size: 36 },
  { pattern: /^[A-Za-z]*$/, size: 52 },
  { pattern: /^[\w+/=-]*$/, size: 64 },
  { pattern: /^/, size: 95 },
];

/**
 * Estimates the entropy of a secret in bits: the length of its shortest encoding as single characters, repetitions of earlier text, and runs
 * like `aaaa` or `6789`. It is an upper bound, since words and keyboard patterns count as random text.
 */
export function estimateBits(text: string): number {
  const secret = text.slice(0, MAX_CHARACTERS);
  const size = ALPHABETS.find(({ pattern }) => pattern.test(secret))?.size ?? 1;
  const characterBits = Math.log2(size);
  let bits = 0;
  for (let start = 0; start < secret.length; ) {
    const repetition = repetitionAt(secret, start);
    const run = runAt(secret, start);
    const length = Math.max(repetition, run);
    if (length >= MIN_PIECE) {
      bits += Math.min(length * characterBits, run >= repetition ? RUN_BITS : REPETITION_BITS);
      start += length;
    } else {
      bits += characterBits;
      start += 1;
    }
  }
  return bits;
}

/** Returns the length of the longest text at `start` that also begins at an earlier place; the two may overlap. */
function repetitionAt(text: string, start: number): number {
  let longest = 0;
  for (let from = 0; from < start; from += 1) {
    let length = 0;
    while (start + length < text.length && text[from + length] === text[start + length]) {
      length += 1;
    }
    longest = Math.max(longest, length);
  }
  return longest;
}

/** Returns the number of characters from `start` on that continue a run of equal, ascending or descending characters. */
function runAt(text: string, start: number): number {
  const stepAt = (at: number): number => text.charCodeAt(at) - text.charCodeAt(at - 1);
  const step = stepAt(start);
  let end = start;
  while (end < text.length && stepAt(end) === step) {
    end += 1;
  }
  return Math.abs(step) <= 1 ? end - start : 0;
}
