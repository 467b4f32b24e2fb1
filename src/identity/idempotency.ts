import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import type { Context } from '../context.ts';
import { removeInBatches } from '../database/cleanup.ts';
import type { Database } from '../database/client.ts';
import { isUniqueViolation } from '../database/failures.ts';
import { findRow } from '../database/rows.ts';
import { joinTransaction } from '../database/transactions.ts';
import { AppError, ValidationError } from '../errors.ts';
import type { IdempotencyKey } from '../generated/client/client.ts';

/** How long an answer is stored, in milliseconds. */
export const IDEMPOTENCY_LIFE_MS = 24 * 60 * 60 * 1000;

const MAX_KEY_LENGTH = 255;
const CIPHER = 'aes-256-gcm';
const CIPHER_KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

type StoredAnswer = Pick<IdempotencyKey, 'fingerprint' | 'answer'>;

/** A request that its sender may repeat, and that must be carried out once. */
export interface RepeatableRequest {
  /** The idempotency key; null for a request that is carried out each time. */
  readonly key: string | null | undefined;
  /** The contents of the request: the same key with other contents is rejected. */
  readonly request: unknown;
}

/**
 * Carries out a request once: for a day, the same key of the same caller (a user, or the anonymous callers of one address) gets the first answer. That holds for
 * concurrent requests and across restarts, since the transaction that does the work stores the answer. A failure rolls the work back and is not stored, so
 * the request may be repeated. Answers may contain tokens, so they are encrypted with the idempotency key, which is not stored. Slow work that writes nothing
 * belongs in `prepare`, which runs before the transaction.
 *
 * @throws {ValidationError} when the key is empty or longer than 255 characters
 * @throws {AppError} `IDEMPOTENCY_MISMATCH` when the key was used for another request
 */
export async function withIdempotencyKey<Answer, Prepared>(
  context: Context,
  { key, request }: RepeatableRequest,
  work: (context: Context, prepared: Prepared) => Promise<Answer>,
  prepare: () => Promise<Prepared> | Prepared,
): Promise<Answer> {
  if (key == null) {
    return work(context, await prepare());
  }
  if (key === '' || key.length > MAX_KEY_LENGTH) {
    throw new ValidationError([
      { path: 'idempotencyKey', message: `Ensure this field has between 1 and ${MAX_KEY_LENGTH} characters.` },
    ]);
  }
  const name = `${callerOf(context)}\0${key}`;
  const id = createHash('sha256').update(name).digest('hex');
  const { keys } = context.tokens;
  const answerOf = (earlier: StoredAnswer): Answer => {
    const by = keys.accepted.find(({ key }) => earlier.fingerprint === fingerprintOf(key, name, request));
    if (!by) {
      throw new AppError('IDEMPOTENCY_MISMATCH');
    }
    return decrypt<Answer>(cipherKey(by.key, name), earlier.answer);
  };
  const done = await findRow(context.database, 'IdempotencyKey', { id });
  if (done) {
    return answerOf(done);
  }
  const prepared = await prepare();
  try {
    return await context.database.$transaction(async (transaction) => {
      const earlier = await transaction.idempotencyKey.findUnique({ where: { id } });
      if (earlier) {
        return answerOf(earlier);
      }
      // The claim comes first: of two concurrent transactions on PostgreSQL, the second one waits here and then fails.
      const { signing } = keys;
      const fingerprint = fingerprintOf(signing.key, name, request);
      await transaction.idempotencyKey.create({ data: { id, fingerprint } });
      const answer = await work({ ...context, database: joinTransaction(transaction) }, prepared);
      await transaction.idempotencyKey.update({
        where: { id },
        data: { answer: encrypt(cipherKey(signing.key, name), answer) },
      });
      return answer;
    });
  } catch (error) {
    if (isUniqueViolation(error) && (await context.database.idempotencyKey.findUnique({ where: { id } }))) {
      return withIdempotencyKey(context, { key, request }, work, () => prepared);
    }
    throw error;
  }
}

/** Removes the answers that are older than {@link IDEMPOTENCY_LIFE_MS}. */
export async function removeExpiredAnswers({ idempotencyKey }: Database, stopping: AbortSignal): Promise<void> {
  const where = { createdAt: { lt: new Date(Date.now() - IDEMPOTENCY_LIFE_MS) } };
  await removeInBatches(
    {
      find: async (take) => (await idempotencyKey.findMany({ where, take, select: { id: true } })).map(({ id }) => id),
      remove: (ids) => idempotencyKey.deleteMany({ where: { id: { in: ids } } }),
    },
    stopping,
  );
}

/** Names whose keys a caller uses: those of the user, from any address, or those of the address of an anonymous caller. */
function callerOf({ viewer, address }: Context): string {
  return viewer.kind === 'user' ? String(viewer.id) : `anonymous ${address}`;
}

/** Returns an HMAC with a key of the server: a request may contain a password, which could be guessed from a plain hash. */
function fingerprintOf(secret: KeyObject, name: string, request: unknown): string {
  return createHmac('sha256', secret)
    .update(`idempotent request\0${name}\0${JSON.stringify(request)}`)
    .digest('hex');
}

function cipherKey(secret: KeyObject, name: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, name, 'tidings idempotency', CIPHER_KEY_BYTES));
}

function encrypt(key: Buffer, answer: unknown): Uint8Array<ArrayBuffer> {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce);
  const text = Buffer.concat([cipher.update(serialize(answer)), cipher.final()]);
  return new Uint8Array(Buffer.concat([nonce, cipher.getAuthTag(), text]));
}

function decrypt<Answer>(key: Buffer, encrypted: Uint8Array | null): Answer {
  if (!encrypted) {
    throw new Error('The answer of a committed idempotent request is missing in the database.');
  }
  const decipher = createDecipheriv(CIPHER, key, encrypted.subarray(0, NONCE_BYTES));
  decipher.setAuthTag(encrypted.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
  const text = Buffer.concat([decipher.update(encrypted.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
  return deserialize(text);
}
