import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import jwt from 'jsonwebtoken';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../src/config/config.ts';
import { estimateBits } from '../src/config/secret-strength.ts';
import { loadSecretFile } from '../src/identity/secret-file.ts';
import { startApp } from './kit/app.ts';

const SECRET = randomBytes(32).toString('hex');

describe('the signing secret of the environment', () => {
  it('should be taken when it is random, in whatever digits', () => {
    expect(parseConfig({ SECRET_KEY: SECRET }).auth.secret).toBe(SECRET);
    const digits = [...'0123456789'];
    for (let time = 0; time < 2000; time += 1) {
      const bytes = randomBytes(32);
      const decimal = Array.from({ length: 40 }, () => digits[randomInt(10)]).join('');
      for (const secret of [bytes.toString('hex').slice(32), bytes.toString('base64').slice(0, 32), decimal]) {
        expect(estimateBits(secret), secret).toBeGreaterThanOrEqual(100);
      }
    }
  });
});

describe('the signing secret beside the database', () => {
  let folder: string;
  let databasePath: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tidings-secret-'));
    databasePath = join(folder, 'tidings.db');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('should be made once, for the owner only', () => {
    const { signing: secret } = loadSecretFile(databasePath);
    expect(secret).toMatch(/^[0-9a-f]{64}$/);
    expect(readdirSync(folder)).toEqual(['tidings.db.secret']);
    expect(statSync(`${databasePath}.secret`).mode & 0o777).toBe(0o600);
    expect(loadSecretFile(databasePath)).toEqual({ signing: secret, earlier: [] });
    expect(loadSecretFile(join(folder, 'other.db')).signing).not.toBe(secret);
  });

  it('should be refused when somebody made it too short, and not be replaced', () => {
    writeFileSync(`${databasePath}.secret`, 'short\n');
    expect(() => loadSecretFile(databasePath)).toThrow(/fewer than 32 characters/);
    expect(readFileSync(`${databasePath}.secret`, 'utf8')).toBe('short\n');
    expect(readdirSync(folder)).toHaveLength(1);
  });

  it('should be one for all processes that start at the same moment', async () => {
    const module = new URL('../dist/identity/secret-file.js', import.meta.url).href;
    const program = join(folder, 'creator.mjs');
    writeFileSync(
      program,
      `import { loadSecretFile } from ${JSON.stringify(module)};
      process.once('message', (path) => process.send(loadSecretFile(path).signing, () => process.disconnect()));
      process.send('ready');`,
    );
    const answer = async (child: ChildProcess): Promise<unknown> => (await once(child, 'message'))[0];
    const creators = Array.from({ length: 6 }, () => fork(program, { execArgv: [] }));
    await Promise.all(creators.map(answer));
    const secrets = creators.map(answer);
    for (const creator of creators) {
      creator.send(databasePath);
    }
    expect(new Set(await Promise.all(secrets))).toEqual(new Set([loadSecretFile(databasePath).signing]));
    expect(readdirSync(folder).toSorted()).toEqual(['creator.mjs', 'tidings.db.secret']);
  });

  it('should outlive the server, so that tokens do', async () => {
    const login = '(input: { username: "ann", password: "a good long password" })';
    const first = await startApp({ DATABASE_URL: `file:${databasePath}` });
    await first.signUp('ann');
    const { obtainToken } = await first.anonymous.gql(
      `mutation { obtainToken${login} { ... on TokenPair { token } } }`,
    );
    await first.app.close();
    expect(() =>
      jwt.verify(obtainToken.token, loadSecretFile(databasePath).signing, { algorithms: ['HS256'] }),
    ).not.toThrow();

    const second = await startApp({ DATABASE_URL: `file:${databasePath}` });
    try {
      const ann = second.anonymous.with(`Bearer ${obtainToken.token}`);
      expect(await ann.gql('{ viewer { username } }')).toEqual({ viewer: { username: 'ann' } });
    } finally {
      await second.close();
      await first.close();
    }
  });

  it('should give way to the one of the environment', async () => {
    const app = await startApp({ DATABASE_URL: `file:${databasePath}`, SECRET_KEY: SECRET });
    try {
      const ann = await app.signUp('ann');
      const token = ann.authorization?.split(' ')[1] ?? '';
      expect(() => jwt.verify(token, SECRET, { algorithms: ['HS256'] })).not.toThrow();
      expect(readdirSync(folder)).not.toContain('tidings.db.secret');
    } finally {
      await app.close();
    }
  });
});
