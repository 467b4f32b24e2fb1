import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from './process.ts';

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url));
const START_DEADLINE_MS = 30_000;
const RETRY_MS = 50;

export interface RunningProxy {
  readonly url: string;
  /** Marks a server as down in the configuration and has nginx read it again; the other proxies notice by themselves. */
  readonly leaveOut: (upstream: string) => void;
  readonly stop: () => Promise<void>;
}

/** A certificate of the address 127.0.0.1, signed by itself, and the folder with the files `cert.pem`, `key.pem` and `both.pem`. */
export interface Certificate {
  readonly folder: string;
  readonly pem: string;
  readonly remove: () => void;
}

export function makeCertificate(openssl: string): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-tls-'));
  const file = (name: string) => join(folder, name);
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-days', '2'];
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync(openssl, ['req', ...kind, ...subject, '-keyout', file('key.pem'), '-out', file('cert.pem')], {
    stdio: 'ignore',
  });
  const pem = readFileSync(file('cert.pem'), 'utf8');
  writeFileSync(file('both.pem'), pem + readFileSync(file('key.pem'), 'utf8'));
  return { folder, pem, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Replaces parts of a file of `deploy/`, each of which it has to contain. */
function adapt(name: string, changes: readonly (readonly [from: RegExp, to: string])[]): string {
  let text = readFileSync(join(DEPLOY, name), 'utf8');
  for (const [from, to] of changes) {
    if (!from.test(text)) {
      throw new Error(`deploy/${name} does not contain ${from}.`);
    }
    text = text.replace(from, to);
  }
  return text;
}

/** Starts nginx with deploy/nginx.conf in front of one or two servers, or with deploy/nginx-tls.conf when there is a certificate. */
export async function startNginx(
  program: string,
  upstreams: readonly string[],
  certificate: Certificate | null = null,
): Promise<RunningProxy> {
  const [port, plainPort] = [await freePort(), await freePort()];
  const servers = upstreams.map((url) => `server ${new URL(url).host};`).join(' ');
  const site = adapt(certificate ? 'nginx-tls.conf' : 'nginx.conf', [
    [/server node-1:8000;\s+server node-2:8000;/, servers],
    [/listen 80;/, `listen 127.0.0.1:${certificate ? plainPort : port};`],
    ...(certificate
      ? ([
          [/listen 443 /, `listen 127.0.0.1:${port} `],
          [/\/etc\/nginx\/tls\/fullchain\.pem/, `${certificate.folder}/cert.pem`],
          [/\/etc\/nginx\/tls\/privkey\.pem/, `${certificate.folder}/key.pem`],
        ] as const)
      : []),
  ]);
  const main = (folder: string): string => `
    daemon off;
    worker_processes 1;
    ${process.getuid?.() === 0 ? 'user root;' : ''}
    pid ${folder}/pid;
    error_log /dev/null;
    events {}
    http {
      access_log off;
      ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join('\n')}
      ${site}
    }`;
  const url = `${certificate ? 'https' : 'http'}://127.0.0.1:${port}`;
  return start(program, main, (folder, file) => ['-p', folder, '-c', file, '-e', 'stderr'], url);
}

/** Starts haproxy with deploy/haproxy.cfg in front of two servers. */
export async function startHaproxy(
  program: string,
  upstreams: readonly string[],
  certificate: Certificate,
): Promise<RunningProxy> {
  const [port, plainPort] = [await freePort(), await freePort()];
  const text = adapt('haproxy.cfg', [
    [/node-1:8000/, new URL(upstreams[0] ?? '').host],
    [/node-2:8000/, new URL(upstreams[1] ?? '').host],
    [/bind :80/, `bind 127.0.0.1:${plainPort}`],
    [/bind :443/, `bind 127.0.0.1:${port}`],
    [/\/etc\/haproxy\/tidings\.pem/, `${certificate.folder}/both.pem`],
  ]);
  return start(
    program,
    () => text,
    (_folder, file) => ['-f', file],
    `https://127.0.0.1:${port}`,
  );
}

/** Starts Caddy with deploy/Caddyfile in front of two servers. */
export async function startCaddy(
  program: string,
  upstreams: readonly string[],
  certificate: Certificate,
): Promise<RunningProxy> {
  const port = await freePort();
  const url = `https://127.0.0.1:${port}`;
  const text = adapt('Caddyfile', [
    [/node-1:8000 node-2:8000/, upstreams.map((each) => new URL(each).host).join(' ')],
    [
      /tidings\.example\.org \{/,
      `{\nadmin off\nauto_https disable_redirects\nstorage file_system ${certificate.folder}\n}\n${url} {\ntls ${certificate.folder}/cert.pem ${certificate.folder}/key.pem`,
    ],
  ]);
  return start(
    program,
    () => text,
    (_folder, file) => ['run', '--adapter', 'caddyfile', '--config', file],
    url,
  );
}

async function start(
  program: string,
  configuration: (folder: string) => string,
  argsOf: (folder: string, file: string) => string[],
  url: string,
): Promise<RunningProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'tidings-proxy-'));
  const file = join(folder, 'configuration');
  writeFileSync(file, configuration(folder));
  const child = spawn(program, argsOf(folder, file), { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output = `${output}${chunk}`.slice(-5_000);
    });
  }
  const ended = once(child, 'exit');
  const deadline = Date.now() + START_DEADLINE_MS;
  while (!(await accepts(Number(new URL(url).port)))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`The proxy does not listen: ${output}`);
    }
    await pause(RETRY_MS);
  }
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  const leaveOut = (upstream: string): void => {
    const server = `server ${new URL(upstream).host}`;
    writeFileSync(file, readFileSync(file, 'utf8').replace(`${server};`, `${server} down;`));
    child.kill('SIGHUP');
  };
  return { url, leaveOut, stop };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
