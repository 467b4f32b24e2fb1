import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { removeExpiredAuditEntries } from '../src/audit/service.ts';
import { resetLink } from '../src/users/recovery.ts';
import { startApp, type TestApp } from './kit/app.ts';
import { numberOf } from './kit/ids.ts';
import type { Person } from './kit/person.ts';

const PASSWORD = 'a good long password';
const NEXT = 'another long one';
const ENTRIES = `query ($filter: AuditEntryFilter, $orderBy: AuditEntryOrder) {
  auditEntries(filter: $filter, orderBy: $orderBy) {
    totalCount
    nodes { id at action source actorId actorName actor { username } subjectId subjectName subject { username } details }
  }
}`;
const SET_STATUS = 'mutation ($input: SetUserStatusInput!) { setUserStatus(input: $input) { __typename } }';
const RESET = 'mutation ($input: ResetPasswordInput!) { resetPassword(input: $input) { __typename } }';
const OBTAIN = `mutation ($username: String!) {
  obtainToken(input: { username: $username, password: "${PASSWORD}" }) { ... on TokenPair { token refreshToken } }
}`;
const REFRESH =
  'mutation ($token: String!) { refreshToken(refreshToken: $token) { __typename ... on TokenPair { refreshToken } } }';

interface Entry {
  readonly id: string;
  readonly at: string;
  readonly action: string;
  readonly details: string | null;
}

let app: TestApp;
let root: Person;
let count = 0;

beforeAll(async () => {
  app = await startApp();
  root = await app.signUpStaff('root');
});
afterAll(() => app.close());

async function newcomer(): Promise<Person> {
  count += 1;
  return app.signUp(`user${count}`);
}

const idOf = async ({ username }: Person): Promise<string> =>
  (await root.gql('query ($username: String!) { user(username: $username) { id } }', { username })).user.id;

async function entries(filter: object = {}, orderBy?: object): Promise<Entry[]> {
  const { auditEntries } = await root.gql(ENTRIES, { filter, orderBy });
  expect(auditEntries.totalCount).toBe(auditEntries.nodes.length);
  return auditEntries.nodes;
}

const post = (person: Person, path: string, body: object): Promise<Response> =>
  person.fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

const KEY = `createAuthToken(input: { username: $username, password: "${PASSWORD}" }) { __typename }`;
/** What users do to their own accounts, and what is recorded of it. */
const OWN_ACTS: readonly [name: string, act: (person: Person) => Promise<unknown>, entry: object][] = [
  [
    'a new password',
    (person) =>
      person.gql(
        `mutation { changePassword(input: { currentPassword: "${PASSWORD}", newPassword: "${NEXT}" }) { __typename } }`,
      ),
    { action: 'PASSWORD_CHANGED', source: 'GRAPHQL', details: 'sessions ended: 1, keys ended: 1' },
  ],
  [
    'a new password by REST',
    (person) => post(person, '/auth/password/', { current_password: PASSWORD, new_password: NEXT }),
    { action: 'PASSWORD_CHANGED', source: 'REST', details: 'sessions ended: 1, keys ended: 1' },
  ],
  [
    'a closed account',
    (person) => person.gql(`mutation { deactivateViewer(currentPassword: "${PASSWORD}") { __typename } }`),
    { action: 'DEACTIVATED', source: 'GRAPHQL', details: 'sessions ended: 1, keys ended: 1' },
  ],
  [
    'a closed account by REST',
    (person) => post(person, '/auth/users/delete/', { current_password: PASSWORD }),
    { action: 'DEACTIVATED', source: 'REST', details: 'sessions ended: 1, keys ended: 1' },
  ],
];

