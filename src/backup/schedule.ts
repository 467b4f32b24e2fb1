import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/config.ts';
import type { Database } from '../database/client.ts';
import { runPeriodically } from '../database/housekeeping.ts';
import { tryRunUnderLease } from '../database/lease.ts';
import { sqlitePathOf } from '../database/location.ts';
import { BackupFolder } from './rotation.ts';

const LEASE = 'backup:schedule';
/** The interval of checking whether a backup is due: a tenth of the time between two backups, within these bounds in milliseconds. */
const MIN_CHECK_INTERVAL_MS = 200;
const MAX_CHECK_INTERVAL_MS = 5_000;
/** The longest pause after a failure, in milliseconds. */
const MAX_RETRY_DELAY_MS = 600_000;
const PROGRAM = new URL('../main.js', import.meta.url);

export interface ScheduleReports {
  /** Called with the path of a backup that was made, and the names of those that were removed. */
  readonly onBackup: (details: {
    readonly file: string;
    readonly ms: number;
    readonly removed: readonly string[];
  }) => void;
  /** Called with the error of a backup that failed; it is tried again later. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * Starts to back up the database periodically, in one process of all that serve it, and to remove old backups; returns the function that stops it. A backup is due
 * when the last one in the folder is older than the interval, so that restarts neither skip nor repeat one. Each is made by a process of its own: the copy and its
 * check would block the event loop of this one.
 */
export function startScheduledBackups(
  database: Database,
  config: Config,
  { onBackup, onFailure }: ScheduleReports,
): () => Promise<void> {
  const path = sqlitePathOf(config.database.url);
  if (config.backup === null || path === null) {
    return async () => undefined;
  }
  const { folder, intervalS, keep } = config.backup;
  const intervalMs = intervalS * 1000;
  const backups = new BackupFolder(folder, path);
  let retryAt = 0;
  const isDue = (): boolean => {
    backups.create();
    const last = backups.lastMadeAt();
    // A moment in the future was written by a clock that was wrong.
    return last === null || last > Date.now() || last + intervalMs <= Date.now();
  };
  const backUp = async (stopping: AbortSignal): Promise<void> => {
    backups.removePartials();
    const file = backups.pathAt(new Date());
    const startedAt = performance.now();
    try {
      await runBackup(file, config, stopping);
    } finally {
      backups.removePartials();
    }
    if (!stopping.aborted) {
      onBackup({ file, ms: Math.round(performance.now() - startedAt), removed: backups.rotate(keep) });
    }
  };
  return runPeriodically({
    intervalMs: Math.min(Math.max(intervalMs / 10, MIN_CHECK_INTERVAL_MS), MAX_CHECK_INTERVAL_MS),
    work: async (stopping) => {
      if (performance.now() < retryAt) {
        return;
      }
      try {
        if (isDue()) {
          // Another process may have made one between the first look and the lease.
          await tryRunUnderLease({ database, name: LEASE, onFailure }, stopping, async ({ signal }) =>
            isDue() ? backUp(signal) : undefined,
          );
        }
      } catch (error) {
        retryAt = performance.now() + Math.min(intervalMs, MAX_RETRY_DELAY_MS);
        const reason = error instanceof Error ? error.message : String(error);
        throw new Error(`The scheduled backup failed, and is tried again later: ${reason}`, { cause: error });
      }
    },
    onFailure,
  });
}

/** Runs the command `backup` in a process of its own, and kills that process when the signal is aborted. */
async function runBackup(file: string, { database, auth }: Config, stopping: AbortSignal): Promise<void> {
  const child = fork(fileURLToPath(PROGRAM), ['backup', file], {
    // `SECRET_KEY` decides whether the secret beside the database belongs to the backup.
    env: { DATABASE_URL: database.url, ...(auth.secret === null ? {} : { SECRET_KEY: auth.secret }) },
    silent: true,
  });
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  stopping.addEventListener('abort', kill);
  if (stopping.aborted) {
    kill();
  }
  let output = '';
  child.stderr?.on('data', (chunk) => {
    output += chunk;
  });
  // Unread output would block the process.
  child.stdout?.resume();
  try {
    const [code] = await once(child, 'close');
    if (code !== 0 && !stopping.aborted) {
      throw new Error(output.trim() || `The process ended with the code ${code}.`);
    }
  } finally {
    stopping.removeEventListener('abort', kill);
  }
}
