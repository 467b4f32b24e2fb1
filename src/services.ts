import { Feed } from './changes/feed.ts';
import type { ChangeLog } from './changes/log.ts';
import { LogSize, oldestAgeS } from './changes/log-size.ts';
import { type LoggedModels, loggedModels } from './changes/logged-models.ts';
import { PostgresLog } from './changes/postgres-log.ts';
import { planPostgresTriggers } from './changes/postgres-triggers.ts';
import { startRetention } from './changes/retention.ts';
import { Signals } from './changes/signals.ts';
import { SqliteLog } from './changes/sqlite-log.ts';
import { planSqliteTriggers } from './changes/sqlite-triggers.ts';
import type { Config } from './config/config.ts';
import type { Services, TokenSettings } from './context.ts';
import type { Database } from './database/client.ts';
import { runPeriodically, runUntilDone } from './database/housekeeping.ts';
import { explainFailure, type PostMigration, sessionUrl } from './database/migrate.ts';
import { type DatabaseObserver, type OpenDatabase, openDatabase } from './database/open.ts';
import { PostgresPeers } from './database/postgres-peers.ts';
import { type CleanupStack, closeOnFailure } from './host/closing.ts';
import { removeExpiredCounters } from './identity/attempts.ts';
import { ConnectedUsers } from './identity/connected-users.ts';
import { hashQueueLength } from './identity/hash-queue.ts';
import { removeExpiredAnswers } from './identity/idempotency.ts';
import { Identities } from './identity/identities.ts';
import { configuredKeys, KeyFile } from './identity/signing-keys.ts';
import { Mailer } from './mail/mailer.ts';
import { planPostgresSearch } from './search-index/postgres-index.ts';
import { planSqliteSearch } from './search-index/sqlite-index.ts';
import { MODELS, SEARCHED, SLICES } from './slices.ts';
import { Telemetry } from './telemetry.ts';

/** The interval of removing expired answers, counters, sessions and audit entries, in milliseconds. */
const REMOVAL_INTERVAL_MS = 10 * 60 * 1000;
/** The bytes of the cache of rendered events. */
const MAX_RESULT_BYTES = 16 * 1024 * 1024;

export interface ServicesObserver extends Omit<DatabaseObserver, 'onCommit'> {
  /** Receives the events of the services; nobody does when it is left out. */
  readonly telemetry?: Telemetry;
  /** Called with the error of background work, which is retried. */
  readonly onFailure?: (error: unknown) => void;
  readonly onWarning?: (message: string, details: Record<string, unknown>) => void;
}

export interface OpenServices {
  readonly services: Services & { readonly connectedUsers: ConnectedUsers };
  readonly close: () => Promise<void>;
}

/** Returns the statements that the log of these models and the search index need beside the migrations. */
export function schemaPlan(models: LoggedModels): PostMigration {
  return {
    sqlite: (file) => [...planSqliteTriggers(file, models), ...planSqliteSearch(file, SEARCHED)],
    postgres: async (client) => [
      ...(await planPostgresTriggers(client, models)),
      ...(await planPostgresSearch(client, SEARCHED)),
    ],
  };
}

/** Opens the dependencies of all services: the migrated database, the change feed, the background tasks and the settings for credentials. */
export function openServices(config: Config, observer: ServicesObserver = {}): Promise<OpenServices> {
  return closeOnFailure((opened) => openInto(opened, config, observer));
}

type Reports = Required<Pick<ServicesObserver, 'onFailure' | 'onWarning'>>;

async function openInto(
  opened: CleanupStack,
  config: Config,
  {
    telemetry = new Telemetry(),
    onFailure = () => undefined,
    onWarning = () => undefined,
    ...observer
  }: ServicesObserver,
): Promise<OpenServices> {
  let onCommit = (): void => undefined;
  const models = loggedModels(MODELS);
  const database = await openDatabase(config.database, schemaPlan(models), {
    ...observer,
    telemetry,
    onCommit: () => onCommit(),
  });
  opened.add(database.close);
  const peers =
    database.path === null ? new PostgresPeers(sessionUrl(config.database), config.database.timeoutMs) : null;
  opened.add(async () => peers?.close());
  const log = await openLog(config, database, models, peers).catch((error: unknown) => {
    throw explainFailure(config.database, error);
  });
  const feed = await startFeed(log, config, { onFailure, onWarning });
  opened.add(() => feed.close());
  onCommit = () => {
    feed.wake();
    log.announce();
  };
  const mailer = config.mail && new Mailer(config.mail, onFailure);
  opened.add(async () => mailer?.close());
  startBackgroundTasks(opened, database.client, config, onFailure);
  const identities = new Identities(feed);
  addGauges(telemetry, database.client, identities);
  return {
    services: {
      telemetry,
      feed,
      signals: new Signals(peers),
      connectedUsers: new ConnectedUsers(),
      identities,
      database: database.client,
      writeLimits: config.writes,
      recovery: { mailer, links: config.auth.links },
      tokens: tokenSettings(config, database.path, onFailure),
    },
    close: () => opened.close(),
  };
}