describe('an audit entry', () => {
  it.each(OWN_ACTS)('should say what a user did to their own account: %s', async (_name, act, entry) => {
    const person = await newcomer();
    const { username } = person;
    await app.anonymous.gql(`mutation ($username: String!) { ${KEY} }`, { username });
    const id = await idOf(person);
    const before = Date.now();
    await act(person);
    const [found, ...more] = await entries({ subjectId: id });
    expect(more).toEqual([]);
    expect(found).toEqual({
      ...entry,
      id: expect.any(String),
      at: expect.any(String),
      actorId: id,
      actorName: username,
      actor: { username },
      subjectId: id,
      subjectName: username,
      subject: { username },
    });
    const at = Date.parse(found?.at ?? '');
    expect([at >= before, at <= Date.now()]).toEqual([true, true]);
  });

  it('should say that a user set a password by a link', async () => {
    const person = await newcomer();
    const id = await idOf(person);
    const { services } = app.app;
    const user = await services.database.user.findUniqueOrThrow({ where: { id: numberOf(id) } });
    const [, token] = resetLink(services, user).url.split('#token=');
    await app.anonymous.gql(RESET, { input: { token, newPassword: NEXT } });
    expect(await entries({ subjectId: id })).toMatchObject([
      { action: 'PASSWORD_RESET', source: 'GRAPHQL', actorId: id, details: 'sessions ended: 1, keys ended: 0' },
    ]);
  });

  it('should say what staff did to whom', async () => {
    const person = await newcomer();
    const userId = await idOf(person);
    await root.gql(SET_STATUS, { input: { userId, isStaff: true, isActive: false } });
    await root.gql(SET_STATUS, { input: { userId, isActive: true } });
    await root.gql(SET_STATUS, { input: { userId, isActive: true, isStaff: true } });
    await root.gql(SET_STATUS, { input: { userId, isStaff: false } });
    const shared = { actorName: 'root', subjectName: person.username, source: 'GRAPHQL', actorId: await idOf(root) };
    expect(await entries({ subjectId: userId })).toMatchObject([
      { ...shared, action: 'DEMOTED', details: null },
      { ...shared, action: 'ACTIVATED', details: null },
      { ...shared, action: 'DEACTIVATED', details: 'sessions ended: 1, keys ended: 0' },
      { ...shared, action: 'PROMOTED', details: null },
    ]);
  });

  it('should have the name that was given up, and the new one', async () => {
    const person = await newcomer();
    const id = await idOf(person);
    const rename = (to: string) => post(person, '/auth/username/', { current_password: PASSWORD, new_username: to });
    expect((await rename('root')).status).toBe(400);
    expect((await rename('renamed')).status).toBe(204);
    expect(await entries({ subjectId: id })).toMatchObject([
      {
        action: 'USERNAME_CHANGED',
        subjectName: person.username,
        subject: { username: 'renamed' },
        details: 'new name: renamed',
      },
    ]);
  });

  it('should be made once of a refresh token that is presented again, and of no sign-in or refresh', async () => {
    const { username } = await newcomer();
    const { obtainToken } = await app.anonymous.gql(OBTAIN, { username });
    const { refreshToken } = await app.anonymous.gql(REFRESH, { token: obtainToken.refreshToken });
    expect(refreshToken.__typename).toBe('TokenPair');
    const person = app.anonymous.with(`Bearer ${obtainToken.token}`);
    const { viewer } = await person.gql('{ viewer { id } }');
    expect(await entries({ subjectId: viewer.id })).toEqual([]);
    await app.sql(`UPDATE "RefreshToken" SET "usedAt" = '2020-01-01T00:00:00.000+00:00' WHERE "usedAt" IS NOT NULL`);
    for (let time = 0; time < 3; time += 1) {
      await app.anonymous.gql(REFRESH, { token: obtainToken.refreshToken });
    }
    expect(await entries({ subjectId: viewer.id })).toMatchObject([
      { action: 'REFRESH_TOKEN_REUSED', actorId: null, actorName: '', actor: null, subjectName: username },
    ]);
  });

  it('should be made of nothing that was refused', async () => {
    const person = await newcomer();
    const id = await idOf(person);
    await person.gql('mutation { changePassword(input: { currentPassword: "x", newPassword: "y" }) { __typename } }');
    await person.gql('mutation { deactivateViewer(currentPassword: "x") { __typename } }');
    await person.ask(SET_STATUS, { input: { userId: id, isStaff: true } });
    await root.gql(SET_STATUS, { input: { userId: id, isActive: true } });
    expect(await entries({ subjectId: id })).toEqual([]);
  });

  it('should be made with the act or not at all', async () => {
    const broken = await startApp();
    const [staff, person] = [await broken.signUpStaff('staff'), await broken.signUp('ann')];
    await broken.sql('ALTER TABLE "AuditEntry" RENAME TO "Away"');
    const input = { userId: 2, isActive: false };
    expect(await staff.codeOf(SET_STATUS, { input })).toBe('INTERNAL');
    expect((await person.gql('{ viewer { username isActive } }')).viewer).toEqual({ username: 'ann', isActive: true });
    await broken.close();
  });

  it('should outlive the users that it names', async () => {
    const [staff, person] = [await app.signUpStaff('leaving'), await newcomer()];
    const [actorId, subjectId] = [await idOf(staff), await idOf(person)];
    await staff.gql(SET_STATUS, { input: { userId: subjectId, isStaff: true } });
    await app.sql('DELETE FROM "User" WHERE "id" = ? OR "id" = ?', numberOf(actorId), numberOf(subjectId));
    const gone = { actorId, actorName: 'leaving', actor: null, subjectId, subjectName: person.username, subject: null };
    expect(await entries({ subjectId })).toMatchObject([gone]);
    expect(await entries({ actorId })).toMatchObject([gone]);
  });
});

