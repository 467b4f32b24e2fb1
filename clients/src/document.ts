/** A parsed document; its text is known to `gql` of graphql-tag and Apollo Client, and not to gql.tada. */
export interface ParsedDocument {
  readonly kind: 'Document';
  readonly loc?: { readonly source: { readonly body: string } } | undefined;
}

/**
 * A GraphQL operation: its text, or a document of `gql`, gql.tada or GraphQL Code Generator. The type parameters are those of `TypedDocumentNode`.
 */
export type OperationDocument<Data = unknown, Variables = unknown> =
  | string
  | ((string | ParsedDocument) & { readonly __apiType?: ((variables: Variables) => Data) | undefined });

/** The variables of an operation. */
export type OperationVariables = Readonly<Record<string, unknown>>;

/** An operation as it is sent. */
export interface OperationRequest {
  /** The text; empty for an operation that is sent by its id. */
  readonly query: string;
  /** The id of an operation that the server knows by its `OPERATION_LIST`. */
  readonly documentId?: string | undefined;
  readonly variables?: OperationVariables | undefined;
  readonly operationName?: string | null | undefined;
  readonly extensions?: Record<string, unknown> | null | undefined;
}

/** Returns the text of a document, which `print` makes of parsed documents that do not have it. */
export function textOf(document: string | string | ParsedDocument, print?: (document: never) => string): string {
  if (typeof document === 'string' || document instanceof String) {
    return String(document);
  }
  const text = document.loc?.source.body ?? print?.(document as never);
  if (text === undefined) {
    throw new TypeError('The document has no text: pass `print` of the package graphql to createTransport.');
  }
  return text;
}

/** Whether an operation is a subscription whose events have cursors by which it can be resumed. */
export function isResumable({ query, documentId, variables }: OperationRequest): boolean {
  if (documentId !== undefined) {
    return variables !== undefined && 'after' in variables;
  }
  const isChangeSubscription = /\b\w+Changed\b/.test(query);
  const declaresAfter = /\$after\b/.test(query);
  if (isChangeSubscription && !(declaresAfter && /\bcursor\b/.test(query))) {
    throw new TypeError(
      'A subscription to changes is resumed by its cursor: declare `$after: String`, pass `after: $after` to the field, and select `cursor`.',
    );
  }
  return declaresAfter;
}
