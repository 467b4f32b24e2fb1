import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { Config } from '../config.ts';
import { openServices } from '../services.ts';
import type { Terminal } from './prompt.ts';
import { type Call, DEFAULT_LIMIT, list, printResetLink, setPassword, setStatus, show } from './user-acts.ts';

type Options = NonNullable<ParseArgsConfig['options']>;

interface Subcommand {
  readonly synopsis: string;
  readonly summary: string;
  readonly needsName: boolean;
  readonly options?: Options;
  /** Does it; returns the text that is shown when it is done. */
  readonly run: (call: Call) => Promise<string>;
}

const FORCE: Options = { force: { type: 'boolean' } };

const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
  list: {
    synopsis: 'list [text] [--staff] [--deactivated] [--limit 50] [--after name]',
    summary: 'lists users by name, or those with the text in their name',
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
    summary: 'shows a user, and what was done to the account lately',
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
    summary: 'prints a link with which the user sets a new password, once, for some time',
    needsName: true,
    run: printResetLink,
  },
  promote: {
    synopsis: 'promote <name>',
    summary: 'makes a user staff, who see and change every row outside chats',
    needsName: true,
    run: (call) => setStatus(call, { isStaff: true }, 'is staff'),
  },
  demote: {
    synopsis: 'demote <name> [--force]',
    summary: 'takes that away; refused for the last active staff member unless forced',
    needsName: true,
    options: FORCE,
    run: (call) => setStatus(call, { isStaff: false }, 'is not staff'),
  },
  deactivate: {
    synopsis: 'deactivate <name> [--force]',
    summary: 'closes an account and ends every session and key; refused like demote',
    needsName: true,
    options: FORCE,
    run: (call) => setStatus(call, { isActive: false }, 'is deactivated'),
  },
  activate: {
    synopsis: 'activate <name>',
    summary: 'opens an account again',
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
 * Carries out a sub-command for users, beside running servers. Returns the exit code: 2 for a call that is none of those that the usage shows.
 *
 * @throws {AppError} when there is no such user, or it is refused
 */
export async function manageUsers(config: Config, args: readonly string[], terminal: Terminal): Promise<number> {
  const [name = '', ...rest] = args;
  if (name === 'help' || name === '--help') {
    terminal.stdout.write(USAGE);
    return 0;
  }
  const subcommand = Object.hasOwn(SUBCOMMANDS, name) ? SUBCOMMANDS[name] : undefined;
  const parsed = subcommand && parse(subcommand, rest);
  if (!parsed) {
    const problem = subcommand ? `This is not how ${name} is called.` : `There is no command ${JSON.stringify(name)}.`;
    terminal.stderr.write(`${problem}\n\n${USAGE}`);
    return 2;
  }
  const { services, close } = await openServices(config);
  try {
    terminal.stdout.write(
      `${await subcommand.run({ ...parsed, services, terminal, hasPublicUrl: config.http.publicUrl !== null })}\n`,
    );
    return 0;
  } finally {
    await close();
  }
}

/** The arguments of a sub-command; null when they are not what it takes. They are not shown: one may be a password. */
function parse(
  { needsName, options = {} }: Subcommand,
  args: readonly string[],
): Pick<Call, 'word' | 'options'> | null {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
    const [word] = positionals;
    return positionals.length > 1 || (needsName && word === undefined) ? null : { word, options: values };
  } catch (error) {
    if (error instanceof TypeError) {
      return null;
    }
    throw error;
  }
}
