import { parseArgs } from 'node:util';
import { loggedModels } from '../changes/logged-models.ts';
import { checkMigrations, explainFailure, migrateDatabase } from '../database/migrate.ts';
import type { MigrationReport, MigrationStatus } from '../database/migrations.ts';
import { AppError } from '../errors.ts';
import { schemaPlan } from '../services.ts';
import type { Command, Terminal } from '../slice.ts';
import { MODELS } from '../slices.ts';

/** The exit code of `--check` when a migration would change the database. */
const PENDING = 3;

/** Returns a report of a migration that writes lines for an operator. */
export function reportTo({ stdout, stderr }: Pick<Terminal, 'stdout' | 'stderr'>): MigrationReport {
  return (level, message, details) => {
    const text = Object.entries(details).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
    (level === 'info' ? stdout : stderr).write(`${[message, ...text].join(' ')}\n`);
  };
}

export const migrate: Command = {
  synopsis: 'migrate [--check]',
  summary: 'applies the migrations that are missing, or says which ones are, without starting a server',
  run: async ({ args, config: { database }, terminal }) => {
    const isCheck = readArguments(args);
    const plan = schemaPlan(loggedModels(MODELS));
    try {
      if (isCheck) {
        const status = await checkMigrations(database, plan);
        terminal.stdout.write(describe(status));
        return isEmpty(status) ? 0 : PENDING;
      }
      const done = await migrateDatabase(database, plan, reportTo(terminal));
      terminal.stdout.write(isEmpty(done) ? 'The database was up to date.\n' : 'The database is up to date.\n');
      return 0;
    } catch (error) {
      throw explainFailure(database, error);
    }
  },
};

/** Returns whether the database is only checked. */
function readArguments(args: readonly string[]): boolean {
  try {
    return parseArgs({ args: [...args], options: { check: { type: 'boolean', default: false } } }).values.check;
  } catch {
    throw new AppError('BAD_INPUT', 'Usage: npm run migrate, or npm run migrate -- --check');
  }
}

function isEmpty({ migrations, statements }: MigrationStatus): boolean {
  return migrations.length === 0 && statements.length === 0;
}

function describe(status: MigrationStatus): string {
  if (isEmpty(status)) {
    return 'The database is up to date.\n';
  }
  const lines = [
    ...status.migrations.map((name) => `pending migration: ${name}`),
    ...status.statements.map((name) => `pending change: ${name}`),
  ];
  return `${lines.join('\n')}\n`;
}
