import { PassThrough } from 'node:stream';
import { createApp } from '../../src/app.ts';
import { runCommand } from '../../src/commands/run.ts';
import { parseConfig } from '../../src/config/config.ts';
import type { Finished } from './process.ts';

/** Runs a command in this process, which is faster than a process of its own; an expected failure is the code 1 and its message. */
export async function runHere(args: readonly string[], env: Record<string, string>): Promise<Finished> {
  const [name = '', ...rest] = args;
  let output = '';
  const [stdout, stderr] = [1, 2].map(() =>
    new PassThrough().on('data', (chunk) => {
      output += chunk;
    }),
  ) as [PassThrough, PassThrough];
  try {
    const code = await runCommand(name, rest, {
      config: parseConfig(env),
      terminal: { stdin: new PassThrough(), stdout, stderr },
      interruption: () => new AbortController().signal,
    });
    return { code, output };
  } catch (error) {
    return { code: 1, output: output + (error instanceof Error ? error.message : String(error)) };
  }
}

/** Starts a server in this process that is expected not to start; returns why. */
export async function refusalToStart(env: Record<string, string>): Promise<string> {
  try {
    await (await createApp(parseConfig({ PORT: '0', LOG_LEVEL: 'silent', ...env }))).close();
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