describe('auditEntries', () => {
  const TIMES = ['2001-01-01T00:00:00.000Z', '2003-01-01T00:00:00.000Z', '2002-01-01T00:00:00.000Z'];
  const ACTIONS = ['PROMOTED', 'DEMOTED', 'DEMOTED'];
  const SOURCES = ['COMMAND', 'COMMAND', 'REST'];
  const SUBJECT = 1_000_000;
  beforeEach(async () => {
    await app.sql('DELETE FROM "AuditEntry"');
    for (const [index, at] of TIMES.entries()) {
      await app.sql(
        'INSERT INTO "AuditEntry" ("at", "actorId", "actorName", "source", "action", "subjectId", "subjectName") VALUES (?, ?, ?, ?, ?, ?, ?)',
        at.replace('Z', '+00:00'),
        index === 0 ? null : SUBJECT + index,
        'somebody',
        SOURCES[index],
        ACTIONS[index],
        SUBJECT,
        'gone',
      );
    }
  });
  const timesOf = async (filter: object, orderBy?: object): Promise<string[]> =>
    (await entries({ subjectId: SUBJECT, ...filter }, orderBy)).map(({ at }) => at.slice(0, 4));

  it('should be narrowed by each condition of the filter', async () => {
    expect(await timesOf({})).toEqual(['2002', '2003', '2001']);
    expect(await timesOf({ action: 'DEMOTED' })).toEqual(['2002', '2003']);
    expect(await timesOf({ source: 'COMMAND' })).toEqual(['2003', '2001']);
    expect(await timesOf({ actorId: SUBJECT + 2 })).toEqual(['2002']);
    expect(await timesOf({ actorId: 'x' })).toEqual([]);
    expect(await timesOf({ from: TIMES[2], before: TIMES[1] })).toEqual(['2002']);
    expect(await timesOf({ from: TIMES[2] })).toEqual(['2002', '2003']);
    expect(await timesOf({ before: TIMES[2] })).toEqual(['2001']);
  });

  it('should come in the order that is asked for', async () => {
    expect(await timesOf({}, { field: 'AT', direction: 'ASC' })).toEqual(['2001', '2002', '2003']);
    expect(await timesOf({}, { field: 'ID', direction: 'ASC' })).toEqual(['2001', '2003', '2002']);
  });

  it('should no longer have what is older than the configuration says', async () => {
    const { database } = app.app.services;
    const forgetBefore = (time: string) =>
      removeExpiredAuditEntries(database, { retentionS: (Date.now() - Date.parse(time)) / 1000 });
    await forgetBefore('2000-12-31T00:00:00Z');
    expect(await timesOf({})).toEqual(['2002', '2003', '2001']);
    await forgetBefore('2001-01-02T00:00:00Z');
    expect(await timesOf({})).toEqual(['2002', '2003']);
    await forgetBefore('2003-01-02T00:00:00Z');
    expect(await timesOf({})).toEqual([]);
  });
});