/** Adds the values that are read when the metrics are read. */
function addGauges(telemetry: Telemetry, database: Database, identities: Identities): void {
  telemetry.addGauge({
    name: 'tidings_identity_cache_lookups_total',
    help: 'Credentials that were looked up in the cache of identities, by outcome.',
    label: 'outcome',
    isTotal: true,
    read: () => identities.counts,
  });
  telemetry.addGauge({
    name: 'tidings_hash_queue_length',
    help: 'Passwords that wait to be hashed.',
    read: hashQueueLength,
  });
  telemetry.addGauge({
    name: 'tidings_log_size_bytes',
    aggregator: 'max',
    help: 'The upper bound of the size of the change log: the size of the SQLite file, or of the table with its indexes.',
    read: () => new LogSize(database).upperBound(),
  });
  telemetry.addGauge({
    name: 'tidings_log_oldest_age_seconds',
    aggregator: 'max',
    help: 'The age of the oldest change in the log, which a client can resume from; 0 when the log is empty.',
    read: () => oldestAgeS(database),
  });
}

async function startFeed(log: ChangeLog, { changes }: Config, reports: Reports): Promise<Feed> {
  try {
    return await Feed.start(log, {
      ...changes,
      maxResultBytes: MAX_RESULT_BYTES,
      memberships: SLICES.flatMap(({ memberships }) => memberships ?? []),
      ...reports,
    });
  } catch (error) {
    await log.close();
    throw error;
  }
}

/** Starts the retention of the log, the removal of expired rows and the backfills of the slices. */
function startBackgroundTasks(
  opened: CleanupStack,
  database: Database,
  config: Config,
  onFailure: Reports['onFailure'],
): void {
  const stopRetention = startRetention(database, config.changes.retention, onFailure);
  const stopRemoval = runPeriodically({
    intervalMs: REMOVAL_INTERVAL_MS,
    work: async (stopping) => {
      await removeExpiredAnswers(database, stopping);
      await removeExpiredCounters(database, stopping);
      for (const { removeExpired } of SLICES) {
        await removeExpired?.(database, config, stopping).catch(onFailure);
      }
    },
    onFailure,
  });
  opened.add(stopRemoval);
  const stopping = new AbortController();
  const backfills = Promise.all(
    SLICES.map(({ backfill }) =>
      runUntilDone({ work: async (signal) => backfill?.(database, signal), onFailure }, stopping.signal),
    ),
  );
  opened.add(() => {
    stopping.abort();
    return backfills;
  });
  opened.add(stopRetention);
}

function tokenSettings({ auth }: Config, path: string | null, onFailure: Reports['onFailure']): TokenSettings {
  return {
    keys:
      auth.secret === null
        ? new KeyFile(path ?? '', auth.oldSecrets, onFailure)
        : configuredKeys(auth.secret, auth.oldSecrets),
    accessTokenLifeS: auth.accessTokenLifeS,
    refreshTokenLifeS: auth.refreshTokenLifeS,
    sessionLifeS: auth.sessionLifeS,
    maxFailedSignIns: auth.maxFailedSignIns,
    maxFailedSignInsPerName: auth.maxFailedSignInsPerName,
    maxFailedSignInsPerAddress: auth.maxFailedSignInsPerAddress,
  };
}

async function openLog(
  { auth, database: { timeoutMs, ...urls } }: Config,
  { path }: OpenDatabase,
  models: LoggedModels,
  peers: PostgresPeers | null,
): Promise<ChangeLog> {
  const settings = `anonymous:${auth.allowAnonymous}`;
  return peers
    ? PostgresLog.open({ url: sessionUrl(urls), timeoutMs, settings, models, peers })
    : new SqliteLog({ path: path ?? '', settings, models });
}
