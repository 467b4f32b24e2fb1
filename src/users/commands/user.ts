import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { Command } from '../../slice.ts';
import { DEFAULT_LIMIT, list, printResetLink, type SubcommandCall, setPassword, setStatus, show } from './user-acts.ts';

type Options = NonNullable<ParseArgsConfig['options']>;

interface Subcommand {
  readonly synopsis: string;
  readonly summary: string;
  readonly needsName: boolean;
  readonly options?: Options;
  /** Runs the sub-command. Returns the text to print. */
  readonly run: (call: SubcommandCall) => Promise<string>;
}

const FORCE: Options = { force: { type: 'boolean' } };

const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
  list: {
    synopsis: 'list [text] [--staff] [--deactivated] [--limit 50] [--after name]',
    summary: 'lists the users by name, or only those whose name contains the text',
    needsName: false,
    options: {
      staff: { type: 'boolean' },
      deactivated: { type: 'boolean' },
      limit: { type: 'string', default: String(DEFAULT_LIMIT) },
      after: { type: 'string' },
    },
    run: list,
  },
  show: {
    synopsis: 'show <name>',
    summary: 'shows a user and the latest acts on the account',
    needsName: true,
    run: show,
  },
  'set-password': {
    synopsis: 'set-password <name>',
    summary: 'asks for a new password, or reads it from standard input; ends every session and key',
    needsName: true,
    run: setPassword,
  },
  'reset-link': {
    synopsis: 'reset-link <name>',
    summary: 'prints a link to set a new password, which is valid once and for a limited time',
    needsName: true,
    run: printResetLink,
  },
  promote: {
    synopsis: 'promote <name>',
    summary: 'makes a user staff: they can read and change every row outside chats',
    needsName: true,
    run: (call) => setStatus(call, { isStaff: true }, 'is staff'),
  },
  demote: {
    synopsis: 'demote <name> [--force]',
    summary: 'makes a user no longer staff; rejected for the last active staff member unless forced',
    needsName: true,
    options: FORCE,
    run: (call) => setStatus(call, { isStaff: false }, 'is not staff'),
  },
  deactivate: {
    synopsis: 'deactivate <name> [--force]',
    summary: 'deactivates an account and ends every session and key; rejected like demote',
    needsName: true,
    options: FORCE,
    run: (call) => setStatus(call, { isActive: false }, 'is deactivated'),
  },
  activate: {
    synopsis: 'activate <name>',
    summary: 'activates an account again',
    needsName: true,
    run: (call) => setStatus(call, { isActive: true }, 'is active'),
  },
};

const WIDTH = Math.max(...Object.values(SUBCOMMANDS).map(({ synopsis }) => synopsis.length));
const USAGE = `Usage: npm run user -- <command>

${Object.values(SUBCOMMANDS)
  .map(({ synopsis, summary }) => `  ${synopsis.padEnd(WIDTH)}  ${summary}\n`)
  .join('')}`;

/**
 * Runs a sub-command for users; servers may run at the same time. The exit code is 2 for an invalid call.
 *
 * @throws {AppError} when there is no such user, or the change is rejected
 */
export const manageUsers: Command = {
  synopsis: 'user <command>',
  summary: 'lists, shows and changes users; `user help` prints the usage',
  run: async ({ args: [name = '', ...rest], config, terminal, withServices }) => {
    if (name === 'help' || name === '--help') {
      terminal.stdout.write(USAGE);
      return 0;
    }
    const subcommand = Object.hasOwn(SUBCOMMANDS, name) ? SUBCOMMANDS[name] : undefined;
    const parsed = subcommand && parse(subcommand, rest);
    if (!parsed) {
      const problem = subcommand
        ? `The arguments of ${name} are invalid.`
        : `There is no command ${JSON.stringify(name)}.`;
      terminal.stderr.write(`${problem}\n\n${USAGE}`);
      return 2;
    }
    const hasPublicUrl = config.http.publicUrl !== null;
    return withServices(async (services) => {
      terminal.stdout.write(`${await subcommand.run({ ...parsed, services, terminal, hasPublicUrl })}\n`);
      return 0;
    });
  },
};

/** Parses the arguments of a sub-command. Returns null when they are invalid. They are not printed, since one may be a password. */
function parse(
  { needsName, options = {} }: Subcommand,
  args: readonly string[],
): Pick<SubcommandCall, 'argument' | 'options'> | null {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
    const [argument] = positionals;
    return positionals.length > 1 || (needsName && argument === undefined) ? null : { argument, options: values };
  } catch (error) {
    if (error instanceof TypeError) {
      return null;
    }
    throw error;
  }
}
