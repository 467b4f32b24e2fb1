import cluster, { type Worker } from 'node:cluster';
import { isMetricsMessage } from './metrics-server.ts';

/** The delay before a worker that exited is replaced, in milliseconds. */
const RESTART_DELAY_MS = 1_000;

export interface WorkerOptions {
  readonly count: number;
  /** Called once, when all workers accept requests, with the port that they share. */
  readonly onReady: (port: number) => void;
  /** Called when a worker exits unexpectedly, with its exit code or signal. */
  readonly onWorkerExit: (cause: string) => void;
}

export interface Workers {
  /** Sends SIGTERM to all workers, and waits until they have exited. */
  readonly stop: () => Promise<void>;
  /** Resolves when a worker exits before it accepts requests, and not all workers have accepted requests yet. */
  readonly failed: Promise<void>;
}

/**
 * Runs the server in several processes that share its port, and replaces those that exit. Messages of a worker, except
 * metrics, are passed to the others.
 */
export function startWorkers({ count, onReady, onWorkerExit }: WorkerOptions): Workers {
  let stopping = false;
  let isReady = false;
  const listening = new Set<number>();
  let fail = (): void => undefined;
  const failed = new Promise<void>((resolve) => {
    fail = resolve;
  });

  const start = (): void => {
    const worker = cluster.fork();
    worker.once('listening', ({ port }) => {
      listening.add(worker.id);
      if (!isReady && listening.size === count) {
        isReady = true;
        onReady(port);
      }
    });
    worker.on('message', (message) => {
      if (isMetricsMessage(message)) {
        return;
      }
      for (const other of runningWorkers().filter(({ id }) => id !== worker.id)) {
        other.send(message);
      }
    });
    worker.once('exit', (code, signal) => {
      if (stopping) {
        return;
      }
      if (!isReady && !listening.has(worker.id)) {
        fail();
        return;
      }
      listening.delete(worker.id);
      onWorkerExit(signal ?? `exit code ${code}`);
      setTimeout(() => stopping || start(), RESTART_DELAY_MS);
    });
  };
  for (let index = 0; index < count; index += 1) {
    start();
  }
  return {
    failed,
    stop: async () => {
      stopping = true;
      await Promise.all(runningWorkers().map(stopWorker));
    },
  };
}

function runningWorkers(): Worker[] {
  return Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
}

function stopWorker(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    worker.once('exit', () => resolve());
    worker.process.kill('SIGTERM');
  });
}
