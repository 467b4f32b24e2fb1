import { derivedDefaults } from './auth-settings.ts';
import { readEnvironment } from './config.ts';
import { GROUPS } from './environment.ts';
import { withoutSecrets } from './hidden-secrets.ts';
import { plainText } from './reference.ts';
import type { FileReader } from './sources.ts';
import type { Variable } from './variable.ts';

/** Values that need no quotes in a file of environment variables. */
const PLAIN = /^[\w.:/@,*+=%~[\]()?&-]*$/;

/**
 * Returns the configuration as a file of environment variables, each with its source as a comment: the default, the environment or a file. Secrets are replaced
 * by asterisks.
 *
 * @throws {ConfigError} listing all invalid variables
 */
export function printedConfig(env: Readonly<Record<string, string | undefined>>, readFile: FileReader): string {
  const { texts, files, values } = readEnvironment(env, readFile);
  const derived: Readonly<Record<string, string | number>> = derivedDefaults(values);
  const lineOf = (name: string, { secrecy, fallback, absence }: Variable): string => {
    const text = texts[name];
    const path = files.get(name);
    if (text !== undefined) {
      const source = path === undefined ? 'environment' : `file ${JSON.stringify(path)}`;
      return `${name}=${quoted(withoutSecrets(text, secrecy))}  # ${source}`;
    }
    const value = fallback ?? derived[name];
    return value === undefined
      ? `${name}=  # default: ${plainText(absence)}`
      : `${name}=${quoted(String(value))}  # default`;
  };
  return GROUPS.map(({ title, variables }) => {
    const lines = Object.entries(variables).map(([name, variable]) => lineOf(name, variable));
    return `# ${title}\n${lines.join('\n')}\n`;
  }).join('\n');
}

function quoted(text: string): string {
  return PLAIN.test(text) ? text : JSON.stringify(text);
}
