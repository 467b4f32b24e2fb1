import { printSchema } from 'graphql';
import type { Config } from '../config/config.ts';
import { configurationPage, variablesInShort } from '../config/reference.ts';
import type { MigrationReport } from '../database/migrations.ts';
import { buildSchema } from '../schema.ts';
import { openServices } from '../services.ts';
import type { Command, Terminal } from '../slice.ts';
import { SLICES } from '../slices.ts';
import { backup, restore } from './backup.ts';
import { migrate, reportTo } from './migrate.ts';
import { move } from './move.ts';
import { rotateKey } from './rotate-key.ts';
import { seed } from './seed.ts';

const schema: Command = {
  synopsis: 'schema',
  summary: 'prints the GraphQL schema',
  run: async ({ config, terminal }) => {
    terminal.stdout.write(`${printSchema(buildSchema(config.graphql))}\n`);
    return 0;
  },
};

const configuration: Command = {
  synopsis: 'configuration',
  summary: 'prints docs/configuration.md',
  run: async ({ terminal }) => {
    terminal.stdout.write(configurationPage());
    return 0;
  },
};

const COMMANDS = new Map<string, Command>(
  Object.entries({
    ...Object.assign({}, ...SLICES.map(({ commands }) => commands)),
    migrate,
    seed,
    backup,
    restore,
    move,
    'rotate-key': rotateKey,
    schema,
    configuration,
  }),
);

const SYNOPSES: readonly Pick<Command, 'synopsis' | 'summary'>[] = [
  { synopsis: 'serve', summary: 'starts the server (the default)' },
  { synopsis: 'serve --print-config', summary: 'prints the configuration and its sources, without secrets' },
  { synopsis: 'help', summary: 'prints the commands and the environment variables' },
  ...COMMANDS.values(),
];
const WIDTH = Math.max(...SYNOPSES.map(({ synopsis }) => synopsis.length));

/** The commands of the program. */
export const USAGE = `Usage: npm start -- [--help | --print-config]
       node dist/main.js [command]

${SYNOPSES.map(({ synopsis, summary }) => `  ${synopsis.padEnd(WIDTH)}  ${summary}\n`).join('')}`;

/** Returns the commands, and the environment variables with their defaults. */
export function help(): string {
  return `${USAGE}
Settings are environment variables; docs/configuration.md describes them in full.
A secret may be in a file that <NAME>_FILE names. The defaults are in parentheses.

${variablesInShort()}`;
}

/** The parts of the process that commands use. */
export interface CommandProcess {
  readonly config: Config;
  readonly terminal: Terminal;
  /** Returns a signal that is aborted at SIGINT or SIGTERM, which from the call on do not end the process. */
  readonly interruption: () => AbortSignal;
}

/** Reports only what the command waits for. */
function reportWarnings({ stderr }: Terminal): MigrationReport {
  const report = reportTo({ stdout: stderr, stderr });
  return (level, message, details) => level === 'warn' && report(level, message, details);
}

/** Runs a command. Returns the exit code; for an unknown command it is 2, and the usage is printed to standard error. */
export async function runCommand(
  name: string,
  args: readonly string[],
  { config, terminal, interruption }: CommandProcess,
): Promise<number> {
  const command = COMMANDS.get(name);
  if (!command) {
    terminal.stderr.write(USAGE);
    return 2;
  }
  if (args.includes('--help') || args.includes('-h')) {
    // The command for users has a usage of its own.
    if (name !== 'user') {
      terminal.stdout.write(`Usage: node dist/main.js ${command.synopsis}\n\n  ${command.summary}\n`);
      return 0;
    }
  }
  return command.run({
    args,
    config,
    terminal,
    password: config.commands.password,
    interruption,
    withServices: async (use) => {
      const { services, close } = await openServices(config, { report: reportWarnings(terminal) });
      try {
        return await use(services);
      } finally {
        await close();
      }
    },
  });
}
