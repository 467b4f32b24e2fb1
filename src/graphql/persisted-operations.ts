import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { AppError } from '../errors.ts';
import { isRecord } from '../json.ts';

/** The parameters of a GraphQL request, before validation. */
export interface OperationRequest {
  readonly query?: unknown;
  readonly operationName?: unknown;
  readonly variables?: unknown;
  readonly extensions?: unknown;
}

/** The size limit of the registered texts, in bytes. */
const MAX_BYTES = 16 * 1024 * 1024;
/** The memory of a registered text in addition to its characters, in bytes. */
const ENTRY_BYTES = 200;
const APQ_VERSION = 1;
/** The prefix of a `documentId` that is a hash (GraphQL over HTTP specification, appendix on persisted documents). */
const HASH_PREFIX = 'sha256:';

interface Reference {
  readonly id: string;
  /** Whether the client registers unknown texts: the `persistedQuery` extension. */
  readonly isAutomatic: boolean;
}

export interface PersistedOperationsOptions {
  /** The texts of the allowed operations, by id; null when all operations are allowed. */
  readonly allowed: ReadonlyMap<string, string> | null;
  /** The texts of the operations of the server's own pages, by id. They are always allowed. */
  readonly own: ReadonlyMap<string, string>;
  /** The maximum length of a registered text. */
  readonly maxCharacters: number;
}

/**
 * Looks up operations that clients reference by id: automatic persisted queries by Apollo's protocol, or, when a list of
 * operations is configured, the operations of that list and no others.
 */
export class PersistedOperations {
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
   * Returns the request with the text of its operation.
   *
   * @throws {AppError} `PERSISTED_QUERY_NOT_FOUND` when the id is unknown, `PERSISTED_QUERY_NOT_IN_LIST` when the text is not
   *   allowed, `BAD_INPUT` when the hash is not that of the text
   */
  resolve(request: OperationRequest & { readonly documentId?: unknown }): OperationRequest {
    const { documentId, ...rest } = request;
    const reference = referenceOf(documentId, rest.extensions);
    // graphql-ws clients send an empty text with a reference.
    const given = reference && rest.query === '' ? undefined : rest.query;
    const query = this.#allowed ? this.#allowedText(given, reference) : this.#optionalText(given, reference);
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
      return this.#textOf(reference, this.#allowed);
    }
    if (query != null) {
      throw new AppError('PERSISTED_QUERY_NOT_IN_LIST');
    }
    return query;
  }

  #optionalText(query: unknown, reference: Reference | null): unknown {
    if (!reference) {
      return query;
    }
    if (typeof query !== 'string') {
      return this.#textOf(reference, this.#byHash);
    }
    if (reference.isAutomatic && this.#byHash.get(reference.id) !== query && query.length <= this.#maxCharacters) {
      if (createHash('sha256').update(query).digest('hex') !== reference.id) {
        throw new AppError('BAD_INPUT', 'The sha256Hash of the persisted query is not the hash of its query.');
      }
      this.#byHash.set(reference.id, query);
    }
    return query;
  }

  #textOf({ id }: Reference, texts: Pick<ReadonlyMap<string, string>, 'get'> | null): string {
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
      throw new AppError('BAD_INPUT', 'The documentId must be a string.');
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
    throw new AppError(
      'BAD_INPUT',
      `The extension persistedQuery must have the version ${APQ_VERSION} and a sha256Hash.`,
    );
  }
  return { id: persisted['sha256Hash'], isAutomatic: true };
}
