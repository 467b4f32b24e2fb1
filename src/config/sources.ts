import { VARIABLES } from './environment.ts';

/** The suffix of the variables that name a file with a secret. */
export const FILE_SUFFIX = '_FILE';

/** Reads a file with a secret. Returns its text, or the reason for which it is refused, as the end of a sentence about the file. */
export type FileReader = (path: string) => { readonly text: string } | { readonly problem: string };

/** The variables that are set. */
export interface Sources {
  /** The text of each variable that is set. */
  readonly texts: Readonly<Record<string, string>>;
  /** The paths of the files from which texts were read, by the name of the variable. */
  readonly files: ReadonlyMap<string, string>;
  /** The sentences about files that could not be read, by the name of the variable. */
  readonly problems: ReadonlyMap<string, string>;
}

/** Returns the variables whose value may be read from a file: those that are secret. */
export function fileVariables(): string[] {
  return [...VARIABLES].filter(([, { secrecy }]) => secrecy !== null).map(([name]) => name);
}

/** Returns the known variables of an environment, with the secrets of files. An empty variable counts as absent. */
export function readSources(env: Readonly<Record<string, string | undefined>>, readFile: FileReader): Sources {
  const texts: Record<string, string> = {};
  for (const name of VARIABLES.keys()) {
    const text = env[name];
    if (text) {
      texts[name] = text;
    }
  }
  const files = new Map<string, string>();
  const problems = new Map<string, string>();
  for (const name of fileVariables()) {
    const path = env[`${name}${FILE_SUFFIX}`];
    if (!path) {
      continue;
    }
    const secret = texts[name] === undefined ? secretOf(name, path, readFile) : bothAreSet(name);
    if ('problem' in secret) {
      problems.set(name, secret.problem);
      delete texts[name];
    } else {
      texts[name] = secret.text;
      files.set(name, path);
    }
  }
  return { texts, files, problems };
}

function bothAreSet(name: string): { problem: string } {
  return { problem: `${name} and ${name}${FILE_SUFFIX} are both set; set one of them` };
}

function secretOf(name: string, path: string, readFile: FileReader): { text: string } | { problem: string } {
  const subject = `${name}${FILE_SUFFIX} names ${path}, which`;
  const read = readFile(path);
  if ('problem' in read) {
    return { problem: `${subject} ${read.problem}` };
  }
  const text = read.text.replace(/\r?\n$/, '');
  if (text.trim() === '') {
    return { problem: `${subject} is empty; it must contain the value of ${name}` };
  }
  // The list of keys has one a line.
  if (/[\r\n]/.test(text) && name !== 'SECRET_KEY_OLD') {
    return { problem: `${subject} has several lines; it must contain the value of ${name} and nothing else` };
  }
  return { text };
}
