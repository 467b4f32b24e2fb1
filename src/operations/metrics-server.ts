import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AggregatorRegistry, type Registry } from 'prom-client';
import { StartError } from '../errors.ts';

export const METRICS_PATH = '/metrics';

export interface MetricsServer {
  readonly url: string;
  readonly close: () => Promise<void>;
}

export interface MetricsServerOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
}

/** Serves `/metrics` on its own port, in the text format of Prometheus, without CORS; 503 when reading the metrics fails. */
async function serveMetrics(
  { host, port }: MetricsServerOptions,
  read: () => Promise<string>,
  contentType: string,
): Promise<MetricsServer> {
  const server = createServer(async ({ url = '', method }, response) => {
    response.setHeader('cache-control', 'no-store').setHeader('x-content-type-options', 'nosniff');
    if (url.split('?', 1)[0] !== METRICS_PATH || (method !== 'GET' && method !== 'HEAD')) {
      response.writeHead(404).end();
      return;
    }
    const text = await read().catch(() => null);
    if (text === null) {
      response
        .writeHead(503, { 'content-type': 'text/plain' })
        .end('The metrics cannot be read at the moment. Try again.\n');
    } else {
      response.writeHead(200, { 'content-type': contentType }).end(text);
    }
  });
  server.listen(port, host);
  await once(server, 'listening').catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`The metrics cannot be served on ${host}:${port}: ${reason}. Set METRICS_PORT.`, {
      cause: error,
    });
  });
  const { port: actual } = server.address() as AddressInfo;
  return { url: `http://${host}:${actual}${METRICS_PATH}`, close: () => closeServer(server) };
}

/** Serves the metrics of this process; see {@link serveMetrics}. */
export function serveRegistry(options: MetricsServerOptions, registry: Registry): Promise<MetricsServer> {
  return serveMetrics(options, () => registry.metrics(), registry.contentType);
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

/** Lets the primary process of the cluster read the metrics of this worker. */
export function shareMetrics(registry: Registry): void {
  AggregatorRegistry.setRegistries([registry]);
  // The constructor listens for the requests of the primary process.
  new AggregatorRegistry();
}

/** Serves the aggregated metrics of all workers; see {@link serveMetrics}. 503 when a worker does not answer within five seconds. */
export function serveMetricsOfWorkers(options: MetricsServerOptions): Promise<MetricsServer> {
  const registry = new AggregatorRegistry();
  return serveMetrics(options, () => registry.clusterMetrics(), registry.contentType);
}

/** Returns whether a message between the processes of a cluster belongs to prom-client. */
export function isMetricsMessage(message: unknown): boolean {
  return (
    typeof message === 'object' &&
    message !== null &&
    'type' in message &&
    typeof message.type === 'string' &&
    message.type.startsWith('prom-client:')
  );
}
