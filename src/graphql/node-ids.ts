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
  const match = /^([A-Za-z]+):(.+)$/.exec(Buffer.from(nodeId, 'base64url').toString('utf8'));
  const [, typename, id] = match ?? [];
  if (!typename || !id) {
    throw new AppError('BAD_INPUT', 'The nodeId is malformed.');
  }
  return { typename, id };
}
