/**
 * How the scope of a row is made of its columns. A scope is the unit of visibility: everybody who may see one row of it may see them all. It is
 * the key by which changes find their subscribers, by which a subscriber catches up, and by which the log can be partitioned.
 */
export type ScopeRule =
  | {
      /** `chat` makes scopes like `chat:7`. */
      readonly prefix: string;
      /** The column of integers that follows the prefix. */
      readonly column: string;
      /** The scope of rows where that column is null. */
      readonly whenNull?: string;
    }
  | { readonly name: string };

/** The scope of rows whose column holds no integer, which only raw SQL can write. No subscription asks for it. */
export const NO_SCOPE = 'none';

/** The scope that a prefix and an id name. */
export function scopeName(prefix: string, id: number): string {
  return `${prefix}:${id}`;
}

/** The scope of a row. */
export function scopeOf(rule: ScopeRule, row: Readonly<Record<string, unknown>>): string {
  if ('name' in rule) {
    return rule.name;
  }
  const value = row[rule.column];
  if (value === null && rule.whenNull !== undefined) {
    return rule.whenNull;
  }
  return typeof value === 'number' ? scopeName(rule.prefix, value) : NO_SCOPE;
}
