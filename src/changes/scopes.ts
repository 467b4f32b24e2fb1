/**
 * The rule that computes the scope of a row from its columns. A scope is the unit of visibility: a viewer who may see one of its rows may see all of them. It
 * is the key by which changes are routed to subscriptions, by which a subscription catches up, and by which the log can be partitioned.
 */
export type ScopeRule =
  | {
      /** The prefix of the scope: `chat` for scopes like `chat:7`. */
      readonly prefix: string;
      /** The integer column whose value follows the prefix. */
      readonly column: string;
      /** The scope of rows where that column is null. */
      readonly whenNull?: string;
    }
  | { readonly name: string };

/** The scope of rows whose column holds no integer, which only raw SQL can write. No subscription has an interest in it. */
export const NO_SCOPE = 'none';

/** Returns the scope of a prefix and an id. */
export function scopeName(prefix: string, id: number): string {
  return `${prefix}:${id}`;
}

/** Returns the scope of a row. */
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
