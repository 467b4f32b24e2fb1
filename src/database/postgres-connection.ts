import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type pg from 'pg';
import { StartError } from '../errors.ts';

const SSL_PARAMETERS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'ssl', 'uselibpqcompat'] as const;
const SSL_MODES = ['disable', 'require', 'verify-ca', 'verify-full'] as const;
type SslMode = (typeof SSL_MODES)[number];

/** The value of `sslrootcert` for the certificate authorities that Node.js trusts, as in libpq. */
const SYSTEM_AUTHORITIES = 'system';

type ConnectionConfig = Pick<pg.ClientConfig, 'connectionString' | 'ssl'>;

/**
 * Returns the connection settings of a `postgres:` URL. `sslmode`, `sslrootcert`, `sslcert` and `sslkey` mean what they mean to libpq, and so to `psql` and
 * `pg_dump`; the driver's own reading of `sslmode` differs.
 *
 * @throws {StartError} when the URL has another `sslmode`, or names a file that cannot be read
 */
export function connectionOf(url: string): ConnectionConfig {
  const [base = '', query = ''] = splitAt(url, '?');
  const parameters = new URLSearchParams(query);
  const mode = modeOf(parameters);
  const files = Object.fromEntries(
    (['sslrootcert', 'sslcert', 'sslkey'] as const).map((name) => [name, fileOf(parameters, name)]),
  );
  for (const name of SSL_PARAMETERS) {
    parameters.delete(name);
  }
  const connectionString = parameters.size > 0 ? `${base}?${parameters.toString()}` : base;
  if (mode === null) {
    // The variable `PGSSLMODE` then decides.
    return { connectionString };
  }
  if (mode === 'disable') {
    return { connectionString, ssl: false };
  }
  const ssl: ConnectionOptions = {
    ...(files['sslrootcert'] !== undefined && { ca: files['sslrootcert'] }),
    ...(files['sslcert'] !== undefined && { cert: files['sslcert'] }),
    ...(files['sslkey'] !== undefined && { key: files['sslkey'] }),
    ...verification(mode, files['sslrootcert'] !== undefined),
  };
  return { connectionString, ssl };
}

function splitAt(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)];
}

/** Returns the mode; null when the URL says nothing about TLS. */
function modeOf(parameters: URLSearchParams): SslMode | null {
  const mode = parameters.get('sslmode');
  if (mode === null) {
    const isEncrypted = ['true', '1'].includes(parameters.get('ssl') ?? '') || parameters.has('sslrootcert');
    return isEncrypted ? 'verify-full' : null;
  }
  const known = SSL_MODES.find((name) => name === mode);
  if (!known) {
    throw new StartError(
      `sslmode=${mode} is not supported: a connection is either encrypted or not. Use one of ${SSL_MODES.join(', ')}`,
    );
  }
  if (known === 'verify-ca' && !parameters.has('sslrootcert')) {
    throw new StartError('sslmode=verify-ca requires the certificate authority in sslrootcert; or use verify-full');
  }
  return known;
}

/** Returns what is verified of the server's certificate. As in libpq, `require` with a certificate authority is `verify-ca`. */
function verification(mode: Exclude<SslMode, 'disable'>, hasAuthority: boolean): ConnectionOptions {
  if (mode === 'verify-full') {
    return {};
  }
  return mode === 'verify-ca' || hasAuthority
    ? { checkServerIdentity: () => undefined }
    : { rejectUnauthorized: false };
}

function fileOf(parameters: URLSearchParams, name: string): string | undefined {
  const path = parameters.get(name);
  if (path === null || path === '' || (name === 'sslrootcert' && path === SYSTEM_AUTHORITIES)) {
    return undefined;
  }
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`the file of ${name} cannot be read: ${reason}`, { cause: error });
  }
}

/** What to do about a failed connection, by the code of its error. */
const ADVICE: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'SELF_SIGNED_CERT_IN_CHAIN',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'UNABLE_TO_GET_ISSUER_CERT',
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'CERT_SIGNATURE_FAILURE',
    ].map((code) => [
      code,
      "the server's certificate is not signed by a trusted authority. Set sslrootcert in the URL to the file of its certificate authority",
    ]),
  ),
  CERT_HAS_EXPIRED: "the server's certificate has expired. Renew it",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "the server's certificate is for another host. Use a host that the certificate names, or sslmode=verify-ca",
};

/** Returns why PostgreSQL could not be reached, and, where it is known, what to do about it. */
export function explainConnectionFailure(error: unknown): string {
  const reason = (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (/unsupported startup parameter/.test(reason)) {
    return `${reason}: a pooler like PgBouncer answers there. Set DATABASE_DIRECT_URL to the PostgreSQL server itself`;
  }
  const advice = ADVICE[code];
  return advice === undefined ? reason : `${reason}: ${advice}`;
}
