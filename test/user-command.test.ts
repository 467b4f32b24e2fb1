import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand as runHere } from '../src/commands/run.ts';
import { parseConfig } from '../src/config/config.ts';
import { startApp, type TestApp } from './kit/app.ts';
import type { Person } from './kit/person.ts';
import { type Finished, runCommand } from './kit/process.ts';
import { SocketClient } from './kit/socket.ts';

const PASSWORD = 'a good long password';
const NEXT = 'another long one';
const OBTAIN = `mutation ($username: String!, $password: String!) {
  obtainToken(input: { username: $username, password: $password }) { __typename }
}`;
const KEY = `mutation ($username: String!) {
  createAuthToken(input: { username: $username, password: "${PASSWORD}" }) { ... on AuthTokenKey { authToken } }
}`;
const ENTRIES = `query ($subjectId: ID!) {
  auditEntries(filter: { subjectId: $subjectId }) { nodes { action source actorId actorName details } }
}`;

let app: TestApp;
let root: Person;
let count = 0;

beforeAll(async () => {
  app = await startApp();
  root = await app.signUpStaff('root');
});
afterAll(() => app.close());

/** Runs the command in a process of its own beside the server. */
const user = (args: readonly string[], input?: string): Promise<Finished> =>
  runCommand(['user', ...args], { ...app.databaseEnv }, input);

/** Runs the command in this process, which takes a fraction of the time; a failure is the sentence that the operator would see. */
async function userHere(
  args: readonly string[],
  { input = '', isTTY = false, answers = [] as readonly string[], at = app } = {},
) {
  const stdin = Object.assign(new PassThrough(), { isTTY });
  if (!isTTY) {
    stdin.end(input);
  }
  let output = '';
  const left = [...answers];
  const write = (chunk: unknown): void => {
    output += chunk;
    if (isTTY && String(chunk).endsWith('(not shown): ')) {
      stdin.write(`${left.shift()}\r`);
    }
  };
  const [stdout, stderr] = [new PassThrough().on('data', write), new PassThrough().on('data', write)];
  const result = await runHere('user', args, {
    config: parseConfig({ ...at.databaseEnv }),
    terminal: { stdin, stdout, stderr },
    interruption: () => new AbortController().signal,
  }).catch(({ message }: Error) => message);
  return { result, output, left };
}

function newcomer(): Promise<Person> {
  count += 1;
  return app.signUp(`user${count}`);
}

async function keyOf({ username }: Person): Promise<Person> {
  const { createAuthToken } = await app.anonymous.gql(KEY, { username });
  return app.anonymous.with(`Token ${createAuthToken.authToken}`);
}

const signIn = async ({ username }: Person, password: string): Promise<string> =>
  (await app.anonymous.gql(OBTAIN, { username, password })).obtainToken.__typename;

async function expectEnded(people: readonly Person[]): Promise<void> {
  for (const person of people) {
    // Another process wrote it: the server knows within a second.
    await expect
      .poll(async () => (await person.ask('{ cursor }')).errors?.[0]?.extensions?.['code'], { timeout: 4000 })
      .toBe('UNAUTHENTICATED');
  }
}

const statusOf = async ({ username }: Person) =>
  (await root.gql('query ($username: String!) { user(username: $username) { id isActive isStaff } }', { username }))
    .user;

async function actsOn(person: Person) {
  const { id } = await statusOf(person);
  return (await root.gql(ENTRIES, { subjectId: id })).auditEntries.nodes;
}

describe('user list', () => {
  beforeAll(async () => {
    const insert = `INSERT INTO "User" ("username", "usernameKey", "passwordHash", "email", "isActive", "isStaff") VALUES (?, ?, '!', ?, ?, ?)`;
    for (let index = 0; index < 60; index += 1) {
      const name = `Row${String(index).padStart(2, '0')}`;
      await app.sql(insert, name, name.toLowerCase(), `${name}@list.example`, index % 2 === 0, index % 30 === 0);
    }
    await app.sql(insert, 'strange', 'strange', 'a\u001b[31m\u202e\nb@list.example', true, false);
  });

  const namesIn = ({ output }: { readonly output: string }): string[] => output.match(/\bRow\d\d(?= {2})/g) ?? [];

  it('should show users by name, 50 at a time, and how to read on', async () => {
    const first = await user(['list', 'ROW']);
    expect(first.code).toBe(0);
    expect(namesIn(first)).toHaveLength(50);
    expect(first.output).toMatch(/^ID +USERNAME +STATUS +CREATED +EMAIL$/m);
    expect(first.output).toMatch(
      /^\d+ +Row00 +active, staff +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ {2}Row00@list\.example$/m,
    );
    expect(first.output).toContain('There are more: add --after Row49');
    const rest = await userHere(['list', 'row', '--after', 'Row49']);
    expect(namesIn(rest)).toEqual(Array.from({ length: 10 }, (_, index) => `Row${50 + index}`));
    expect(rest.output).not.toContain('There are more');
  });

  it('should be narrowed by status and limit', async () => {
    expect(namesIn(await userHere(['list', 'row', '--staff']))).toEqual(['Row00', 'Row30']);
    const deactivated = await userHere(['list', 'row', '--deactivated', '--limit', '2']);
    expect(namesIn(deactivated)).toEqual(['Row01', 'Row03']);
    for (const limit of ['0', '1001', 'x', '1.5']) {
      const { result } = await userHere(['list', '--limit', limit]);
      expect(result).toBe('The limit must be a whole number between 1 and 1000.');
    }
  });

  it('should not let a value steer the terminal', async () => {
    const { output } = await userHere(['list', 'strange']);
    expect(output).toContain('a�[31m��b@list.example');
  });
});

