import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { privateDatabase } from '../kit/app.ts';
import { Person } from '../kit/person.ts';
import { describeWith } from '../kit/present.ts';
import { runCommand, startProcess } from '../kit/process.ts';
import { type Block, commandsOf, isFile, ROOT, readPage, readPages } from './markdown.ts';

const { scripts } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')) as { scripts: Record<string, string> };
const PASSWORD = 'a good long password';
/** Each command is a process, which takes a second or two to start. */
const COMMANDS_TIMEOUT_MS = 180_000;

/** What has to be true of a command that a page names. */
const RULES: readonly (readonly [command: RegExp, holds: (match: string[]) => boolean])[] = [
  [/^npm (?:install|ci|--prefix \S+ install)$/, () => true],
  // Run by `test/command-line.test.ts`.
  [/^npm start -- --(?:help|print-config)$/, () => true],
  [/^npm (?:run )?(start|test)$/, ([, script = '']) => script in scripts],
  [/^npm run ([\w-]+)(?: -- .+)?$/, ([, script = '']) => script in scripts],
  [/^(?:\w+=\S+ )?npm test(?: -- (\S+))?$/, ([, path]) => path === undefined || isFile(path)],
  [
    /^(?:\w+=\S+ )?npx (\w+)(?: .*?(\S+\.ts))?$/,
    ([, name, path]) => isFile(`node_modules/.bin/${name}`) && (path === undefined || isFile(path)),
  ],
  [
    /^node (?:--max-semi-space-size=8 --heap-growing-percent=50 )dist\/main\.js$/,
    () => (scripts['start'] ?? '').endsWith('dist/main.js'),
  ],
  [/^(?:sh|node) ((?:examples|bench)\/\S+)/, ([, path = '']) => isFile(path)],
  [/^git (?:clone|switch|add|commit|diff|tag|push)\b/, () => true],
  [/^cd tidings$/, () => true],
  [/^npm version \d+\.\d+\.\d+$/, () => true],
  // Run below.
  [/^(?:sqlite3|cp) /, () => true],
];

const isShell = ({ language, text }: Block): boolean => language === 'sh' && !text.startsWith('#!');

/** Blocks with `curl` are run by `examples.test.ts`. */
const commands = readPages().flatMap(({ path, blocks }) =>
  blocks
    .filter((block) => isShell(block) && !/curl /.test(block.text))
    .flatMap(commandsOf)
    .flatMap((line) => line.split(' && '))
    .map((command) => ({ path, command })),
);

describe('the commands of the pages', () => {
  it.each(commands)('should exist: $command ($path)', ({ command }) => {
    const rule = RULES.find(([pattern]) => pattern.test(command));
    expect(rule, 'No rule of this test says what has to be true of the command.').toBeDefined();
    expect(rule?.[1]([...(rule[0].exec(command) ?? [])])).toBe(true);
  });

  it('should start the server as npm does', () => {
    expect(readPage('docs/operating.md').text).toContain(scripts['start']);
  });
});

describe('the commands for operators', () => {
  const database = privateDatabase();
  afterAll(database.remove);

  const lines = readPage('docs/operating.md').blocks.filter(isShell).flatMap(commandsOf);
  const toRun = lines.flatMap((line) => {
    const [, name = '', rest = ''] = /^npm run (createsuperuser|user|seed)(?: -- (\D.*))?$/.exec(line) ?? [];
    return name === '' ? [] : [{ line, args: [name, ...rest.split(' ').filter(Boolean)] }];
  });

  it(
    'should run one after the other',
    async () => {
      const env = { DATABASE_URL: `file:${database.path}`, TIDINGS_PASSWORD: PASSWORD };
      // Another staff account, without which the last one could not be deactivated.
      expect(await runCommand(['createsuperuser', 'another'], env)).toMatchObject({ code: 0 });
      expect(toRun.length).toBeGreaterThan(9);
      for (const { line, args } of toRun) {
        const { code, output } = await runCommand(args, env, `${PASSWORD}\n${PASSWORD}\n`);
        expect([line, code, code === 0 ? '' : output]).toEqual([line, 0, '']);
      }
    },
    COMMANDS_TIMEOUT_MS,
  );
});

/** Returns the cursor once the server has read on from another one: it may be before what was just written. */
function passed(person: Person, before: string): Promise<string> {
  return vi.waitFor(async () => {
    const { cursor } = await person.gql('{ cursor }');
    expect(cursor).not.toBe(before);
    return cursor;
  });
}

describeWith('sqlite3', 'the backup', () => {
  it('should be restored as docs/operating.md says', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tidings-backup-'));
    mkdirSync(join(folder, 'data'));
    const env = { DATABASE_URL: `file:${folder}/data/tidings.db` };
    const make = 'mutation ($title: String!) { createTodo(input: { title: $title }) { __typename } }';
    try {
      const first = await startProcess(env);
      const visitor = new Person(first.url, null, '');
      await visitor.gql(
        'mutation { signUp(input: { username: "ann", password: "a good long password" }) { __typename } }',
      );
      const ann = await visitor.signIn('ann', PASSWORD);
      const { cursor: start } = await ann.gql('{ cursor }');
      await ann.gql(make, { title: 'in the backup' });
      const cursor = await passed(ann, start);
      const block = readPage('docs/operating.md').blocks.find(({ text }) => text.includes('VACUUM'));
      execFileSync('sh', ['-e', '-c', block?.text ?? 'exit 1'], { cwd: folder });
      await ann.gql(make, { title: 'after it' });
      const later = await passed(ann, cursor);
      await first.stop('SIGKILL');

      for (const suffix of ['-wal', '-shm']) {
        rmSync(`${folder}/data/tidings.db${suffix}`, { force: true });
      }
      renameSync(`${folder}/backup.db`, `${folder}/data/tidings.db`);
      renameSync(`${folder}/backup.db.secret`, `${folder}/data/tidings.db.secret`);
      const second = await startProcess(env);
      const again = new Person(second.url, ann.authorization, 'ann');
      const { todos } = await again.gql('{ todos(first: 10) { nodes { title } } }');
      expect(todos.nodes).toEqual([{ title: 'in the backup' }]);
      const resume = async (after: string): Promise<string> => {
        const query = `subscription { todoChanged(after: "${after}") { action todo { title } } }`;
        const response = await again.fetch(`/graphql?query=${encodeURIComponent(query)}`, {
          headers: { accept: 'text/event-stream' },
        });
        let text = '';
        for await (const chunk of response.body ?? []) {
          text += Buffer.from(chunk).toString();
          if (text.includes('data: {')) {
            break;
          }
        }
        return text;
      };
      await again.gql(make, { title: 'after the restoration' });
      expect(await resume(cursor)).toContain('after the restoration');
      expect(await resume(later)).toContain('RESYNC_REQUIRED');
      await second.stop();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
