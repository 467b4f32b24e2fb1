import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { privateDatabase } from '../kit/app.ts';
import { Person } from '../kit/person.ts';
import { describeWith } from '../kit/present.ts';
import { freePort, type ServerProcess, startProcess } from '../kit/process.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const EXAMPLES = ['graphql-ws.js', 'apollo.js', 'urql.js'];
const DEADLINE_MS = 20_000;

const database = privateDatabase();
let port: number;
let server: ServerProcess;
let ann: Person;

const start = (): Promise<ServerProcess> =>
  startProcess({ PORT: String(port), DATABASE_URL: `file:${database.path}`, ALLOW_ANONYMOUS: 'false' });

beforeAll(async () => {
  port = await freePort();
  server = await start();
  const visitor = new Person(server.url, null, '');
  await visitor.gql('mutation { signUp(input: { username: "ann", password: "a good long password" }) { __typename } }');
  ann = await visitor.signIn('ann', 'a good long password');
});
afterAll(async () => {
  await server.stop('SIGKILL');
  database.remove();
});

const make = (title: string): Promise<unknown> =>
  ann.gql('mutation ($title: String!) { createTodo(input: { title: $title }) { ... on Todo { id } } }', { title });

/** Waits until the output of a process contains a text. */
async function printed(child: ChildProcess, output: () => string, text: string): Promise<void> {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  while (!output().includes(text)) {
    await once(child.stdout ?? child, 'data', { signal: deadline });
  }
}

describe.each(EXAMPLES)('the example %s', follows);
describeWith('curl', 'the example curl.sh', () => follows('curl.sh'));

function follows(name: string): void {
  const file = `${ROOT}examples/${name}`;

  it('should be in docs/clients.md as it is', () => {
    expect(readFileSync(`${ROOT}docs/clients.md`, 'utf8')).toContain(readFileSync(file, 'utf8').trim());
  });

  it('should miss nothing of what happens while the server is away', async () => {
    const [command, ...args] = name.endsWith('.sh') ? ['sh', file] : [process.execPath, file];
    const child = spawn(command ?? 'sh', [...args, server.url, ann.authorization?.replace('Bearer ', '') ?? ''], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    try {
      // The first events may come before it has subscribed.
      let first = 0;
      const warmUp = setInterval(() => make(`${name} ${first++}`), 200);
      await printed(child, () => output, `${name} `);
      clearInterval(warmUp);
      await make(`${name} before`);
      await printed(child, () => output, `${name} before`);
      await server.stop('SIGKILL');
      execFileSync(process.execPath, [`${ROOT}test/live/write-todo.js`, database.path, `${name} meanwhile`]);
      server = await start();
      await make(`${name} after`);
      await printed(child, () => output, `${name} after`);
      expect(output.indexOf(`${name} meanwhile`)).toBeGreaterThan(output.indexOf(`${name} before`));
      expect(output.indexOf(`${name} after`)).toBeGreaterThan(output.indexOf(`${name} meanwhile`));
    } finally {
      process.kill(-(child.pid ?? 0), 'SIGKILL');
    }
  });
}
