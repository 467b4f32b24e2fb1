import { recordAct } from '../../audit/service.ts';
import type { Command, Terminal } from '../../slice.ts';
import { createAccount, prepareAccount } from '../sign-up.ts';
import { operator } from './operator.ts';
import { Prompt } from './prompt.ts';

/**
 * Creates a staff account: `createsuperuser [name]`. It asks on the terminal for missing values.
 *
 * @throws {ValidationError} when the name is taken or a value is rejected
 */
export const createSuperuser: Command = {
  synopsis: 'createsuperuser [name]',
  summary: 'creates a staff account; asks for the name, and for the password unless TIDINGS_PASSWORD is set',
  run: ({ args: [username], password, terminal, withServices }) =>
    withServices(async ({ database }) => {
      const account = await prepareAccount(await complete({ username, password }, terminal));
      const created = await database.$transaction(async (transaction) => {
        const user = await createAccount({ database: transaction }, account, { isStaff: true });
        await recordAct(transaction, { actor: operator(), action: 'STAFF_CREATED', subject: user });
        return user;
      });
      terminal.stdout.write(`Created the staff account ${created.username}.\n`);
      return 0;
    }),
};

async function complete(
  { username, password }: { readonly username: string | undefined; readonly password: string | undefined },
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
