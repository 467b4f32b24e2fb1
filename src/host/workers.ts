import cluster, { type Worker } from 'node:cluster';
import { isMetricsMessage } from './metrics-server.ts';

/** How long a worker that died is mourned before another takes its place, in milliseconds. */
const RESTART_DELAY_MS = 1_000;

export interface Supervision {
  readonly count: number;
  /** Called once, when every worker accepts requests, with the port that they share. */
  readonly onReady: (port: number) => void;
  /** Takes note of a worker that died, and with what exit code or signal. */
  readonly onDeath: (cause: string) => void;
}

export interface Workers {
  /** Asks every worker to stop, and waits until all have. */
  readonly stop: () => Promise<void>;
  /** Resolves when the workers can't even start. */
  readonly failed: Promise<void>;
}

/** Runs the server in several processes that share its port; one that dies is replaced. What one sends is passed to the others, except its metrics. */
export function startWorkers({ count, onReady, onDeath }: Supervision): Workers {
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
      onDeath(signal ?? `exit code ${code}`);
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
