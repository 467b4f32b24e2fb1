import cluster from 'node:cluster';
import type { Logger } from 'pino';
import { z } from 'zod';
import { createApp } from './app.ts';
import type { Signals } from './changes/signals.ts';
import { help, runCommand, USAGE } from './commands/run.ts';
import { type Config, ConfigError, parseConfig } from './config/config.ts';
import { misspelledVariables } from './config/misspelled-variables.ts';
import { printedConfig } from './config/printed-config.ts';
import { readTextFile } from './config/text-file.ts';
import { AppError, StartError, ValidationError } from './errors.ts';
import { createLogger } from './operations/logger.ts';
import { serveMetricsOfWorkers, shareMetrics } from './operations/metrics-server.ts';
import { startWorkers } from './operations/workers.ts';

/** A signal as the processes of a cluster send it to each other. */
const clusterSignal = z.object({ topic: z.string(), message: z.string() });

/** Signals within this time are one request to stop: of a Ctrl-C, the terminal and npm or the primary process each send one. In milliseconds. */
const SAME_REQUEST_MS = 1_000;

async function serve(config: Config): Promise<void> {
  const { logger, lifecycle, flush } = await createLogger(config.log, process.stdout.isTTY);
  process.on('exit', flush);
  if (config.concurrency > 1 && cluster.isPrimary) {
    return supervise(config, lifecycle);
  }
  // The primary process serves the metrics of all workers.
  const app = await createApp(cluster.isWorker ? { ...config, metrics: null } : config, { logger });
  stopOnSignal(config, lifecycle, app.close);
  if (cluster.isWorker) {
    shareMetrics(app.metrics);
    exchangeSignals(app.services.signals);
  }
  const url = await app.listen().catch(async (error: unknown) => {
    await app.close();
    throw error;
  });
  if (cluster.isPrimary) {
    announce(lifecycle, url, app.metricsUrl());
  }
}

async function supervise({ concurrency, listen, metrics, ...config }: Config, logger: Logger): Promise<void> {
  const metricsServer = metrics && (await serveMetricsOfWorkers(metrics));
  const workers = startWorkers({
    count: concurrency,
    onReady: (port) => announce(logger, `http://${listen.host}:${port}`, metricsServer?.url ?? null),
    onWorkerExit: (cause) => logger.error({ cause }, 'A worker process ended unexpectedly; a new one is started.'),
  });
  const close = async (): Promise<void> => {
    await workers.stop();
    await metricsServer?.close();
  };
  stopOnSignal(config, logger, close);
  await workers.failed;
  await close();
  process.exitCode = 1;
}

function announce(logger: Logger, url: string, metricsUrl: string | null): void {
  if (metricsUrl !== null) {
    logger.info({ url: metricsUrl }, `Metrics are at ${metricsUrl}`);
  }
  logger.info({ url }, `Tidings listens on ${url}; GraphiQL is at ${url}/graphql`);
}

function stopOnSignal({ http }: Pick<Config, 'http'>, logger: Logger, close: () => Promise<void>): void {
  let requestedAt: number | null = null;
  const stop = (signal: NodeJS.Signals): void => {
    if (requestedAt !== null) {
      if (performance.now() - requestedAt > SAME_REQUEST_MS) {
        process.off('SIGTERM', stop).off('SIGINT', stop);
        process.kill(process.pid, signal);
      }
      return;
    }
    requestedAt = performance.now();
    setTimeout(giveUp, http.drainMs + http.shutdownTimeoutMs, http.shutdownTimeoutMs).unref();
    if (cluster.isPrimary) {
      const drain = http.drainMs > 0 ? `draining for ${http.drainMs} ms, then ` : '';
      logger.info({ signal }, `${signal}: ${drain}closing`);
    }
    close()
      .then(() => cluster.worker?.disconnect())
      .catch(fail);
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
}

/** Ends the process while requests still run. */
function giveUp(timeoutMs: number): void {
  if (cluster.isPrimary) {
    process.stderr.write(`Requests were still running after SHUTDOWN_TIMEOUT_MS (${timeoutMs} ms) and are ended.\n`);
  }
  process.exit(1);
}

/** Exchanges signals with the other workers of a cluster. The primary process forwards them. */
function exchangeSignals(signals: Signals): void {
  signals.addTransport((topic, message) => process.send?.({ topic, message }));
  process.on('message', (received) => {
    const { data } = clusterSignal.safeParse(received);
    if (data) {
      signals.receive(data.topic, data.message);
    }
  });
}

async function run(words: readonly string[]): Promise<void> {
  // Options without a command belong to the server.
  const [name = 'serve', ...args] = words[0]?.startsWith('-') ? ['serve', ...words] : words;
  if (name === 'help' || (name === 'serve' && (args.includes('--help') || args.includes('-h')))) {
    process.stdout.write(help());
    return;
  }
  warnOfMisspelledVariables();
  if (name !== 'serve') {
    const config = parseConfig(process.env, readTextFile);
    process.exitCode = await runCommand(name, args, { config, terminal: process, interruption });
  } else if (args.length === 0) {
    await serve(parseConfig(process.env, readTextFile));
  } else if (args.length === 1 && args[0] === '--print-config') {
    process.stdout.write(printedConfig(process.env, readTextFile));
  } else {
    process.stderr.write(`The server does not accept the arguments ${args.join(' ')}.\n\n${USAGE}`);
    process.exitCode = 2;
  }
}

/** Reports variables that have no effect, in the primary process alone. */
function warnOfMisspelledVariables(): void {
  for (const { name, meant } of cluster.isPrimary ? misspelledVariables(process.env) : []) {
    process.stderr.write(
      `Warning: the environment variable ${name} is not a setting of Tidings and has no effect; did you mean ${meant}?\n`,
    );
  }
}

function interruption(): AbortSignal {
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  process.once('SIGTERM', interrupt).once('SIGINT', interrupt);
  return interrupted.signal;
}

function fail(error: unknown): void {
  process.stderr.write(`${describe(error)}\n`);
  process.exitCode = 1;
  // The IPC channel to the primary process would keep the worker alive.
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
