// Keeps credentials out of what GraphiQL stores in the browser: tabs, the history and favourites.

/** The texts of GraphiQL's editors. */
interface OperationTexts {
  readonly query: string;
  readonly variables: string;
}

/** What is used of the `localStorage` of a browser. */
interface Store {
  readonly getItem: (key: string) => string | null;
  readonly setItem: (key: string, value: string) => void;
  readonly removeItem: (key: string) => void;
}

/** Names of arguments, input fields and variables whose values are credentials. */
const NAME = /password|token|secret/i;
/** A token of GraphQL or JSON, complete or being typed: a gap, a text, a name or number, or a character. Commas are a gap in GraphQL. */
const TOKEN =
  /(?<gap>[\s,]+|(?:#|\/\/)[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<text>"""(?:\\"""|[\s\S])*?(?:"""|$)|"(?:[^"\\\n]|\\[^\n])*["\\]?)|(?<word>\w+)|[\s\S]/g;

/** Returns a text with an empty text in place of each credential, and adds to `names` those of the variables that have one. */
function withoutValues(text: string, names: Set<string>): string {
  const isSecret = (name: string) => NAME.test(name) || names.has(name);
  let last = '';
  /** The name whose value comes next, and, between `:` and `=`, the variable whose type comes next. */
  let key = '';
  let typed = '';
  let isList = false;
  let isPassed = false;
  let previous = '';
  return text.replace(TOKEN, (token, ...rest) => {
    const { gap, text: string, word } = rest.at(-1) as Record<string, string | undefined>;
    if (gap !== undefined) {
      return token;
    }
    let written = token;
    if (string !== undefined || /^\d/.test(token)) {
      written = isSecret(key) ? '""' : token;
      last = token.replaceAll('"', '');
      key = isList ? key : '';
    } else if (word !== undefined) {
      if (isPassed) {
        names.add(token);
      }
      typed = key;
      key = isList ? key : '';
      last = token;
    } else if (token === ':') {
      key = last;
    } else if (token === '=') {
      key = typed;
    } else if (/[[\]]/.test(token)) {
      isList = token === '[';
    } else if (/[(){}]/.test(token)) {
      key = '';
      isList = false;
    }
    isPassed = token === '$' && (isList || previous === ':') && isSecret(key);
    previous = token;
    return written;
  });
}

/**
 * Returns the texts of an operation and of its variables with an empty text in place of each credential. They need not be valid, since
 * GraphiQL stores them while they are being typed.
 */
export function withoutSecrets(query: string, variables: string): OperationTexts {
  const names = new Set<string>();
  // Variables are defined before they are used, and what they are used for decides about their default values.
  withoutValues(query, names);
  return { query: withoutValues(query, names), variables: withoutValues(variables, names) };
}

/** Returns a part of what GraphiQL stores, like a tab or an entry of the history, without credentials and headers. */
function cleaned(_key: string, value: Partial<OperationTexts & { headers: unknown }> | null): unknown {
  if (value === null || (typeof value.query !== 'string' && typeof value.variables !== 'string')) {
    return value;
  }
  const { query, variables } = withoutSecrets(value.query ?? '', value.variables ?? '');
  // Tabs have headers of null, and entries of the history those that were sent.
  const headers = value.headers === null ? null : undefined;
  return { ...value, query: value.query && query, variables: value.variables && variables, headers };
}

/** The keys of texts that are in the stored tabs as well, where an operation and its variables are together. */
const REPEATED = new Set(['graphiql:query', 'graphiql:variables', 'graphiql:headers']);
export const TABS = 'graphiql:tabState';
const LISTS = new Set([TABS, 'graphiql:queries', 'graphiql:favorites']);

/** Returns a storage for GraphiQL that keeps everything but credentials and headers in `store`. */
export function createStorage(store: Store): Store & { readonly length: number; readonly clear: () => void } {
  const keys = () => Object.keys(store).filter((key) => key.startsWith('graphiql:'));
  const storage = {
    getItem: (key: string) => store.getItem(key),
    removeItem: (key: string) => store.removeItem(key),
    setItem: (key: string, value: string) => {
      if (!REPEATED.has(key)) {
        store.setItem(key, LISTS.has(key) ? JSON.stringify(JSON.parse(value, cleaned)) : value);
      }
    },
    get length() {
      return keys().length;
    },
    clear: () =>
      keys().forEach((key) => {
        store.removeItem(key);
      }),
  };
  // Earlier versions stored everything.
  for (const key of keys()) {
    const value = store.getItem(key) ?? '';
    store.removeItem(key);
    try {
      storage.setItem(key, value);
    } catch {
      // It cannot be read, and stays removed.
    }
  }
  return storage;
}
