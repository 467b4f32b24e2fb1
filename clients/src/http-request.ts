import type { OperationRequest } from './document.ts';
import { OperationError, type ResponseError } from './errors.ts';

/** The response to an operation. */
export interface OperationResponse {
  readonly data?: Readonly<Record<string, unknown>> | null | undefined;
  readonly errors?: readonly ResponseError[] | undefined;
}

/**
 * Sends an operation by HTTP and returns its data.
 *
 * @throws {OperationError} when the response has errors
 */
export async function requestOverHttp(
  send: typeof fetch,
  url: string,
  request: OperationRequest,
  signal?: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  const response = await send(url, {
    method: 'POST',
    headers: { accept: 'application/graphql-response+json, application/json', 'content-type': 'application/json' },
    body: JSON.stringify(request),
    ...(signal && { signal }),
  });
  const { data, errors } = await readResponse(response);
  if (errors !== undefined || !data) {
    throw new OperationError(errors ?? []);
  }
  return data;
}

async function readResponse(response: Response): Promise<OperationResponse> {
  const text = await response.text();
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null && ('data' in body || 'errors' in body)) {
      return body as OperationResponse;
    }
  } catch {
    // Proxies answer with pages of their own.
  }
  throw new TypeError(`${response.url} answered with ${response.status}, and not with a GraphQL response.`);
}
