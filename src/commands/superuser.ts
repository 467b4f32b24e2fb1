import { recordAct } from '../accounts/audit.ts';
import { createAccount, prepareAccount } from '../accounts/service.ts';
import type { Config } from '../config.ts';
import { openServices } from '../services.ts';
import { operator } from './operator.ts';
import { Prompt, type Terminal } from './prompt.ts';

interface Given {
  readonly username: string | undefined;
  readonly password: string | undefined;
}

/**
 * Makes a staff account, asking on the terminal for what was not given.
 *
 * @throws {ValidationError} when the name is taken or a value is refused
 */
export async function createSuperuser(config: Config, given: Given, terminal: Terminal): Promise<void> {
  const { services, close } = await openServices(config);
  try {
    const account = await prepareAccount(await complete(given, terminal));
    const { username } = await services.database.$transaction(async (database) => {
      const made = await createAccount({ database }, account, { isStaff: true });
      await recordAct(database, { actor: operator(), action: 'STAFF_CREATED', subject: made });
      return made;
    });
    terminal.stdout.write(`Made the staff account ${username}.\n`);
  } finally {
    await close();
  }
}

async function complete(
  { username, password }: Given,
  terminal: Terminal,
): Promise<{ username: string; password: string }> {
  if (username !== undefined && password !== undefined) {
    return { username, password };
  }
  const prompt = new Prompt(terminal);
  try {
    return {
      username: username ?? (await prompt.ask('Username: ')),
      password: password ?? (await prompt.askNewPassword('Password')),
    };
  } finally {
    prompt.close();
  }
}
