import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, describe, expect, it } from 'vitest';
import { migratePostgres } from '../../src/database/migrate-postgres.ts';
import { migrateSqlite } from '../../src/database/migrate-sqlite.ts';
import { privateDatabase, type Row, startApp } from '../kit/app.ts';
import { runHere } from '../kit/command.ts';
import { Person } from '../kit/person.ts';
import { createDatabase, POSTGRES_SERVER, runSql } from '../kit/postgres.ts';
import { describeWith } from '../kit/present.ts';
import { runCommand, startProcess } from '../kit/process.ts';
import { passed, resume } from '../kit/resume.ts';
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
  [/^bin\/tidings$/, () => (scripts['start'] ?? '').endsWith(' bin/tidings')],
  [/^(?:sh|node) ((?:examples|bench)\/\S+)/, ([, path = '']) => isFile(path)],
  [/^git (?:clone|switch|add|commit|diff|tag|push)\b/, () => true],
  [/^cd tidings$/, () => true],
  [/^npm version \d+\.\d+\.\d+$/, () => true],
  // Docker and Kubernetes are not there: what the commands read is checked by deploy.test.ts.
  [/^docker build -t tidings (?:--build-arg \w+=\S+ \S+ \S+ )?\.$/, () => isFile('Dockerfile')],
  [/^docker compose up$/, () => isFile('compose.yaml')],
  [/^docker compose (?:--profile \w+ up|exec) (\w+)/, ([, service]) => hasService(service)],
  [/^kubectl (?:create secret generic tidings |apply -f deploy\/kubernetes\/$)/, () => isFile('deploy/kubernetes')],
  [/^(?:export \w+=|systemctl enable --now tidings$|nginx -s reload$)/, () => true],
  [/^cp (deploy\/\S+) /, ([, path = '']) => isFile(path)],
  // Run below.
  [/^(?:pg_dump|pg_restore|createdb) /, () => true],
];

function hasService(name = ''): boolean {
  return new RegExp(`^  ${name}:$`, 'm').test(readFileSync(`${ROOT}compose.yaml`, 'utf8'));
}

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
});

describe('the commands for operators', () => {
  const database = privateDatabase();
  afterAll(database.remove);

  const lines = readPage('docs/operating.md').blocks.filter(isShell).flatMap(commandsOf);
  const toRun = lines.flatMap((line) => {
    const [, name = '', rest = ''] =
      /^npm run (createsuperuser|user|seed|migrate|rotate-key|schema|configuration)(?: -- (\D.*))?$/.exec(line) ?? [];
    return name === '' ? [] : [{ line, args: [name, ...rest.split(' ').filter(Boolean)] }];
  });

  it(
    'should run one after the other',
    async () => {
      const env = { DATABASE_URL: `file:${database.path}`, TIDINGS_PASSWORD: PASSWORD };
      // Another staff account, without which the last one could not be deactivated.
      expect(await runCommand(['createsuperuser', 'another'], env)).toMatchObject({ code: 0 });
      expect(toRun.length).toBeGreaterThan(14);
      for (const { line, args } of toRun) {
        // Those that ask a question need a process with a standard input.
        const { code, output } = await (args.includes('set-password')
          ? runCommand(args, env, `${PASSWORD}\n${PASSWORD}\n`)
          : runHere(args, env));
        expect([line, code, code === 0 ? '' : output]).toEqual([line, 0, '']);
      }
    },
    COMMANDS_TIMEOUT_MS,
  );
});

const MAKE = 'mutation ($title: String!) { createTodo(input: { title: $title }) { __typename } }';
const page = readPage('docs/operating.md');
const titles = async (person: Person) =>
  (await person.gql('{ todos(first: 10) { nodes { title } } }')).todos.nodes.map(({ title }: Row) => title);

describe('the backup of a SQLite database', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-backup-'));
  const env = { DATABASE_URL: `file:${folder}/data/tidings.db` };
  afterAll(() => rmSync(folder, { recursive: true }));
  /** Runs a command of the page in the folder. */
  const run = async (name: string): Promise<void> => {
    const line = page.blocks.map(({ text }) => text.trim()).find((text) => text.startsWith(`npm run ${name} -- `));
    const file = line?.split(' -- ')[1] ?? '';
    const { code, output } = await runHere([name, join(folder, file)], env);
    expect([code, output]).toEqual([0, expect.stringContaining(join(folder, file))]);
  };

  it('should be made and restored as docs/operating.md says', async () => {
    const first = await startProcess(env);
    const visitor = new Person(first.url, null, '');
    await visitor.gql(
      'mutation { signUp(input: { username: "ann", password: "a good long password" }) { __typename } }',
    );
    const ann = await visitor.signIn('ann', PASSWORD);
    const { cursor: start } = await ann.gql('{ cursor }');
    await ann.gql(MAKE, { title: 'in the backup' });
    const cursor = await passed(ann, start);
    await run('backup');
    await ann.gql(MAKE, { title: 'after it' });
    const later = await passed(ann, cursor);
    await first.stop('SIGKILL');
    rmSync(`${folder}/data/tidings.db.secret`);
    await run('restore');
    // Its last commits were in the write-ahead log only.
    const [kept = ''] = readdirSync(`${folder}/data`).filter((name) => /before-restore-\w+$/.test(name));
    const replaced = new Sqlite(`${folder}/data/${kept}`);
    expect(replaced.prepare('SELECT "title" FROM "Todo" ORDER BY "id"').pluck().all()).toEqual([
      'in the backup',
      'after it',
    ]);
    replaced.close();

    const second = await startApp(env);
    // The access token is accepted: the signing key was restored.
    const again = new Person(second.url, ann.authorization, 'ann');
    expect(await titles(again)).toEqual(['in the backup']);
    await again.gql(MAKE, { title: 'after the restoration' });
    for (const old of [cursor, later]) {
      expect(await resume(again, old)).toContain('RESYNC_REQUIRED');
    }
    await second.close();
  });
});

