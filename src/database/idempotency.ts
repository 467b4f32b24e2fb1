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
import { AppError, ValidationError } from '../errors.ts';
import type { IdempotencyKey } from '../generated/client/client.ts';
import { removeInBatches } from './cleanup.ts';
import { isUniqueViolation } from './failures.ts';
import type { Database } from './open.ts';
import { findRow } from './rows.ts';
import type { Transaction } from './transactions.ts';

/** How long an answer is kept, in milliseconds. */
export const IDEMPOTENCY_LIFE_MS = 24 * 60 * 60 * 1000;

const MAX_KEY_LENGTH = 255;
const CIPHER = 'aes-256-gcm';
const CIPHER_KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

type KeptAnswer = Pick<IdempotencyKey, 'fingerprint' | 'answer'>;

/** A request that its sender may send again, and wants to be carried out once. */
export interface RepeatableRequest {
  /** What the sender calls it; null for a request that is carried out whenever it comes. */
  readonly key: string | null | undefined;
  /** What is asked for: the same key with something else is refused. */
  readonly request: unknown;
}

/**
 * Carries out a request once: the same key by the same caller (a user, or anybody without a credential at one address) gets the first answer
 * again for a day, also when both come at once or the server stopped in between, since the answer is kept in the transaction that did the work. A
 * failure undoes the work, is not kept, and may be tried again. Answers may hold tokens, so they are encrypted under the key, which is not
 * kept. What takes long and writes nothing belongs in `prepare`, which comes before the transaction.
 *
 * @throws {ValidationError} when the key is empty or longer than 255 characters
 * @throws {AppError} `IDEMPOTENCY_MISMATCH` when the key was used for another request
 */
export async function once<Answer, Prepared>(
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
  const fingerprint = fingerprintOf(context.tokens.secret, name, request);
  const secret = cipherKey(context.tokens.secret, name);
  const answerOf = (earlier: KeptAnswer): Answer => {
    if (earlier.fingerprint !== fingerprint) {
      throw new AppError('IDEMPOTENCY_MISMATCH');
    }
    return open<Answer>(secret, earlier.answer);
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
      // First the claim: where transactions run side by side, a second one waits here and then fails.
      await transaction.idempotencyKey.create({ data: { id, fingerprint } });
      const answer = await work({ ...context, database: insideOf(transaction) }, prepared);
      await transaction.idempotencyKey.update({ where: { id }, data: { answer: seal(secret, answer) } });
      return answer;
    });
  } catch (error) {
    if (isUniqueViolation(error) && (await context.database.idempotencyKey.findUnique({ where: { id } }))) {
      return once(context, { key, request }, work, () => prepared);
    }
    throw error;
  }
}

/** Forgets the answers that have been kept long enough. */
export async function forgetAnswers({ idempotencyKey }: Database, stopping: AbortSignal): Promise<void> {
  const where = { createdAt: { lt: new Date(Date.now() - IDEMPOTENCY_LIFE_MS) } };
  await removeInBatches(
    {
      find: async (take) => (await idempotencyKey.findMany({ where, take, select: { id: true } })).map(({ id }) => id),
      remove: (ids) => idempotencyKey.deleteMany({ where: { id: { in: ids } } }),
    },
    stopping,
  );
}

/** The client of a running transaction for services that begin one of their own: theirs becomes part of it. */
function insideOf(transaction: Transaction): Database {
  const client: Database = new Proxy(transaction as Database, {
    get: (target, name, receiver) =>
      name === '$transaction'
        ? (work: (inner: Database) => Promise<unknown>) => work(client)
        : Reflect.get(target, name, receiver),
  });
  return client;
}

/** Whose keys a caller uses: a user's own, from wherever they call, and without a credential those of the address. */
function callerOf({ viewer, address }: Context): string {
  return viewer.kind === 'user' ? String(viewer.id) : `anonymous ${address}`;
}

/** With the server's secret: a request may hold a password, which could be guessed from a plain hash. */
function fingerprintOf(secret: KeyObject, name: string, request: unknown): string {
  return createHmac('sha256', secret)
    .update(`idempotent request\0${name}\0${JSON.stringify(request)}`)
    .digest('hex');
}

function cipherKey(secret: KeyObject, name: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, name, 'tidings idempotency', CIPHER_KEY_BYTES));
}

function seal(key: Buffer, answer: unknown): Uint8Array<ArrayBuffer> {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce);
  const text = Buffer.concat([cipher.update(serialize(answer)), cipher.final()]);
  return new Uint8Array(Buffer.concat([nonce, cipher.getAuthTag(), text]));
}

function open<Answer>(key: Buffer, sealed: Uint8Array | null): Answer {
  if (!sealed) {
    throw new Error('A request was carried out without an answer.');
  }
  const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES));
  decipher.setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
  return deserialize(Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]));
}
