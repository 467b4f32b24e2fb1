import { MIMEType } from 'node:util';
import { AppError } from '../errors.ts';

/** The maximum number of characters of a content type in an error message. */
const MAX_QUOTE = 100;

/** Converts the bytes of a body to text, by the `charset` of its content type. */
export interface Charset {
  readonly isUtf8: boolean;
  /** Returns the text of bytes; invalid sequences become U+FFFD. */
  readonly decode: (bytes: Uint8Array) => string;
  /**
   * Returns the text of bytes.
   *
   * @throws {TypeError} when they contain an invalid sequence
   */
  readonly decodeStrictly: (bytes: Uint8Array) => string;
}

/** `TextDecoder` reads this label as windows-1252, as browsers do; the original services read it as ISO 8859-1. */
const LATIN_1 = /^(latin-?1|l1|iso-?8859-?1|8859|cp819)$/;
const UTF_16 = /^utf-?16$/;
const UTF_8 = charsetOf('utf-8');

/** Returns the error of a content type, or of its character set, that the server cannot read. */
export function unsupportedMediaType(contentType: string): AppError {
  return new AppError(
    'UNSUPPORTED_MEDIA_TYPE',
    `Unsupported media type "${contentType.slice(0, MAX_QUOTE)}" in request.`,
  );
}

/**
 * Returns the character set that a content type names; UTF-8 when it names none.
 *
 * @throws {AppError} `UNSUPPORTED_MEDIA_TYPE` when the label is unknown
 */
export function readCharset(contentType: string | undefined): Charset {
  const label = contentType === undefined ? null : labelOf(contentType);
  if (label === null || label === '') {
    return UTF_8;
  }
  try {
    return charsetOf(label.trim().toLowerCase());
  } catch {
    throw unsupportedMediaType(contentType ?? '');
  }
}

/** Returns the `charset` parameter; null for none, also when the content type is malformed, which is refused elsewhere. */
function labelOf(contentType: string): string | null {
  try {
    return new MIMEType(contentType).params.get('charset');
  } catch {
    return null;
  }
}

/** @throws {RangeError} when the label is unknown */
function charsetOf(label: string): Charset {
  // Python, in which the original services were written, also takes underscores.
  const name = label.replaceAll('_', '-');
  if (LATIN_1.test(name)) {
    const decode = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
    return { isUtf8: false, decode, decodeStrictly: decode };
  }
  if (UTF_16.test(name)) {
    const decodeWith = (options: TextDecoderOptions) => (bytes: Uint8Array) =>
      new TextDecoder(bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-16le', options).decode(bytes);
    return { isUtf8: false, decode: decodeWith({}), decodeStrictly: decodeWith({ fatal: true }) };
  }
  const known = [label, name].find(isEncoding) ?? label;
  const { encoding } = new TextDecoder(known);
  return {
    isUtf8: encoding === 'utf-8',
    decode: (bytes) => new TextDecoder(encoding).decode(bytes),
    decodeStrictly: (bytes) => new TextDecoder(encoding, { fatal: true }).decode(bytes),
  };
}

function isEncoding(label: string): boolean {
  try {
    new TextDecoder(label);
    return true;
  } catch {
    return false;
  }
}
