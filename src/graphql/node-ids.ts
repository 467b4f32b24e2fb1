import { AppError } from '../errors.ts';

/** Returns the Relay global id of an object. */
export function encodeNodeId(typename: string, id: string | number | bigint): string {
  return Buffer.from(`${typename}:${id}`).toString('base64url');
}

/**
 * Returns the type and id that a Relay global id encodes.
 *
 * @throws {AppError} `BAD_INPUT` when it is malformed
 */
export function decodeNodeId(nodeId: string): { typename: string; id: string } {
  const decoded = parseNodeId(nodeId);
  if (!decoded) {
    throw new AppError('BAD_INPUT', 'The id is malformed: pass an `id` that this server has returned.');
  }
  return decoded;
}

function parseNodeId(nodeId: string): { typename: string; id: string } | null {
  const [, typename, id] = /^([A-Za-z]+):(.+)$/.exec(Buffer.from(nodeId, 'base64url').toString('utf8')) ?? [];
  return typename && id ? { typename, id } : null;
}

/** A text that no object has as its number. */
const NO_DATABASE_ID = '';

/**
 * Returns the number of an object, in decimal digits, for an argument that takes either its global id or the number itself. An argument that is neither, or the
 * global id of another type, finds no object, like the number of an object that does not exist.
 */
export function toDatabaseId(typename: string, id: string): string {
  // The encoded name of a type begins with a letter.
  if (/^\d/.test(id)) {
    return id;
  }
  const decoded = parseNodeId(id);
  return decoded?.typename === typename ? decoded.id : NO_DATABASE_ID;
}

/** Returns a copy of an input whose fields in `typenames`, the ids of objects of these types, are replaced by the objects' numbers; null and absent ones stay. */
export function withDatabaseIds<Input extends object>(
  input: Input,
  typenames: { readonly [Field in keyof Input]?: string },
): Input {
  const numbers = Object.entries<string | undefined>(typenames).flatMap(([field, typename]) => {
    const id: unknown = input[field as keyof Input];
    return typename !== undefined && typeof id === 'string' ? [[field, toDatabaseId(typename, id)]] : [];
  });
  return { ...input, ...Object.fromEntries(numbers) };
}
