import cluster from 'node:cluster';
import { printSchema } from 'graphql';
import { createApp } from './app.ts';
import { move } from './commands/move.ts';
import { seed } from './commands/seed.ts';
import { createSuperuser } from './commands/superuser.ts';
import { manageUsers } from './commands/users.ts';
import { type Config, ConfigError, parseConfig } from './config.ts';
import { AppError, StartError, ValidationError } from './errors.ts';
import { serveMetricsOfWorkers, shareMetrics } from './host/metrics-server.ts';
import { startWorkers } from './host/workers.ts';
import { buildSchema } from './schema.ts';

const USAGE = `Usage: node dist/main.js [command]

  serve                   starts the server (the default)
  createsuperuser [name]  makes a staff account; asks for what it is not told (the password may come as TIDINGS_PASSWORD)
  user <command>          lists, shows and changes users: \`user help\` shows how
  seed [rows]             fills the database with a small workspace, or with about this many rows
  move --from F --to T    copies the SQLite file of the URL F to the empty PostgreSQL database of the URL T
  schema                  prints the GraphQL schema
`;

async function serve(config: Config): Promise<void> {
  if (config.concurrency > 1 && cluster.isPrimary) {
    return supervise(config);
  }
  // Of several processes, the first one serves the metrics of all.
  const app = await createApp(cluster.isWorker ? { ...config, metrics: null } : config);
  stopOnSignal(config, app.close);
  if (cluster.isWorker) {
    const { typing } = app.services;
    shareMetrics(app.metrics);
    typing.passTo((_chatId, message) => process.send?.(message));
    process.on('message', (message) => typing.receive(message));
  }
  const url = await app.listen().catch(async (error: unknown) => {
    await app.close();
    throw error;
  });
  if (cluster.isPrimary) {
    announce(url, app.metricsUrl());
  }
}

async function supervise({ concurrency, listen, metrics, ...config }: Config): Promise<void> {
  const metricsServer = metrics && (await serveMetricsOfWorkers(metrics));
  const workers = startWorkers({
    count: concurrency,
    onReady: (port) => announce(`http://${listen.host}:${port}`, metricsServer?.url ?? null),
    onDeath: (cause) => process.stderr.write(`A worker died (${cause}); another one takes its place.\n`),
  });
  const close = async (): Promise<void> => {
    await workers.stop();
    await metricsServer?.close();
  };
  stopOnSignal(config, close);
  await workers.failed;
  await close();
  process.exitCode = 1;
}

function announce(url: string, metricsUrl: string | null): void {
  const metrics = metricsUrl === null ? '' : `Metrics are at ${metricsUrl}\n`;
  process.stdout.write(`${metrics}Tidings listens on ${url}; GraphiQL is at ${url}/graphql\n`);
}

function stopOnSignal({ http }: Pick<Config, 'http'>, close: () => Promise<void>): void {
  const stop = (signal: NodeJS.Signals): void => {
    process.off('SIGTERM', stop).off('SIGINT', stop);
    // A second signal ends the process at once, as does a request that never ends.
    setTimeout(() => process.exit(1), http.shutdownTimeoutMs).unref();
    if (cluster.isPrimary) {
      process.stdout.write(`${signal}: closing\n`);
    }
    close()
      .then(() => cluster.worker?.disconnect())
      .catch(fail);
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
}

async function run([command = 'serve', ...rest]: readonly string[]): Promise<void> {
  const [argument] = rest;
  const config = parseConfig(process.env);
  switch (command) {
    case 'serve':
      return serve(config);
    case 'createsuperuser':
      return createSuperuser(config, { username: argument, password: process.env['TIDINGS_PASSWORD'] }, process);
    case 'user':
      process.exitCode = await manageUsers(config, rest, process);
      return;
    case 'seed':
      return seed(config, argument, process.stdout);
    case 'move':
      return move(rest, process.stdout);
    case 'schema':
      process.stdout.write(`${printSchema(buildSchema(config.graphql))}\n`);
      return;
    default:
      process.stderr.write(USAGE);
      process.exitCode = 2;
  }
}

function fail(error: unknown): void {
  process.stderr.write(`${describe(error)}\n`);
  process.exitCode = 1;
  // The channel to the first process would keep a worker alive that has nothing more to do.
  cluster.worker?.disconnect();
}

function describe(error: unknown): string {
  if (error instanceof ValidationError) {
    return error.fields.map(({ path, message }) => `${path}: ${message}`).join('\n');
  }
  if (error instanceof ConfigError || error instanceof AppError || error instanceof StartError) {
    return error.message;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

run(process.argv.slice(2)).catch(fail);
