import { closeSync, openSync, readSync } from 'node:fs';

/** The largest size of a file with a secret, in bytes. */
const MAX_BYTES = 65_536;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EACCES: 'this process may not read; check its owner and mode',
  EPERM: 'this process may not read; check its owner and mode',
  EISDIR: 'is a folder; name a file',
};

/** Returns the text of a file with a secret, or the reason for which it is refused, as the end of a sentence. It reads at most 64 KiB, also of devices and pipes. */
export function readTextFile(path: string): { readonly text: string } | { readonly problem: string } {
  try {
    const bytes = readStart(path);
    if (bytes.length > MAX_BYTES) {
      return { problem: `is larger than ${MAX_BYTES} bytes` };
    }
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return text.includes('\0') ? { problem: 'is not a text file' } : { text };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
      return { problem: 'is not a text file in UTF-8' };
    }
    return { problem: REASONS[code] ?? `cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** Returns the bytes of a file, or one more than {@link MAX_BYTES} of a larger one. */
function readStart(path: string): Buffer {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(MAX_BYTES + 1);
    let length = 0;
    for (;;) {
      const count = readSync(file, buffer, length, buffer.length - length, null);
      length += count;
      if (count === 0 || length === buffer.length) {
        return buffer.subarray(0, length);
      }
    }
  } finally {
    closeSync(file);
  }
}