describeWith('postgres', 'the SQL of docs/operating.md', () => {
  const statements = page.blocks.filter(({ language }) => language === 'sql').map(({ text }) => text);
  const [renew = '', limit = ''] = statements;

  it('should renew the epoch of a database of either kind', async () => {
    const epoch = 'SELECT "epoch" FROM "ChangeEpoch"';
    const file = privateDatabase();
    const sqlite = new Sqlite(file.path);
    const postgres = await createDatabase();
    try {
      migrateSqlite(file.path);
      const before = sqlite.prepare(epoch).get();
      sqlite.exec(renew);
      expect(sqlite.prepare(epoch).get()).not.toEqual(before);
      await migratePostgres(postgres.url);
      const rows = await runSql(postgres.url, epoch);
      await runSql(postgres.url, renew);
      expect(await runSql(postgres.url, epoch)).not.toEqual(rows);
    } finally {
      sqlite.close();
      file.remove();
      await postgres.remove();
    }
  });

  it('should give the role of a pooler a time-out', async () => {
    const role = `tidings_${randomBytes(6).toString('hex')}`;
    await runSql(POSTGRES_SERVER, `CREATE ROLE ${role}`);
    try {
      await runSql(POSTGRES_SERVER, limit.replace(' tidings ', ` ${role} `));
      const [row] = await runSql(POSTGRES_SERVER, 'SELECT rolconfig FROM pg_roles WHERE rolname = $1', [role]);
      expect(row?.['rolconfig']).toEqual(['statement_timeout=15s']);
    } finally {
      await runSql(POSTGRES_SERVER, `DROP ROLE ${role}`);
    }
  });
});

describeWith('postgres', 'the backup of a PostgreSQL database', () => {
  describeWith('pgDump', 'by its own tools', () => {
    it('should be made and restored as docs/operating.md says', async () => {
      const original = await createDatabase();
      const name = `${new URL(original.url).pathname.slice(1)}_restored`;
      const restored = new URL(original.url);
      restored.pathname = `/${name}`;
      const folder = mkdtempSync(join(tmpdir(), 'tidings-dump-'));
      const env = { SECRET_KEY: randomBytes(32).toString('hex') };
      const script = page.blocks.filter(({ text }) => /^(pg_dump|createdb)/.test(text)).map(({ text }) => text);
      expect(script).toHaveLength(2);
      try {
        const first = await startApp({ ...env, DATABASE_URL: original.url });
        const { cursor: start } = await first.anonymous.gql('{ cursor }');
        await first.anonymous.gql(MAKE, { title: 'in the backup' });
        const cursor = await passed(first.anonymous, start);
        const { PATH = '' } = process.env;
        execFileSync('sh', ['-e', '-c', script.join('').replaceAll('tidings_restored', name)], {
          cwd: folder,
          env: { PATH, DATABASE_URL: original.url },
        });
        await first.anonymous.gql(MAKE, { title: 'after it' });
        await first.close();
        const [same, second] = await Promise.all([
          startApp({ ...env, DATABASE_URL: original.url }),
          startApp({ ...env, DATABASE_URL: restored.href }),
        ]);
        expect(await titles(second.anonymous)).toEqual(['in the backup']);
        expect(await resume(second.anonymous, cursor)).toContain('RESYNC_REQUIRED');
        expect(await resume(same.anonymous, cursor)).toContain('after it');
        const { cursor: present } = await second.anonymous.gql('{ cursor }');
        await second.close();
        const third = await startApp({ ...env, DATABASE_URL: restored.href });
        await third.anonymous.gql(MAKE, { title: 'after the restart' });
        expect(await resume(third.anonymous, present)).toContain('after the restart');
        await Promise.all([same.close(), third.close()]);
      } finally {
        rmSync(folder, { recursive: true });
        await original.remove();
        await runSql(POSTGRES_SERVER, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
      }
    });
  });
});
