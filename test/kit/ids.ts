/** Returns the global id of an object, as the server makes it. */
export function globalId(type: string, id: number | string): string {
  return Buffer.from(`${type}:${id}`).toString('base64url');
}

/** Returns the number that a global id stands for, which SQL and the REST paths use. */
export function numberOf(id: string): number {
  return Number(Buffer.from(id, 'base64url').toString().split(':')[1]);
}
