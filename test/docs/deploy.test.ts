import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type Config, parseConfig } from '../../src/config/config.ts';
import { environment } from '../../src/config/environment.ts';
import { describeWith } from '../kit/present.ts';
import { isFile, ROOT } from './markdown.ts';

// biome-ignore lint/suspicious/noExplicitAny: the documents have many shapes, and a wrong shape fails the test.
type Document = any;

const MS_PER_S = 1000;
const SECRET_KEY = '5f0c1b7e93a8d264c1e97f30b85a2d46';
const read = (path: string): string => readFileSync(`${ROOT}${path}`, 'utf8');
const documentsOf = (path: string): Document[] =>
  parseAllDocuments(read(path), { strict: true, merge: true }).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS();
  });

/** Returns the configuration of variables, each of which has to be one of the server's. */
function configOf(variables: Record<string, string>): Config {
  const known = { NODE_ENV: '', ...environment.shape };
  expect(Object.keys(variables).filter((name) => !(name in known))).toEqual([]);
  return parseConfig(variables);
}

/** Expects a supervisor to wait for longer than a stop may take. */
function expectToOutlast({ http }: Config, seconds: number): void {
  expect(seconds * MS_PER_S).toBeGreaterThan(http.drainMs + http.shutdownTimeoutMs);
}

const dockerfile = read('Dockerfile');
const imageVariables = Object.fromEntries(
  (/^ENV (.*)$/m.exec(dockerfile)?.[1] ?? '').split(' ').map((pair) => pair.split('=') as [string, string]),
);

describe('the Dockerfile', () => {
  it('should copy what .dockerignore lets through, and no more', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, names = '']) =>
      names.split(' '),
    );
    expect(copied.sort()).toEqual(allowed.sort());
    expect(copied.filter((name) => !isFile(name))).toEqual([]);
  });

  it('should set variables that exist, and run the program of `npm start`', () => {
    const { listen } = configOf(imageVariables);
    expect(dockerfile).toContain(`EXPOSE ${listen.port}\n`);
    expect(dockerfile).toContain('CMD ["bin/tidings"]');
  });
});

describe('compose.yaml', () => {
  const [{ services, volumes }] = documentsOf('compose.yaml');

  it('should start one server by default', () => {
    const byDefault = Object.keys(services).filter((name) => !services[name].profiles);
    expect(byDefault).toEqual(['tidings']);
    expectToOutlast(configOf(imageVariables), Number.parseInt(services.tidings.stop_grace_period, 10));
  });

  it('should configure nodes that start, and outlast their stop', () => {
    const filled = read('compose.yaml')
      .replace(/\$\{SECRET_KEY:-\}/, SECRET_KEY)
      .replace(/\$\{\w+:-\}/g, '');
    const nodes = parseAllDocuments(filled, { merge: true })[0]?.toJS().services;
    for (const name of ['node-1', 'node-2']) {
      const config = configOf({ ...imageVariables, ...nodes[name].environment });
      expectToOutlast(config, Number.parseInt(nodes[name].stop_grace_period, 10));
      expect(config.http.trustedProxies).toBe(1);
    }
  });

  it('should name volumes, files and services that exist', () => {
    for (const { volumes: mounts = [], depends_on: needs = {} } of Object.values(services) as Document[]) {
      for (const source of mounts.map((mount: string) => mount.split(':')[0])) {
        expect(source.startsWith('./') ? isFile(source.slice(2)) : source in volumes).toBe(true);
      }
      const names = Array.isArray(needs) ? needs : Object.keys(needs);
      expect(names.filter((name) => !(name in services))).toEqual([]);
    }
  });
});

