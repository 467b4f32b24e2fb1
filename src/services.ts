import { createSecretKey } from 'node:crypto';
import { forgetAttempts } from './accounts/attempts.ts';
import { keptSecret } from './accounts/secret.ts';
import { Feed } from './changes/feed.ts';
import type { ChangeLog } from './changes/log.ts';
import { PostgresLog } from './changes/postgres-log.ts';
import { retainChanges } from './changes/retention.ts';
import { SqliteLog } from './changes/sqlite-log.ts';
import { TypingSignals } from './chat/typing.ts';
import type { Config } from './config.ts';
import type { Services } from './context.ts';
import { repeat } from './database/housekeeping.ts';
import { forgetAnswers } from './database/idempotency.ts';
import { type DatabaseObserver, type OpenDatabase, openDatabase } from './database/open.ts';
import { PostgresPeers } from './database/postgres-peers.ts';
import { closeInOrder } from './host/closing.ts';

/** How often answers and counts that have had their time are removed, in milliseconds. */
const FORGET_INTERVAL_MS = 10 * 60 * 1000;
/** What the nodes call their news of who is typing. */
const TYPING_TOPIC = 'typing';

export interface ServicesObserver extends Omit<DatabaseObserver, 'onCommit'> {
  /** Takes note of work in the background that failed; it is tried again. */
  readonly onFailure?: (error: unknown) => void;
}

export interface OpenServices {
  readonly services: Services;
  readonly close: () => Promise<void>;
}

/** Opens what the services of every domain work with: the database, migrated, and the way credentials are issued. */
export async function openServices(
  config: Config,
  { onFailure = () => undefined, ...observer }: ServicesObserver = {},
): Promise<OpenServices> {
  let onCommit = (): void => undefined;
  const database = await openDatabase(config.database, { ...observer, onCommit: () => onCommit() });
  const { secret, accessTokenLifeS, refreshTokenLifeS, maxFailedSignIns } = config.auth;
  const peers = database.path === null ? new PostgresPeers(config.database.url, config.database.timeoutMs) : null;
  const log = await openLog(config, database, peers);
  const feed = await Feed.start(log, { limits: config.changes.limits, onFailure });
  onCommit = () => {
    feed.wake();
    log.announce();
  };
  const stopRetention = retainChanges(database.client, config.changes.retention, onFailure);
  const stopForgetting = repeat({
    intervalMs: FORGET_INTERVAL_MS,
    work: async () => {
      await forgetAnswers(database.client);
      await forgetAttempts({ database: database.client });
    },
    onFailure,
  });
  const typing = new TypingSignals();
  if (peers) {
    typing.passTo((message) => peers.tell(TYPING_TOPIC, message));
    peers.listen(TYPING_TOPIC, (message) => typing.take(message));
  }
  return {
    services: {
      feed,
      typing,
      database: database.client,
      lastingly: (write) => write(database.client),
      tokens: {
        secret: createSecretKey(secret ?? keptSecret(database.path ?? ''), 'utf8'),
        accessTokenLifeS,
        refreshTokenLifeS,
        maxFailedSignIns,
      },
    },
    close: () =>
      closeInOrder([
        stopRetention,
        stopForgetting,
        async () => typing.close(),
        () => feed.close(),
        async () => peers?.close(),
        database.close,
      ]),
  };
}

function openLog(
  { auth, database: { url, timeoutMs } }: Config,
  { path }: OpenDatabase,
  peers: PostgresPeers | null,
): Promise<ChangeLog> | ChangeLog {
  const rules = `anonymous:${auth.allowAnonymous}`;
  return peers ? PostgresLog.open({ url, timeoutMs, rules, peers }) : new SqliteLog(path ?? '', rules);
}