describe('user show', () => {
  it('should show the user, the open sessions and keys, and the audit log of the account', async () => {
    const ann = await newcomer();
    await keyOf(ann);
    await userHere(['promote', ann.username]);
    const { result, output } = await userHere(['show', ann.username.toUpperCase()]);
    expect(result).toBe(0);
    expect(output).toMatch(new RegExp(`^username: +${ann.username}$`, 'm'));
    expect(output).toMatch(/^status: +active, staff$/m);
    expect(output).toMatch(/^sessions: +1$/m);
    expect(output).toMatch(/^keys: +1$/m);
    expect(output).toMatch(/^\d{4}-\S+Z {2}PROMOTED by .+ \(COMMAND\)$/m);
    expect(output).not.toMatch(/argon2/);
  });
});

describe('user set-password', () => {
  it('should set the password that standard input has, and end every session, key and socket', async () => {
    const ann = await newcomer();
    const program = await keyOf(ann);
    const socket = await SocketClient.open(app.url, program.authorization);
    const { code, output } = await user(['set-password', ann.username], `${NEXT}\n`);
    expect([code, output]).toEqual([0, expect.stringContaining(`The password of ${ann.username} is set`)]);
    expect(output).not.toContain(NEXT);
    expect((await socket.closed).code).toBe(4403);
    await expectEnded([ann, program]);
    expect([await signIn(ann, PASSWORD), await signIn(ann, NEXT)]).toEqual(['CredentialsError', 'TokenPair']);
    expect(await actsOn(ann)).toEqual([
      {
        action: 'PASSWORD_SET',
        source: 'COMMAND',
        actorId: null,
        actorName: expect.stringMatching(/./),
        details: 'sessions ended: 1, keys ended: 1',
      },
    ]);
  });

  it.each([
    ['short\n', 'newPassword: This password is too short. It must contain at least 8 characters.'],
    ['', 'The input ended before all questions were answered; nothing was changed.'],
  ])('should refuse %j and change nothing', async (input, sentence) => {
    const ann = await newcomer();
    const { code, output } = await user(['set-password', ann.username], input);
    expect(code).toBe(1);
    expect(output).toContain(`\n${sentence}\n`);
    expect([await signIn(ann, PASSWORD), await actsOn(ann)]).toEqual(['TokenPair', []]);
  });

  it('should print a link with which the user sets a password, once', async () => {
    const person = await newcomer();
    const { output } = await userHere(['reset-link', person.username]);
    const [, token = ''] = /^http:\/\/\S+\/reset-password#token=(\S+)$/m.exec(output) ?? [];
    const reset = async () =>
      (
        await app.anonymous.gql(
          'mutation ($token: String!, $to: String!) { resetPassword(input: { token: $token, newPassword: $to }) { __typename } }',
          { token, to: NEXT },
        )
      ).resetPassword.__typename;
    expect([await reset(), await reset()]).toEqual(['User', 'CredentialsError']);
    expect(await signIn(person, NEXT)).toBe('TokenPair');
    const { id } = (
      await root.gql('query ($name: String!) { user(username: $name) { id } }', { name: person.username })
    ).user;
    const { auditEntries } = await root.gql(ENTRIES, { subjectId: id });
    expect(auditEntries.nodes.map(({ action }: { action: string }) => action)).toEqual([
      'PASSWORD_RESET',
      'RESET_LINK_MADE',
    ]);
    await userHere(['deactivate', person.username]);
    expect((await userHere(['reset-link', person.username])).result).toMatch(/is deactivated: activate it first/);
  });

  it('should take no password as an argument, and not show it', async () => {
    const ann = await newcomer();
    const { result, output } = await userHere(['set-password', ann.username, NEXT]);
    expect(result).toBe(2);
    expect(output).not.toContain(NEXT);
    expect(await signIn(ann, PASSWORD)).toBe('TokenPair');
  });

  it.each([
    ['the same password twice', [NEXT, NEXT], 0],
    ['two that differ', [NEXT, PASSWORD], 'The two passwords differ; nothing was changed.'],
  ])('should ask twice on a terminal, without showing it: %s', async (_name, answers, expected) => {
    const ann = await newcomer();
    const { result, output, left } = await userHere(['set-password', ann.username], { isTTY: true, answers });
    expect([result, left]).toEqual([expected, []]);
    expect(output).toContain(`New password of ${ann.username} (not shown): `);
    expect(output).not.toContain(NEXT);
    expect(output).not.toContain(PASSWORD);
  });
});