describe('deploy/kubernetes', () => {
  const documents = ['deployment', 'service'].flatMap((name) => documentsOf(`deploy/kubernetes/${name}.yaml`));
  const find = (kind: string): Document => documents.find((document) => document.kind === kind);
  const { template, selector } = find('Deployment').spec;
  const [container] = template.spec.containers;
  const variables = Object.fromEntries(container.env.map(({ name, value }: Document) => [name, value]));
  const config = configOf({ ...imageVariables, ...variables, DATABASE_URL: 'postgres://db/tidings', SECRET_KEY });

  it('should wait for longer than a stop may take, and drain for longer than the probe needs', () => {
    expectToOutlast(config, template.spec.terminationGracePeriodSeconds);
    const { periodSeconds, failureThreshold } = container.readinessProbe;
    expect(config.http.drainMs).toBeGreaterThan(periodSeconds * failureThreshold * MS_PER_S);
  });

  it('should name the ports of the server', () => {
    const ports = Object.fromEntries(container.ports.map(({ name, containerPort }: Document) => [name, containerPort]));
    expect(ports).toEqual({ http: config.listen.port, metrics: config.metrics?.port });
    for (const { targetPort } of find('Service').spec.ports) {
      expect(ports).toHaveProperty(targetPort);
    }
    const [{ backend }] = find('Ingress').spec.rules[0].http.paths;
    const { metadata, spec } = find('Service');
    expect(backend.service.name).toBe(metadata.name);
    expect(spec.ports.map(({ name }: Document) => name)).toContain(backend.service.port.name);
    for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
      expect(['/health', '/ready']).toContain(container[probe].httpGet.path);
      expect(ports).toHaveProperty(container[probe].httpGet.port);
    }
    // A node that drains, or whose database is away, is not started again.
    expect(container.livenessProbe.httpGet.path).toBe('/health');
  });

  it('should select the pods that it makes', () => {
    const { labels } = template.metadata;
    expect(selector.matchLabels).toEqual(labels);
    expect(find('Service').spec.selector).toEqual(labels);
    expect(find('PodDisruptionBudget').spec.selector.matchLabels).toEqual(labels);
  });

  it('should serve the host of PUBLIC_URL', () => {
    const { rules, tls } = find('Ingress').spec;
    const { host } = new URL(config.http.publicUrl ?? '');
    expect([rules[0].host, tls[0].hosts]).toEqual([host, [host]]);
  });
});

describe('deploy/tidings.service', () => {
  const unit = read('deploy/tidings.service');
  const variables = [...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]);

  it('should set variables that exist, and wait for longer than a stop may take', () => {
    const config = configOf({ ...Object.fromEntries(variables), DRAIN_MS: '10000' });
    expectToOutlast(config, Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]));
  });

  describeWith('systemdAnalyze', 'as systemd reads it', (program) => {
    it('should have no mistake', () => {
      const folder = mkdtempSync(join(tmpdir(), 'tidings-unit-'));
      const file = join(folder, 'tidings.service');
      writeFileSync(file, unit.replaceAll('/opt/tidings/', ROOT));
      const run = () => execFileSync(program, ['verify', file], { encoding: 'utf8', stdio: 'pipe' });
      expect(run).not.toThrow();
      rmSync(folder, { recursive: true });
    });
  });
});

describe('the proxies of deploy/', () => {
  const config = configOf({ DRAIN_MS: '5000' });
  const nodes = ['node-1:8000', 'node-2:8000'];

  it.each(['nginx.conf', 'nginx-tls.conf', 'haproxy.cfg', 'Caddyfile'])('should lead to both nodes: %s', (name) => {
    const text = read(`deploy/${name}`);
    expect(nodes.filter((node) => !text.includes(node))).toEqual([]);
  });

  it.each([
    ['nginx.conf', /keepalive_timeout (\d+)s;/],
    ['nginx-tls.conf', /keepalive_timeout (\d+)s;/],
    ['Caddyfile', /keepalive (\d+)s/],
  ])('should close idle connections before a node that drains does: %s', (name, pattern) => {
    const keptMs = Number(pattern.exec(read(`deploy/${name}`))?.[1]) * MS_PER_S;
    expect(keptMs).toBeLessThan(Math.min(config.http.drainMs, config.http.idleTimeoutMs));
  });

  it('should ask haproxy’s nodes often enough to notice that one drains', () => {
    const [, seconds, times] = /inter (\d+)s fall (\d+)/.exec(read('deploy/haproxy.cfg')) ?? [];
    expect(Number(seconds) * Number(times) * MS_PER_S).toBeLessThan(config.http.drainMs / 2);
  });

  it('should be the same for nginx with TLS and without, but for the server', () => {
    const locationOf = (name: string): string =>
      read(`deploy/${name}`).slice(read(`deploy/${name}`).indexOf('location /'));
    expect(locationOf('nginx-tls.conf')).toBe(locationOf('nginx.conf'));
  });
});
