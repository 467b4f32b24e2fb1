import { type DocumentNode, GraphQLError, type GraphQLSchema, getOperationAST } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { LRUCache } from 'lru-cache';
import type { Context } from '../context.ts';
import { ERROR_CATALOGUE } from '../errors.ts';
import { Operation } from './operation.ts';

/** The size limit of the cache, in bytes. */
const MAX_BYTES = 64 * 1024 * 1024;
/** The estimated size up to which a document is cached, in bytes. */
const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;
/** The estimated memory of a document: for each character, and for its compiled operations, in bytes. */
const BYTES_PER_CHARACTER = 60;
const COMPILED_BYTES = 20_000;

interface CachedDocument {
  readonly document: DocumentNode;
  /** The validation errors; null until the document is validated. */
  errors: readonly GraphQLError[] | null;
  /** The operations that were selected so far, by the name that selected them. */
  readonly operations: Map<string | null, Operation>;
}

/** Caches parsed and validated documents for all transports, and the syntax errors of those that cannot be parsed. */
export class DocumentCache {
  /** How many texts were found in the cache, and how many were not. */
  readonly counts = { hit: 0, miss: 0 };
  readonly #schema: GraphQLSchema;
  readonly #maxCharacters: number;
  readonly #byText = new LRUCache<string, CachedDocument | GraphQLError>({
    maxSize: MAX_BYTES,
    maxEntrySize: MAX_DOCUMENT_BYTES,
    sizeCalculation: (_cached, text) => COMPILED_BYTES + text.length * BYTES_PER_CHARACTER,
  });
  readonly #byDocument = new WeakMap<DocumentNode, CachedDocument>();

  constructor(schema: GraphQLSchema, { maxCharacters }: { readonly maxCharacters: number }) {
    this.#schema = schema;
    this.#maxCharacters = maxCharacters;
  }

  /** Returns the operation that a text and an operation name select; undefined when no valid document with it is cached. */
  find(text: string, name: string | null): Operation | undefined {
    const cached = this.#lookUp(text);
    return cached && !(cached instanceof GraphQLError) ? this.#operationOf(cached, name) : undefined;
  }

  /** Returns the operation of a validated document; undefined when it has none of this name. */
  operationOf(document: DocumentNode, name: string | null): Operation | undefined {
    const cached = this.#byDocument.get(document);
    return cached && this.#operationOf(cached, name);
  }

  #operationOf({ document, errors, operations }: CachedDocument, name: string | null): Operation | undefined {
    const definition = errors?.length === 0 && (operations.get(name) ?? getOperationAST(document, name));
    if (!definition || definition instanceof Operation) {
      return definition || undefined;
    }
    const operation = new Operation(this.#schema, document, definition, name);
    operations.set(name, operation);
    return operation;
  }

  /** Returns a Yoga plugin that parses and validates each text once, rejects texts that are too long, and executes compiled operations. */
  plugin(): Plugin<Context> {
    return {
      onParse: ({ params: { source }, setParsedDocument }) => {
        const text = String(source);
        this.#checkLength(text);
        const cached = this.#lookUp(text);
        if (cached instanceof GraphQLError) {
          throw cached;
        }
        if (cached) {
          setParsedDocument(cached.document);
          return;
        }
        return ({ result }) => this.#add(text, result);
      },
      onValidate: ({ params: { documentAST }, setResult }) => {
        const cached = this.#byDocument.get(documentAST);
        if (cached?.errors) {
          setResult(cached.errors);
          return;
        }
        return ({ result }) => {
          if (cached) {
            cached.errors = result as readonly GraphQLError[];
          }
        };
      },
      onExecute: ({ args, setExecuteFn }) => {
        const operation = this.operationOf(args.document, args.operationName ?? null);
        if (operation) {
          setExecuteFn(({ contextValue, variableValues }) => operation.execute(contextValue, variableValues));
        }
      },
    };
  }

  #lookUp(text: string): CachedDocument | GraphQLError | undefined {
    const cached = this.#byText.get(text);
    this.counts[cached ? 'hit' : 'miss'] += 1;
    return cached;
  }

  #checkLength(text: string): void {
    if (text.length > this.#maxCharacters) {
      throw new GraphQLError(`The document is longer than ${this.#maxCharacters} characters.`, {
        extensions: { code: 'COMPLEXITY', http: { status: ERROR_CATALOGUE.COMPLEXITY.status, spec: true } },
      });
    }
  }

  #add(text: string, result: unknown): void {
    if (result instanceof GraphQLError) {
      this.#byText.set(text, result);
    } else if (result && !(result instanceof Error)) {
      const parsed = { document: result as DocumentNode, errors: null, operations: new Map() };
      this.#byText.set(text, parsed);
      this.#byDocument.set(parsed.document, parsed);
    }
  }
}