describe('the status of users', () => {
  it('should be changed beside the running server, at once and with an entry', async () => {
    const ann = await newcomer();
    const program = await keyOf(ann);
    const say = async (...args: string[]): Promise<string> => {
      const { result, output } = await userHere(args);
      expect(result).toBe(0);
      return output;
    };
    expect(await user(['promote', ann.username])).toEqual({ code: 0, output: `${ann.username} is staff now.\n` });
    expect(await say('promote', ann.username)).toBe(`${ann.username} is staff already.\n`);
    await expect
      .poll(async () => (await ann.ask('{ users { totalCount } }')).errors, { timeout: 4000 })
      .toBeUndefined();
    expect(await say('demote', ann.username)).toBe(`${ann.username} is not staff now.\n`);
    const socket = await SocketClient.open(app.url, program.authorization);
    expect(await say('deactivate', ann.username)).toBe(`${ann.username} is deactivated now.\n`);
    expect((await socket.closed).code).toBe(4403);
    await expectEnded([ann, program]);
    expect(await signIn(ann, PASSWORD)).toBe('CredentialsError');
    expect(await say('activate', ann.username.toUpperCase())).toBe(`${ann.username} is active now.\n`);
    expect(await signIn(ann, PASSWORD)).toBe('TokenPair');
    expect((await actsOn(ann)).map(({ action, source }: Record<string, string>) => `${action} ${source}`)).toEqual([
      'ACTIVATED COMMAND',
      'DEACTIVATED COMMAND',
      'DEMOTED COMMAND',
      'PROMOTED COMMAND',
    ]);
  });

  it('should leave the last active staff member, however many commands ask, unless it is forced', async () => {
    const own = await startApp();
    const [one, two] = [await own.signUpStaff('one'), await own.signUpStaff('two')];
    const sleeping = await own.signUpStaff('sleeping');
    await own.sql('UPDATE "User" SET "isActive" = ? WHERE "username" = ?', false, sleeping.username);
    const run = (...args: string[]) => userHere(args, { at: own });
    const finished = await Promise.all([run('demote', one.username), run('deactivate', two.username)]);
    const refused = finished.map(({ result }) => result).filter((result) => result !== 0);
    expect(refused).toEqual([
      expect.stringMatching(/^(one|two) is the last active staff member\. Add --force to do it anyway\.$/),
    ]);
    const last = String(refused[0]).slice(0, 3);
    expect(await run('demote', sleeping.username)).toMatchObject({ result: 0 });
    expect(await run('demote', last, '--force')).toMatchObject({ result: 0, output: `${last} is not staff now.\n` });
    await own.close();
  });
});

describe('the command user', () => {
  it.each([
    [[], 'There is no command "".'],
    [['dance'], 'There is no command "dance".'],
    [['toString'], 'There is no command "toString".'],
    [['show'], 'The arguments of show are invalid.'],
    [['show', 'a', 'b'], 'The arguments of show are invalid.'],
    [['promote', 'ann', '--force'], 'The arguments of promote are invalid.'],
    [['list', '--limit'], 'The arguments of list are invalid.'],
  ])('should explain itself when it is called in another way: %j', async (args, sentence) => {
    const { result, output } = await userHere(args);
    expect(result).toBe(2);
    expect(output.split('\n')[0]).toBe(sentence);
    expect(output).toContain('Usage: npm run user -- <command>');
  });

  it('should explain itself when it is asked to', async () => {
    const { result, output } = await userHere(['help']);
    expect(result).toBe(0);
    expect(output).toMatch(/^Usage: npm run user -- <command>$/m);
    expect(output).toMatch(/^ {2}set-password <name> /m);
  });

  it.each(['show', 'set-password', 'promote', 'demote', 'deactivate', 'activate'])(
    'should say that nobody has the name: %s',
    async (command) => {
      const { result } = await userHere([command, 'no"body']);
      expect(result).toBe('There is no user "no\\"body". `npm run user -- list` lists the users.');
    },
  );

  it('should end with a code that a script can read', async () => {
    expect(await user(['dance'])).toMatchObject({ code: 2 });
    expect(await user(['show', 'nobody'])).toEqual({
      code: 1,
      output: 'There is no user "nobody". `npm run user -- list` lists the users.\n',
    });
  });

  it('should have the making of staff recorded as well', async () => {
    const env = { ...app.databaseEnv, TIDINGS_PASSWORD: PASSWORD };
    expect(await runCommand(['createsuperuser', 'made'], env)).toMatchObject({ code: 0 });
    expect(await actsOn(await app.anonymous.signIn('made', PASSWORD))).toMatchObject([
      { action: 'STAFF_CREATED', source: 'COMMAND' },
    ]);
  });
});
