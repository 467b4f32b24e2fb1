import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { signUp } from '../accounts/service.ts';
import type { Config } from '../config.ts';
import { openServices } from '../services.ts';

interface Terminal {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: NodeJS.WritableStream;
}

/**
 * Makes a staff account, asking on the terminal for what was not given.
 *
 * @throws {ValidationError} when the name is taken or a value is refused
 */
export async function createSuperuser(
  config: Config,
  given: { readonly username: string | undefined; readonly password: string | undefined },
  terminal: Terminal,
): Promise<void> {
  const { services, close } = await openServices(config);
  try {
    const { username, password } = await complete(given, terminal);
    const user = await signUp(services, { username, password }, { isStaff: true });
    terminal.stdout.write(`Made the staff account ${user.username}.\n`);
  } finally {
    await close();
  }
}

async function complete(
  { username, password }: { readonly username: string | undefined; readonly password: string | undefined },
  { stdin, stdout }: Terminal,
): Promise<{ username: string; password: string }> {
  if (username !== undefined && password !== undefined) {
    return { username, password };
  }
  let hidden = false;
  const echo = new Writable({
    write: (chunk, _encoding, done) => {
      if (!hidden) {
        stdout.write(chunk);
      }
      done();
    },
  });
  const prompt = createInterface({ input: stdin, output: echo, terminal: 'isTTY' in stdin && stdin.isTTY === true });
  const lines = prompt[Symbol.asyncIterator]();
  const ask = async (question: string): Promise<string> => {
    stdout.write(question);
    const { value, done } = await lines.next();
    return done ? '' : value;
  };
  try {
    const name = username ?? (await ask('Username: '));
    hidden = true;
    return { username: name, password: password ?? (await ask('Password (not shown): ')) };
  } finally {
    prompt.close();
    stdout.write('\n');
  }
}
