import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { StartError } from '../errors.ts';

/** The format of Apollo's `generate-persisted-query-manifest`. */
const manifest = z.object({
  format: z.literal('apollo-persisted-query-manifest'),
  version: z.literal(1),
  operations: z.array(z.object({ id: z.string().min(1), body: z.string().min(1) })),
});
/** The format of the Relay compiler and GraphQL Code Generator: texts by id. */
const dictionary = z.record(z.string().min(1), z.string().min(1));

/**
 * Reads a list of operations. Returns their texts by id.
 *
 * @throws {StartError} when the file cannot be read or has another format
 */
export function readOperationList(path: string): ReadonlyMap<string, string> {
  const content = contentOf(path);
  const apollo = manifest.safeParse(content);
  if (apollo.success) {
    return new Map(apollo.data.operations.map(({ id, body }) => [id, body]));
  }
  const texts = dictionary.safeParse(content);
  if (texts.success) {
    return new Map(Object.entries(texts.data));
  }
  throw new StartError(
    `The list of operations ${path} has an unknown format. Expected an apollo-persisted-query-manifest of version 1, or a JSON object of texts by id.`,
  );
}

function contentOf(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`The list of operations ${path} cannot be read: ${reason}`, { cause: error });
  }
}
