import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { privateDatabase } from '../kit/app.ts';
import { Person } from '../kit/person.ts';
import { freePort, type ServerProcess, startProcess } from '../kit/process.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PASSWORD = 'a good long password';
/** Examples that docs/clients.md has in full. */
const ON_PAGE = ['plain.js', 'apollo.js', 'urql.js', 'curl.sh'];
const EXAMPLES = [...ON_PAGE, 'by-hand/graphql-ws.js', 'by-hand/apollo.js', 'by-hand/urql.js'].filter(
  (name) => !name.endsWith('.sh') || inject('present').curl !== null,
);
/** The life of access tokens, in seconds: all examples outlive several. */
const TOKEN_LIFE_S = 3;
const WAIT = { timeout: 40_000, interval: 50 };

interface Example {
  readonly name: string;
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly exited: Promise<unknown>;
}

const database = privateDatabase();
let port: number;
let server: ServerProcess;
let ben: Person;

const start = (): Promise<ServerProcess> =>
  startProcess({
    PORT: String(port),
    DATABASE_URL: `file:${database.path}`,
    ALLOW_ANONYMOUS: 'false',
    ACCESS_TOKEN_LIFE_S: String(TOKEN_LIFE_S),
  });

function sql(statement: string): void {
  const file = new Sqlite(database.path, { timeout: 5000 });
  file.exec(statement);
  file.close();
}

function run(name: string): Example {
  const file = `${ROOT}examples/${name}`;
  const command = name.endsWith('.sh') ? 'sh' : process.execPath;
  const child = spawn(command, [file, server.url, 'ann', PASSWORD], { stdio: 'pipe', detached: true });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output += `stderr: ${chunk}`;
  });
  return { name, child, output: () => output, exited: once(child, 'exit').then(([code]) => code) };
}

let examples: readonly Example[] = [];

beforeAll(async () => {
  port = await freePort();
  server = await start();
  const visitor = new Person(server.url, null, '');
  for (const username of ['ann', 'ben']) {
    await visitor.gql(
      'mutation ($username: String!, $password: String!) { signUp(input: { username: $username, password: $password }) { __typename } }',
      { username, password: PASSWORD },
    );
  }
  // Who may see all todos, until they lose this right.
  sql(`UPDATE "User" SET "isStaff" = 1 WHERE "username" = 'ann'`);
  ben = await visitor.signIn('ben', PASSWORD);
  await ben.gql('mutation { createTodo(input: { title: "of ben" }) { __typename } }');
  examples = EXAMPLES.map(run);
});
afterAll(async () => {
  for (const { child } of examples) {
    try {
      process.kill(-(child.pid ?? 0), 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
  await server.stop('SIGKILL');
  database.remove();
});

/** Writes a todo of ann. */
const write = (title: string): unknown =>
  execFileSync(process.execPath, [`${ROOT}test/live/write-todo.js`, database.path, title]);

/** Waits until every example has printed a text. */
async function printed(text: string): Promise<void> {
  await expect
    .poll(
      () => examples.filter(({ output }) => !output().includes(text)).map(({ name, output }) => [name, output()]),
      WAIT,
    )
    .toEqual([]);
}

describe('the examples', () => {
  it.each(ON_PAGE)('should be in docs/clients.md as they are: %s', (name) => {
    expect(readFileSync(`${ROOT}docs/clients.md`, 'utf8')).toContain(
      readFileSync(`${ROOT}examples/${name}`, 'utf8').trim(),
    );
  });

  it('should miss nothing across a restart, expired tokens and a removed right, and end when they are signed out', {
    timeout: 180_000,
  }, async () => {
    await printed('of ben');
    const since = Date.now();
    write('before');
    await printed('before');
    await server.stop('SIGKILL');
    write('meanwhile');
    server = await start();
    write('after');
    await printed('after');
    for (const { name, output } of examples) {
      expect([name, output().indexOf('meanwhile') < output().indexOf('after')]).toEqual([name, true]);
    }
    await expect.poll(() => Date.now() - since, WAIT).toBeGreaterThan(2 * TOKEN_LIFE_S * 1000);
    write('by a later token');
    await printed('by a later token');

    const lengths = new Map(examples.map(({ name, output }) => [name, output().length]));
    sql(`UPDATE "User" SET "isStaff" = 0 WHERE "username" = 'ann'`);
    // Only a snapshot shows the whole list at once: without what ann may no longer see.
    const shown = ({ name, output }: Example): string => output().slice(lengths.get(name));
    await expect
      .poll(
        () => examples.filter((each) => !/before.*meanwhile.*after/.test(shown(each))).map(({ name }) => name),
        WAIT,
      )
      .toEqual([]);
    write('own');
    await printed('own');
    // urql first shows the list once more as it was, marked as stale.
    const lastList = ({ output }: Example) =>
      output()
        .split('\n')
        .findLast((line) => /before.*meanwhile.*after/.test(line));
    expect(examples.filter((each) => lastList(each)?.includes('of ben')).map(({ name }) => name)).toEqual([]);

    sql('DELETE FROM "Session"');
    const codes = await Promise.all(examples.map(({ exited }) => exited));
    expect(examples.map(({ name, output }, index) => [name, codes[index], output().includes('stderr: ')])).toEqual(
      examples.map(({ name }) => [name, 1, true]),
    );
  });
});
