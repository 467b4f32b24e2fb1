import { printSchema } from 'graphql';
import type { Config } from '../config/config.ts';
import { buildSchema } from '../schema.ts';
import { openServices } from '../services.ts';
import type { Command, Terminal } from '../slice.ts';
import { SLICES } from '../slices.ts';
import { move } from './move.ts';
import { seed } from './seed.ts';

const schema: Command = {
  synopsis: 'schema',
  summary: 'prints the GraphQL schema',
  run: async ({ config, terminal }) => {
    terminal.stdout.write(`${printSchema(buildSchema(config.graphql))}\n`);
    return 0;
  },
};

const COMMANDS = new Map<string, Command>(
  Object.entries({ ...Object.assign({}, ...SLICES.map(({ commands }) => commands)), seed, move, schema }),
);

const SYNOPSES: readonly Pick<Command, 'synopsis' | 'summary'>[] = [
  { synopsis: 'serve', summary: 'starts the server (the default)' },
  ...COMMANDS.values(),
];
const WIDTH = Math.max(...SYNOPSES.map(({ synopsis }) => synopsis.length));
const USAGE = `Usage: node dist/main.js [command]

${SYNOPSES.map(({ synopsis, summary }) => `  ${synopsis.padEnd(WIDTH)}  ${summary}\n`).join('')}`;

/** The parts of the process that commands use. */
export interface CommandProcess {
  readonly config: Config;
  readonly terminal: Terminal;
  readonly password: string | undefined;
}

/** Runs a command. Returns the exit code; for an unknown command it is 2, and the usage is printed to standard error. */
export async function runCommand(
  name: string,
  args: readonly string[],
  { config, terminal, password }: CommandProcess,
): Promise<number> {
  const command = COMMANDS.get(name);
  if (!command) {
    terminal.stderr.write(USAGE);
    return 2;
  }
  return command.run({
    args,
    config,
    terminal,
    password,
    withServices: async (use) => {
      const { services, close } = await openServices(config);
      try {
        return await use(services);
      } finally {
        await close();
      }
    },
  });
}
