import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { AppError } from '../errors.ts';
import { isRecord, type OperationRequest } from './operations.ts';

/** The bytes that remembered texts may take. */
const MAX_BYTES = 16 * 1024 * 1024;
/** What a text takes beside its characters, in bytes. */
const ENTRY_BYTES = 200;
const APQ_VERSION = 1;
/** How documents are named by hash in the persisted documents appendix of the GraphQL over HTTP specification. */
const HASH_PREFIX = 'sha256:';

interface Reference {
  readonly id: string;
  /** Whether the client registers texts that the server does not know: the `persistedQuery` extension. */
  readonly isAutomatic: boolean;
}

export interface PersistedOperationsOptions {
  /** The operations that are allowed, by their ids; null for any. */
  readonly allowed: ReadonlyMap<string, string> | null;
  /** Those of the server's own pages, which are allowed anyway. */
  readonly own: ReadonlyMap<string, string>;
  /** A longer text is not remembered. */
  readonly maxCharacters: number;
}

/**
 * Operations that clients name instead of sending them: automatically persisted queries as Apollo's link has them, and, where a list of operations is configured,
 * those of the list and no others.
 */
export class PersistedOperations {
  /** The operations that are allowed, by their ids; null where any is. */
  readonly #allowed: ReadonlyMap<string, string> | null;
  readonly #allowedTexts: ReadonlySet<string>;
  readonly #own: ReadonlyMap<string, string>;
  readonly #maxCharacters: number;
  readonly #byHash = new LRUCache<string, string>({
    maxSize: MAX_BYTES,
    sizeCalculation: (text) => ENTRY_BYTES + 2 * text.length,
  });

  constructor({ allowed, own, maxCharacters }: PersistedOperationsOptions) {
    this.#allowed = allowed;
    this.#own = own;
    this.#allowedTexts = new Set(allowed?.values());
    this.#maxCharacters = maxCharacters;
  }

  /**
   * The request with the text of its operation.
   *
   * @throws {AppError} `PERSISTED_QUERY_NOT_FOUND` when the server does not know the text, `PERSISTED_QUERY_NOT_IN_LIST` when it is not allowed, `BAD_INPUT` when it
   *   is another one than that of the hash
   */
  resolve(request: OperationRequest & { readonly documentId?: unknown }): OperationRequest {
    const { documentId, ...rest } = request;
    const reference = referenceOf(documentId, rest.extensions);
    // With graphql-ws, an operation that is only named has an empty text.
    const given = reference && rest.query === '' ? undefined : rest.query;
    const query = this.#allowed ? this.#allowedText(given, reference) : this.#knownText(given, reference);
    return query === request.query && documentId === undefined ? request : { ...rest, query };
  }

  #allowedText(query: unknown, reference: Reference | null): unknown {
    if (typeof query === 'string') {
      if (!this.#allowedTexts.has(query)) {
        throw new AppError('PERSISTED_QUERY_NOT_IN_LIST');
      }
      return query;
    }
    if (reference) {
      return this.#found(reference, this.#allowed);
    }
    if (query != null) {
      throw new AppError('PERSISTED_QUERY_NOT_IN_LIST');
    }
    return query;
  }

  #knownText(query: unknown, reference: Reference | null): unknown {
    if (!reference) {
      return query;
    }
    if (typeof query !== 'string') {
      return this.#found(reference, this.#byHash);
    }
    if (reference.isAutomatic && this.#byHash.get(reference.id) !== query && query.length <= this.#maxCharacters) {
      if (createHash('sha256').update(query).digest('hex') !== reference.id) {
        throw new AppError('BAD_INPUT', 'The hash of the persisted query is not that of the query.');
      }
      this.#byHash.set(reference.id, query);
    }
    return query;
  }

  #found({ id }: Reference, texts: Pick<ReadonlyMap<string, string>, 'get'> | null): string {
    const text = this.#own.get(id) ?? texts?.get(id);
    if (text === undefined) {
      throw new AppError('PERSISTED_QUERY_NOT_FOUND');
    }
    return text;
  }
}

function referenceOf(documentId: unknown, extensions: unknown): Reference | null {
  if (documentId != null) {
    if (typeof documentId !== 'string') {
      throw new AppError('BAD_INPUT', 'The documentId is a string.');
    }
    return {
      id: documentId.startsWith(HASH_PREFIX) ? documentId.slice(HASH_PREFIX.length) : documentId,
      isAutomatic: false,
    };
  }
  const persisted = isRecord(extensions) ? extensions['persistedQuery'] : undefined;
  if (persisted == null) {
    return null;
  }
  if (!isRecord(persisted) || persisted['version'] !== APQ_VERSION || typeof persisted['sha256Hash'] !== 'string') {
    throw new AppError('BAD_INPUT', `A persistedQuery has the version ${APQ_VERSION} and a sha256Hash.`);
  }
  return { id: persisted['sha256Hash'], isAutomatic: true };
}
