import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { VARIABLES } from '../src/config/environment.ts';
import { readTextFile } from '../src/config/text-file.ts';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tidings-command-line-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program in an empty folder, without an environment of its own. */
function run(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { cwd: folder, env: { PATH: process.env['PATH'], ...env } };
    execFile(process.execPath, [MAIN, ...args], options, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

const write = (name: string, contents: string | Buffer): string => {
  writeFileSync(join(folder, name), contents);
  return join(folder, name);
};

describe('the help', () => {
  it('should name every command and variable, whatever is configured, and touch no database', async () => {
    const [help, ...others] = await Promise.all([
      run(['--help'], { PORT: 'x', SECRET_KEY_FILE: '/missing' }),
      run(['-h']),
      run(['help']),
    ]);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const command of [
      'serve',
      'createsuperuser',
      'user',
      'seed',
      'move',
      'rotate-key',
      'schema',
      'configuration',
    ]) {
      expect(help.stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
    }
    for (const name of VARIABLES.keys()) {
      expect(help.stdout).toMatch(new RegExp(`^  ${name} \\(.+\\)\\n {6}\\S`, 'm'));
    }
    expect(help.stdout).toContain('docs/configuration.md');
    expect(help.stdout.slice(help.stdout.indexOf('Server:'))).not.toMatch(/`|\]\(/);
    for (const other of others) {
      expect(other).toEqual(help);
    }
    expect(existsSync(join(folder, 'data'))).toBe(false);
  });

  it('should not run the command that it is asked about', async () => {
    const [seed, unknown] = await Promise.all([run(['seed', '--help']), run(['--port', '80'])]);
    expect(seed).toMatchObject({ code: 0, stdout: expect.stringContaining('seed [rows]') });
    expect(unknown).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('arguments --port 80') });
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('the printed configuration', () => {
  it('should show values with their sources, warn of misspelled variables, and need no database', async () => {
    const key = randomBytes(32).toString('hex');
    const env = {
      PORT: '81',
      PORTS: '82',
      DATABASE_URI: 'postgres://ann:hidden-word@db/x',
      DATABASE_URL: 'postgres://ann:hidden-word@127.0.0.1:1/tidings',
      SECRET_KEY_FILE: write('key', `${key}\n`),
    };
    const { code, stdout, stderr } = await run(['--print-config'], env);
    expect(code).toBe(0);
    expect(stdout).toContain('\nPORT=81  # environment\n');
    expect(stdout).toContain('\nDATABASE_URL=postgres://ann:***@127.0.0.1:1/tidings  # environment\n');
    expect(stdout).toContain(`\nSECRET_KEY=***  # file ${JSON.stringify(env.SECRET_KEY_FILE)}\n`);
    expect(stderr.trim().split('\n')).toEqual([
      expect.stringMatching(/^Warning: the environment variable PORTS is not a setting .* did you mean PORT\?$/),
      expect.stringMatching(/^Warning: .* DATABASE_URI .* did you mean DATABASE_URL\?$/),
    ]);
    expect(stdout + stderr).not.toMatch(new RegExp(`hidden-word|${key}`));
  });

  it('should report the problems of an invalid configuration, and what was probably meant', async () => {
    const env = { PORT: 'x', DATABASE_URL: 'postgres://db/x', SECRETKEY: 'hidden-word', AMQP_URL_FILE: folder };
    const { code, stdout, stderr } = await run(['--print-config'], env);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('SECRETKEY is not a setting');
    expect(stderr).toContain('PORT must be a whole number');
    expect(stderr).toContain('SECRET_KEY is required with PostgreSQL');
    expect(stderr).toContain(`AMQP_URL_FILE names ${folder}, which is a folder; name a file`);
    expect(stderr).not.toMatch(/hidden-word|\n\s+at /);
  });
});

describe('a file with a secret', () => {
  it.each([
    ['a text', () => write('text', 'word\n'), { text: 'word\n' }],
    ['a text with a byte order mark', () => write('mark', '\ufeffword'), { text: 'word' }],
    ['the largest text', () => write('large', 'x'.repeat(65_536)), { text: 'x'.repeat(65_536) }],
    ['a larger text', () => write('larger', 'x'.repeat(65_537)), { problem: 'is larger than 65536 bytes' }],
    ['an endless device', () => '/dev/zero', { problem: 'is larger than 65536 bytes' }],
    ['another encoding', () => write('latin', Buffer.from([0x66, 0xfc])), { problem: 'is not a text file in UTF-8' }],
    ['a binary file', () => write('binary', 'a\0b'), { problem: 'is not a text file' }],
    ['a folder', () => folder, { problem: 'is a folder; name a file' }],
    ['a missing file', () => join(folder, 'missing'), { problem: 'does not exist' }],
    ['a file in a file', () => join(write('file', ''), 'x'), { problem: 'does not exist' }],
  ])('should be read if it can be one: %s', (_, path, expected) => {
    expect(readTextFile(path())).toEqual(expected);
  });
});
