import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect } from '../../src/database/migration-lock.ts';
import { explainConnectionFailure } from '../../src/database/postgres-connection.ts';
import { Person } from '../kit/person.ts';
import { describeWith } from '../kit/present.ts';
import { runCommand, startProcess } from '../kit/process.ts';
import { SocketClient } from '../kit/socket.ts';
import { type OwnServer, startOwnServer } from './server.ts';

const SECRET_KEY = '9f1c27b0e84d635a7210fbce4496d83b';
const NOT_TRUSTED = 'not signed by a trusted authority. Set sslrootcert';

describeWith('postgres', 'connections to a PostgreSQL that accepts only encrypted ones', () => {
  describeWith('openssl', 'with a certificate of an authority of its own', (openssl) => {
    const folder = mkdtempSync(join(tmpdir(), 'tidings-tls-'));
    let server: OwnServer;
    const file = (name: string): string => join(folder, name);
    const run = (...args: readonly string[]): void => {
      execFileSync(openssl, args, { cwd: folder, stdio: 'ignore' });
    };
    const makeAuthority = (name: string): void =>
      run(
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
        ...['-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.crt`],
      );
    const makeCertificate = (name: string, subject: string): void => {
      run(
        ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', `/CN=${subject}`],
        ...['-keyout', `${name}.key`, '-out', `${name}.csr`],
      );
      writeFileSync(file('names'), 'subjectAltName=IP:127.0.0.1');
      run(
        ...['x509', '-req', '-in', `${name}.csr`, '-CA', 'authority.crt', '-CAkey', 'authority.key', '-CAcreateserial'],
        ...['-days', '2', '-extfile', 'names', '-out', `${name}.crt`],
      );
    };
    /** Returns the URL of the server with parameters; files are those of the test. */
    const urlWith = (parameters: Readonly<Record<string, string>>, host = '127.0.0.1'): string => {
      const url = new URL(server.url);
      url.hostname = host;
      for (const [name, value] of Object.entries(parameters)) {
        url.searchParams.set(name, /[.](crt|key)$|^names$/.test(value) ? file(value) : value);
      }
      return url.href;
    };
    /** Returns whether the connection is encrypted, or why there is none. */
    const outcome = async (url: string): Promise<unknown> => {
      try {
        const client = await connect(url);
        const { rows } = await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
        await client.end();
        return rows[0]?.ssl;
      } catch (error) {
        return explainConnectionFailure(error);
      }
    };

    beforeAll(async () => {
      makeAuthority('authority');
      makeAuthority('other');
      makeCertificate('server', 'database');
      makeCertificate('client', 'certified');
      server = await startOwnServer({
        certificate: readFileSync(file('server.crt'), 'utf8'),
        key: readFileSync(file('server.key'), 'utf8'),
        authority: readFileSync(file('authority.crt'), 'utf8'),
      });
    }, 60_000);
    afterAll(async () => {
      await server.remove();
      rmSync(folder, { recursive: true, force: true });
    });

    it.each([
      ['require, without verification', { sslmode: 'require' }],
      ['require, with the authority', { sslmode: 'require', sslrootcert: 'authority.crt' }],
      ['verify-ca', { sslmode: 'verify-ca', sslrootcert: 'authority.crt' }],
      ['verify-full', { sslmode: 'verify-full', sslrootcert: 'authority.crt' }],
      ['only an authority', { sslrootcert: 'authority.crt' }],
    ])('should be encrypted with %s', async (_name, parameters) => {
      expect(await outcome(urlWith(parameters))).toBe(true);
    });

    it('should fail with verify-full, and not with verify-ca, at a host that the certificate does not name', async () => {
      const full = { sslmode: 'verify-full', sslrootcert: 'authority.crt' };
      expect(await outcome(urlWith(full, 'localhost'))).toContain('certificate is for another host');
      expect(await outcome(urlWith({ ...full, sslmode: 'verify-ca' }, 'localhost'))).toBe(true);
    });

    it('should authenticate a user by sslcert and sslkey', async () => {
      const client = await connect(urlWith({ sslmode: 'require' }));
      await client.query('CREATE ROLE certified LOGIN');
      await client.end();
      const url = new URL(urlWith({ sslmode: 'verify-full', sslrootcert: 'authority.crt' }));
      url.username = 'certified';
      expect(await outcome(url.href)).toContain('requires a valid client certificate');
      url.searchParams.set('sslcert', file('client.crt'));
      url.searchParams.set('sslkey', file('client.key'));
      expect(await outcome(url.href)).toBe(true);
    });

    it.each([
      ['another authority', { sslmode: 'verify-full', sslrootcert: 'other.crt' }, NOT_TRUSTED],
      ['another authority and require', { sslmode: 'require', sslrootcert: 'other.crt' }, NOT_TRUSTED],
      ['the authorities of the system', { sslmode: 'verify-full', sslrootcert: 'system' }, NOT_TRUSTED],
      ['no authority', { sslmode: 'verify-full' }, NOT_TRUSTED],
      [
        'a missing file',
        { sslmode: 'verify-full', sslrootcert: 'missing.crt' },
        'the file of sslrootcert cannot be read',
      ],
      ['a file that is no certificate', { sslmode: 'verify-full', sslrootcert: 'names' }, NOT_TRUSTED],
      ['verify-ca without an authority', { sslmode: 'verify-ca' }, 'requires the certificate authority in sslrootcert'],
      ['a mode that may leave out the encryption', { sslmode: 'prefer' }, 'sslmode=prefer is not supported'],
      ['no encryption', { sslmode: 'disable' }, 'no encryption'],
    ])('should say why it fails with %s', async (_name, parameters, reason) => {
      expect(await outcome(urlWith(parameters))).toContain(reason);
    });

    it('should serve a node: its pool, its log and its notifications', async () => {
      const DATABASE_URL = urlWith({ sslmode: 'verify-full', sslrootcert: 'authority.crt' });
      const [node, refused] = await Promise.all([
        startProcess({ DATABASE_URL, SECRET_KEY }),
        runCommand(['serve'], {
          DATABASE_URL: urlWith({ sslmode: 'verify-full', sslrootcert: 'other.crt' }),
          SECRET_KEY,
        }),
      ]);
      expect(refused.code).toBe(1);
      expect(refused.output).toContain(NOT_TRUSTED);
      const visitor = new Person(node.url, null, '');
      const client = await SocketClient.open(node.url, null);
      const { cursor } = await visitor.gql('{ cursor }');
      const stream = client.start('subscription ($after: String) { todoChanged(after: $after) { todo { title } } }', {
        after: cursor,
      });
      await visitor.gql('mutation { createTodo(input: { title: "encrypted" }) { __typename } }');
      expect(await stream.event()).toEqual({ todo: { title: 'encrypted' } });
      client.raw.terminate();
      const observer = await connect(DATABASE_URL);
      const { rows } = await observer.query(
        `SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE backend_type = 'client backend'`,
      );
      await observer.end();
      expect(rows).toEqual([{ ssl: true }]);
      await node.stop();
    });
  });
});
