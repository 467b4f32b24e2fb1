import type { Secrecy } from './variable.ts';

const HIDDEN = '***';
/** Parameters of a URL that may hold a secret, like the `password` of a PostgreSQL URL and the `auth.pass` of a mail server. */
const SECRET_PARAMETER = /pass|pwd|secret|token|key|auth/i;

/** Returns the text of a variable with its secrets replaced by asterisks. Of a URL that cannot be read for certain, only the scheme remains. */
export function withoutSecrets(text: string, secrecy: Secrecy | null): string {
  const scheme = /^([a-z]+):\/\//.exec(text)?.[1];
  if (secrecy === 'value') {
    return HIDDEN;
  }
  if (scheme === undefined) {
    return secrecy === null || text.startsWith('file:') ? text : HIDDEN;
  }
  if (!isCertain(text)) {
    return `${scheme}://${HIDDEN}`;
  }
  const [base = '', query] = text.split(/\?(.*)/s);
  return (
    base.replace(/^([a-z]+:\/\/[^/@:]*):[^/]*@/, `$1:${HIDDEN}@`) + (query === undefined ? '' : `?${shown(query)}`)
  );
}

/** Returns whether the authority of a URL ends where a parser finds its end: an unescaped character of a password could end it earlier, and leave an `@` behind. */
function isCertain(text: string): boolean {
  if (!URL.canParse(text)) {
    return false;
  }
  const { pathname, search, hash } = new URL(text);
  return hash === '' && !pathname.includes('@') && !search.includes('@');
}

/** Returns the parameters of a URL up to the first secret one: an unescaped `&` of its value would look like the beginning of another one. */
function shown(query: string): string {
  const parameters = query.split('&');
  const nameOf = (parameter: string): string => [...new URLSearchParams(parameter).keys()][0] ?? '';
  const secret = parameters.findIndex((parameter) => SECRET_PARAMETER.test(nameOf(parameter)));
  if (secret === -1) {
    return query;
  }
  return [...parameters.slice(0, secret), `${nameOf(parameters[secret] ?? '')}=${HIDDEN}`].join('&');
}
