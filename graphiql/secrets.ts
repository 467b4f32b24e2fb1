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
const TEXT = String.raw`(?<text>"""(?:\\"""|[\s\S])*?(?:"""|$)|"(?:[^"\\\n]|\\[^\n])*["\\]?)`;
/** A token of GraphQL or JSON, complete or being typed: a gap, a comment, a text, a name or number, or a character. Commas are a gap in GraphQL. */
const TOKEN = new RegExp(
  String.raw`(?<gap>[\s,]+)|(?<comment>(?:#|\/\/)[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|${TEXT}|(?<word>\w+)|[\s\S]`,
  'g',
);
/** A token inside a comment, which may be an operation. */
const COMMENT_TOKEN = new RegExp(
  String.raw`(?<gap>[\s,]+|(?<=^|\s)(?:#+|\/\/|\/\*)|\*\/)|${TEXT}|(?<word>\w+)|[\s\S]`,
  'g',
);
/** Values without quotes that are no credentials. */
const LITERAL = /^(?:true|false|null)$/;

interface MaskOptions {
  readonly tokens: RegExp;
  /** Whether a name behind `:` is a value everywhere: in an operation, it is one between parentheses, and elsewhere a field with an alias. */
  readonly hasOnlyValues: boolean;
  readonly maskComment?: (text: string) => string;
}

/**
 * Returns a function that writes an empty text in place of each credential, and adds to `names` the variables that have one. A value may be in another text than
 * its name: each line of a comment is a text.
 */
function createMask(
  names: Set<string>,
  { tokens, hasOnlyValues, maskComment = String }: MaskOptions,
): (text: string) => string {
  const isSecret = (name: string) => NAME.test(name) || names.has(name);
  let last = '';
  /** The name whose value comes next, and, between `:` and `=`, the variable whose type comes next. */
  let key = '';
  let typed = '';
  let isList = false;
  let isPassed = false;
  let previous = '';
  let areValues = hasOnlyValues;
  /** Whether the last name is that of a variable, behind which comes a type. */
  let isVariable = false;
  let isType = false;
  /** Whether the token before was a credential without quotes, of which this one may be a part. */
  let isCut = false;
  return (whole) =>
    whole.replace(tokens, (token, ...rest) => {
      const { gap, comment, text: string, word } = rest.at(-1) as Record<string, string | undefined>;
      if (gap !== undefined) {
        isCut = false;
        return token;
      }
      if (comment !== undefined) {
        return isCut ? '' : maskComment(token);
      }
      if (isCut && !/^["()[\]{}]/.test(token)) {
        return '';
      }
      isCut = false;
      let written = token;
      if (string !== undefined || /^\d/.test(token)) {
        written = isSecret(key) ? '""' : token;
        isCut = string === undefined && written !== token;
        last = token.replaceAll('"', '');
        isVariable = false;
        key = isList ? key : '';
      } else if (word !== undefined) {
        if (isPassed) {
          names.add(token);
        }
        const isValue = areValues && !isType && previous !== '$' && !LITERAL.test(token);
        isCut = isValue && isSecret(key);
        written = isCut ? '""' : token;
        isVariable = previous === '$';
        typed = key;
        key = isList ? key : '';
        last = token;
      } else if (token === ':') {
        key = last;
        isType = isVariable;
      } else if (token === '=') {
        key = typed;
        isType = false;
      } else if (/[[\]]/.test(token)) {
        isList = token === '[';
      } else if (/[(){}]/.test(token)) {
        key = '';
        isList = false;
        areValues = hasOnlyValues || (/[()]/.test(token) ? token === '(' : areValues);
      }
      isPassed = token === '$' && (isList || previous === ':') && isSecret(key);
      previous = token;
      return written;
    });
}

/** Returns an operation, or the JSON of its variables, without credentials. */
function withoutValues(text: string, names: Set<string>, isJson: boolean): string {
  const maskComment = createMask(names, { tokens: COMMENT_TOKEN, hasOnlyValues: true });
  return createMask(names, { tokens: TOKEN, hasOnlyValues: isJson, maskComment })(text);
}

/**
 * Returns the texts of an operation and of its variables with an empty text in place of each credential. They need not be valid, since
 * GraphiQL stores them while they are being typed.
 */
export function withoutSecrets(query: string, variables: string): OperationTexts {
  const names = new Set<string>();
  // Variables are defined before they are used, and what they are used for decides about their default values.
  withoutValues(query, names, false);
  return { query: withoutValues(query, names, false), variables: withoutValues(variables, names, true) };
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
