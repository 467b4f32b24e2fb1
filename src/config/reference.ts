import { GROUPS } from './environment.ts';
import { FILE_SUFFIX, fileVariables } from './sources.ts';
import type { Variable } from './variable.ts';

/** Returns docs/configuration.md: every environment variable with its default, its allowed values and its meaning. */
export function configurationPage(): string {
  const contents = GROUPS.map(({ title }) => `- [${title}](#${title.toLowerCase().replaceAll(' ', '-')})`);
  const sections = GROUPS.map(({ title, variables }) => `## ${title}\n\n${tableOf(variables)}`);
  return `${INTRODUCTION}\n${contents.join('\n')}\n\n${SECRETS}\n${sections.join('\n\n')}\n`;
}

const INTRODUCTION = `# Configuration

<!-- Written by \`npm run configuration\`: change the definitions in src/config/. -->

All settings are environment variables. An empty variable counts as absent. The server reports every invalid value at once and does not start. A variable whose name is close to
that of a setting, like \`PORTS\` or \`TIDINGS_PORT\`, is named in a warning at the start.

\`\`\`sh
npm start -- --help            # the commands, and the variables in short
npm start -- --print-config    # the value of every variable and its source, without the secrets
\`\`\`

Numbers are whole numbers of their unit: milliseconds (ms), seconds (s), bytes or bytes a second. A number without a unit is a count. [operating.md](operating.md) describes how the server is operated.
`;

const SECRETS = `## Secrets in files

A secret can be in a file instead of the environment, as Docker and Kubernetes provide it: ${fileList()} name such files. Each is read once, when a process starts; the line break at its end does
not count. The server does not start when the file is missing, empty or unreadable, or when the variable itself is set as well.
`;

function fileList(): string {
  const names = fileVariables().map((name) => `\`${name}${FILE_SUFFIX}\``);
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

function tableOf(variables: Readonly<Record<string, Variable>>): string {
  const rows = Object.entries(variables).map(
    ([name, variable]) =>
      `| \`${name}\` | ${defaultOf(variable)} | ${variable.unit ?? ''} | ${variable.values} | ${variable.meaning} |`,
  );
  return `| variable | default | unit | values | meaning |\n|---|---|---|---|---|\n${rows.join('\n')}`;
}

function defaultOf({ fallback, absence, unit }: Variable): string {
  if (fallback === null) {
    return absence;
  }
  const large = LARGE_UNITS.find(
    (each) => each.unit === unit && Number(fallback) % each.size === 0 && fallback !== '0',
  );
  return `\`${fallback}\`${large ? `, ${Number(fallback) / large.size} ${large.name}` : ''}`;
}

/** The larger units of defaults that would be hard to read otherwise. */
const LARGE_UNITS = [
  { unit: 's', size: 86_400, name: 'days' },
  { unit: 'bytes', size: 1024 ** 3, name: 'GiB' },
  { unit: 'bytes', size: 1024 ** 2, name: 'MiB' },
  { unit: 'bytes', size: 1024, name: 'KiB' },
];

/** Returns the environment variables with their defaults and the first part of their meanings, for a terminal. */
export function variablesInShort(): string {
  return GROUPS.map(({ title, variables }) => {
    const lines = Object.entries(variables).map(([name, { fallback, absence, meaning }]) => {
      const [summary = ''] = meaning.split(/; |\. |$/);
      return `  ${name} (${plainText(fallback ?? absence)})\n      ${plainText(summary)}\n`;
    });
    return `${title}:\n${lines.join('')}`;
  }).join('\n');
}

/** Returns Markdown without links and backticks. */
export function plainText(markdown: string): string {
  return markdown.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('`', '');
}
