import { createHmac, createSecretKey } from 'node:crypto';
import { statSync } from 'node:fs';
import type { SigningKey, SigningKeys } from '../context.ts';
import { loadSecretFile, readSecretFile, type StoredSecrets, secretPathOf } from './secret-file.ts';

/** The characters of a key id: 72 bits, so that two keys do not share one by accident. */
const ID_LENGTH = 12;

/** Returns the key of a secret. Its id is an HMAC, from which the secret cannot be found. */
function signingKey(secret: string): SigningKey {
  const key = createSecretKey(secret, 'utf8');
  return { key, id: createHmac('sha256', key).update('tidings key id').digest('base64url').slice(0, ID_LENGTH) };
}

/** Returns the keys of the configuration, which do not change. */
export function configuredKeys(secret: string, oldSecrets: readonly string[]): SigningKeys {
  const signing = signingKey(secret);
  return { signing, accepted: distinct([signing, ...oldSecrets.map(signingKey)]) };
}

interface FileKeys {
  readonly signing: SigningKey;
  readonly earlier: readonly { readonly key: SigningKey; readonly until: Date | null }[];
}

/**
 * The keys in the file beside a SQLite database. A rotation takes effect at once in every process, without a message: each use looks whether the file was replaced,
 * so a process that receives a token knows every key that was there when the token was signed.
 */
export class KeyFile implements SigningKeys {
  readonly #path: string;
  readonly #others: readonly SigningKey[];
  readonly #onFailure: (error: unknown) => void;
  #version: string;
  #keys: FileKeys;

  /**
   * Reads the file, and creates it if there is none.
   *
   * @param oldSecrets - further secrets that are accepted, of the configuration
   * @param onFailure - called when the file was replaced by one that cannot be read; the keys that were read before remain
   * @throws {StartError} when the file cannot be read
   */
  constructor(databasePath: string, oldSecrets: readonly string[], onFailure: (error: unknown) => void) {
    this.#path = secretPathOf(databasePath);
    this.#others = oldSecrets.map(signingKey);
    this.#onFailure = onFailure;
    // The version is read first: a file that is replaced in between is read again by the next use.
    this.#version = this.#currentVersion();
    this.#keys = keysOf(loadSecretFile(databasePath));
  }

  get signing(): SigningKey {
    return this.#current().signing;
  }

  get accepted(): readonly SigningKey[] {
    const { signing, earlier } = this.#current();
    const now = Date.now();
    const valid = earlier.filter(({ until }) => until === null || until.getTime() > now).map(({ key }) => key);
    return distinct([signing, ...valid, ...this.#others]);
  }

  #current(): FileKeys {
    const version = this.#currentVersion();
    if (version !== this.#version && version !== '') {
      this.#version = version;
      try {
        const secrets = readSecretFile(this.#path);
        this.#keys = secrets ? keysOf(secrets) : this.#keys;
      } catch (error) {
        this.#onFailure(error);
      }
    }
    return this.#keys;
  }

  /** Returns a text that differs when the file was replaced; empty when there is no file that can be read. */
  #currentVersion(): string {
    try {
      const file = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
      return file ? `${file.ino}:${file.mtimeNs}:${file.size}` : '';
    } catch {
      return '';
    }
  }
}

/** Returns keys without repetitions: a counter is kept once for each key. */
function distinct(keys: readonly SigningKey[]): readonly SigningKey[] {
  return [...new Map(keys.map((key) => [key.id, key])).values()];
}

function keysOf({ signing, earlier }: StoredSecrets): FileKeys {
  return {
    signing: signingKey(signing),
    earlier: earlier.map(({ secret, until }) => ({ key: signingKey(secret), until })),
  };
}
