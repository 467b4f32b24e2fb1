/** What a repetition of earlier text costs to describe, and a run of equal or consecutive characters, in bits. */
const REPETITION_BITS = 10;
const RUN_BITS = 8;
/** Shorter pieces are no repetition or run: random text has them, too. */
const MIN_PIECE = 3;
/** How many characters are looked at: the time grows with their square, and so many are enough. */
const MAX_CHARACTERS = 1000;

/** The alphabets that a secret may be drawn from, the smallest first; the last one takes every text. */
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
 * Estimates the entropy of a secret in bits: how long its shortest description is, made of single characters, of repetitions of what came before, and of runs
 * like `aaaa` or `6789`. It is an upper bound: words and patterns of a keyboard are taken for random text.
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

/** How many characters from `start` on stand somewhere before them, too; the two places may overlap. */
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

/** How many characters from `start` on go on as the characters before them did: by the same, the next or the previous one. */
function runAt(text: string, start: number): number {
  const stepAt = (at: number): number => text.charCodeAt(at) - text.charCodeAt(at - 1);
  const step = stepAt(start);
  let end = start;
  while (end < text.length && stepAt(end) === step) {
    end += 1;
  }
  return Math.abs(step) <= 1 ? end - start : 0;
}
