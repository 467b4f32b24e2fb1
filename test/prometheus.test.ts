import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, it, vi } from 'vitest';
import { privateBroker } from './broker/rabbit.ts';
import { Person } from './kit/person.ts';
import { createDatabase } from './kit/postgres.ts';
import { describeWith } from './kit/present.ts';
import { freePort, type ServerProcess, startProcess } from './kit/process.ts';
import { SocketClient } from './kit/socket.ts';

const ALERTS = fileURLToPath(new URL('../docs/alerts.yml', import.meta.url));
const DASHBOARD = new URL('../docs/grafana.json', import.meta.url);
const SCRIPT = fileURLToPath(new URL('../scripts/dashboard.js', import.meta.url));
const PASSWORD = 'a good long password';
const LOAD_MS = 3000;

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

/** The queries of the dashboard, for every job and a short interval. */
const QUERIES = (JSON.parse(readFileSync(DASHBOARD, 'utf8')).panels as Panel[]).flatMap(
  ({ title, targets = [] }) =>
    targets.map(({ expr }) => [title, expr.replaceAll('$__rate_interval', '20s').replaceAll('$job', '.+')]) as [
      string,
      string,
    ][],
);

/** Has every kind of event happen at the server again and again. */
async function useEverything(server: ServerProcess): Promise<void> {
  const visitor = new Person(server.url, null, '');
  await visitor.gql(`mutation { signUp(input: { username: "ann", password: "${PASSWORD}" }) { __typename } }`);
  const ann = await visitor.signIn('ann', PASSWORD);
  const { createChatSession } = await ann.gql('mutation { createChatSession { ... on ChatSession { uri } } }');
  const socket = await SocketClient.open(server.url, ann.authorization);
  socket.start('subscription Watch { todoChanged { action todo { title } } }');
  const end = Date.now() + LOAD_MS;
  while (Date.now() < end) {
    await ann.gql('mutation Add { createTodo(input: { title: "x" }) { __typename } }');
    await ann.gql('mutation Say($uri: String!) { sendMessage(uri: $uri, message: "x") { __typename } }', {
      uri: createChatSession.uri,
    });
    await ann.gql('query List { todos(first: 5) { nodes { title } } }');
    await ann.ask('{ nope }');
    await visitor.with('Bearer wrong').ask('{ viewer { username } }');
    await visitor.ask('mutation { obtainToken(input: { username: "ann", password: "wrong" }) { __typename } }');
    const brief = await SocketClient.open(server.url, null);
    await brief.execute('query OverSocket { __typename }');
    await brief.close();
    await visitor.fetch('/notes');
    await sleep(100);
  }
  await socket.close();
}

/** Starts Prometheus over a folder of its own; the servers are its targets. */
async function startPrometheus(command: string, targets: readonly string[]) {
  const folder = mkdtempSync(`${tmpdir()}/tidings-prometheus-`);
  const port = await freePort();
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s' },
    rule_files: [ALERTS],
    scrape_configs: [{ job_name: 'tidings', static_configs: [{ targets }] }],
  };
  // JSON is YAML.
  writeFileSync(`${folder}/prometheus.yml`, JSON.stringify(config));
  const child = spawn(
    command,
    [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  );
  const ask = async <Data>(path: string): Promise<Data | undefined> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`);
    return ((await response.json()) as { data?: Data }).data;
  };
  const ended = new Promise((resolve) => child.once('exit', resolve));
  return {
    ask,
    stop: async () => {
      child.kill();
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}

it('docs/grafana.json should be what scripts/dashboard.js makes', async () => {
  const { dashboard } = (await import(SCRIPT)) as { dashboard(): unknown };
  expect(JSON.parse(readFileSync(DASHBOARD, 'utf8'))).toEqual(dashboard());
});

describeWith('prometheus', 'Prometheus', (prometheus) => {
  it('should find no fault with the alerts', () => {
    expect(() =>
      execFileSync(`${prometheus.replace(/prometheus$/, '')}promtool`, ['check', 'rules', ALERTS]),
    ).not.toThrow();
  });

  describeWith('postgres', 'at a server with a pool of connections', () => {
    describeWith('rabbitmq', 'and a broker', (brokerUrl) => {
      it('should have data for every query of the dashboard, and every series of the alerts', {
        timeout: 60_000,
      }, async () => {
        const [database, broker] = await Promise.all([createDatabase(), privateBroker(brokerUrl)]);
        const server = await startProcess({
          DATABASE_URL: database.url,
          AMQP_URL: broker.url,
          SECRET_KEY: 'p7Zk2vQ9xW4mT8rB1nC6yH3jL5dF0gSa',
          METRICS_PORT: '0',
          LOG_LEVEL: 'fatal',
        });
        const { ask, stop } = await startPrometheus(prometheus, [new URL(server.metricsUrl).host]);
        try {
          const exposed = await (await fetch(server.metricsUrl)).text();
          const lint = execFileSync(`${prometheus.replace(/prometheus$/, '')}promtool`, ['check', 'metrics'], {
            input: exposed.replace(/^.*(?:nodejs|process)_.*$\n/gm, ''),
            encoding: 'utf8',
          });
          expect(lint).toBe('');
          await useEverything(server);
          const query = async (expression: string): Promise<readonly unknown[]> =>
            (await ask<{ result: unknown[] }>(`query?query=${encodeURIComponent(expression)}`))?.result ?? [];
          await vi.waitFor(
            async () => {
              const results = await Promise.all(
                QUERIES.map(async ([title, expression]) => ({ title, expression, found: await query(expression) })),
              );
              expect(results.filter(({ found }) => found.length === 0)).toEqual([]);
            },
            { timeout: 15_000, interval: 500 },
          );
          const known = (await ask<string[]>('label/__name__/values')) ?? [];
          const used = readFileSync(ALERTS, 'utf8').match(/\b(?:tidings|process)_\w+/g) ?? [];
          expect(used.length).toBeGreaterThan(10);
          expect(used.filter((name) => !known.includes(name))).toEqual([]);
          const rules = await ask<{ groups: { rules: { health: string }[] }[] }>('rules');
          expect(rules?.groups.flatMap((group) => group.rules).filter(({ health }) => health === 'err')).toEqual([]);
        } finally {
          await stop();
          await server.stop();
          await Promise.all([database.remove(), broker.remove()]);
        }
      });
    });
  });
});
